package translate

import (
	"bytes"
	"fmt"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/backendtls"
	"github.com/ebbgate/ebbgate/internal/policy/backendtraffic"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
	"github.com/ebbgate/ebbgate/internal/policy/regions"
)

// The kinds of these tests are small ones over real API types: what is tested here is generic over kinds. The standard's
// own are the real ones, since what becomes of them is the standard's to say, and so are EgressPolicy, which asks most of
// the machinery, and RegionAllowListPolicy, which depends on what that says.

type rails struct {
	Deny []v1alpha1.HostPattern `policy:"restriction" json:"deny,omitempty"`
}

type credential struct {
	Secret string `policy:"setting" json:"secret,omitempty"`
	Key    string `policy:"setting" json:"key,omitempty"`
}

// oneLine finds fault with a value as kinds do: without quoting it.
func oneLine(value []byte) string {
	if bytes.ContainsRune(value, '\n') {
		return "holds a line end"
	}
	return ""
}

func kinds() []*policy.Kind {
	return []*policy.Kind{
		backendtls.Kind(),
		backendtraffic.Kind(),
		egress.Kind(),
		regions.Kind(),
		{
			Name:   "GuardRailsPolicy",
			Attach: []plan.TargetKind{plan.TargetClass, plan.TargetGateway},
			Enforce: func(o policy.Object) bool {
				return o.(*v1alpha1.GuardRailsPolicy).Spec.Mode != v1alpha1.EnforcementModeReport
			},
			Config: func() any { return &rails{} },
			Translate: func(_ policy.References, o policy.Object) any {
				config := &rails{}
				if hosts := o.(*v1alpha1.GuardRailsPolicy).Spec.Hosts; hosts != nil {
					config.Deny = hosts.Deny
				}
				return config
			},
		},
		{
			Name:   "CredentialInjector",
			Attach: []plan.TargetKind{plan.TargetBackend},
			Config: func() any { return &credential{} },
			Translate: func(refs policy.References, o policy.Object) any {
				config := &credential{}
				spec := o.(*v1alpha1.CredentialInjector).Spec
				if spec.APIKey != nil {
					ref := spec.APIKey.SecretRef
					namespace := ""
					if ref.Namespace != nil {
						namespace = string(*ref.Namespace)
					}
					config.Key = ref.Key
					config.Secret = refs.Secret("spec.apiKey.secretRef", namespace, string(ref.Name), ref.Key, oneLine)
				}
				for i, p := range spec.PerClient {
					if p.APIKey != nil {
						refs.Secret(fmt.Sprintf("spec.perClient[%d].apiKey.secretRef", i), "", string(p.APIKey.SecretRef.Name), p.APIKey.SecretRef.Key)
					}
				}
				return config
			},
		},
	}
}
