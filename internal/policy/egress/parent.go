package egress

import (
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// through reports mode Parent: the targets are reached through another gateway, or are one.
func (c *Config) through() bool { return c.Mode == string(v1alpha1.EgressModeParent) }

// parent reads mode, parentRef and form. A parent needs a name or addresses of its own, and is reached itself.
func (c *Config) parent(refs policy.References, object *v1alpha1.EgressPolicy) {
	spec := &object.Spec
	if spec.Mode != nil {
		c.Mode = string(*spec.Mode)
	}
	if !c.through() {
		return
	}
	if c.Form = policy.FormOrigin; spec.Form != nil {
		c.Form = policy.Form(*spec.Form)
	}
	const field = "spec.parentRef"
	ref := spec.ParentRef
	if ref == nil {
		return
	}
	backend := refs.Backend(field, gwapiv1.BackendObjectReference{Group: &ref.Group, Kind: &ref.Kind, Name: ref.Name, Namespace: ref.Namespace})
	if backend == nil {
		return
	}
	c.Parent = backend.Name
	switch own := backend.Namespace() == object.Namespace; {
	case strings.HasPrefix(backend.Hostname, "*."):
		refs.Invalid(field, "a Backend with a wildcard for its hostname is no gateway", "name one with a full hostname, or with addresses")
	case own && slices.ContainsFunc(spec.TargetRefs, func(t gwapiv1.LocalPolicyTargetReferenceWithSectionName) bool {
		return t.Kind == ref.Kind && t.Name == ref.Name
	}):
		refs.Invalid(field, "the Backend is a target of the policy, and is not reached through itself", "leave parentRef out where the Backend is itself a gateway")
	}
}
