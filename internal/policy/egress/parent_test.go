package egress

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

func TestParent(t *testing.T) {
	f := func(mode v1alpha1.EgressMode, form v1alpha1.ParentForm, parent string, want *Config, invalid ...string) {
		t.Helper()
		r := &refs{backends: map[string]*plan.Backend{
			"hub": {Name: "Backend/ai/hub", Hostname: "hub.example.com"}, "any": {Name: "Backend/ai/any", Hostname: "*.example.com"},
			"a": {Name: "Backend/ai/a"}, "b": {Name: "Backend/other/a"}, "bare": {Name: "Backend/ai/bare", Origin: plan.Literal},
		}}
		o := &v1alpha1.EgressPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ai"}}
		o.Spec.TargetRefs = []gwapiv1.LocalPolicyTargetReferenceWithSectionName{
			{LocalPolicyTargetReference: gwapiv1.LocalPolicyTargetReference{Kind: "Gateway", Name: "hub"}},
			{LocalPolicyTargetReference: gwapiv1.LocalPolicyTargetReference{Kind: "Backend", Name: "a"}},
		}
		o.Spec.Mode = &mode
		if form != "" {
			o.Spec.Form = &form
		}
		if parent != "" {
			o.Spec.ParentRef = &v1alpha1.ParentBackendReference{Group: "ebbgate.dev", Kind: "Backend", Name: gwapiv1.ObjectName(parent)}
			if parent == "b" { // of another namespace: a, which is no target
				o.Spec.ParentRef.Namespace = new(gwapiv1.Namespace("other"))
			}
		}
		got := translate(r, o)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s of %s: %s", mode, parent, diff)
		}
		if diff := cmp.Diff(invalid, r.invalid); diff != "" {
			t.Errorf("%s of %s: %s", mode, parent, diff)
		}
	}
	f("Endpoint", "", "", &Config{Mode: "Endpoint"})
	f("Endpoint", "Connect", "hub", &Config{Mode: "Endpoint"})
	f("Parent", "", "", &Config{Mode: "Parent", Form: policy.FormOrigin})
	f("Parent", "", "hub", &Config{Mode: "Parent", Form: policy.FormOrigin, Parent: "Backend/ai/hub"})
	f("Parent", "Connect", "bare", &Config{Mode: "Parent", Form: policy.FormConnect, Parent: "Backend/ai/bare"})
	f("Parent", "Absolute", "b", &Config{Mode: "Parent", Form: policy.FormAbsolute, Parent: "Backend/other/a"})
	f("Parent", "", "nothing", &Config{Mode: "Parent", Form: policy.FormOrigin})
	f("Parent", "", "any", &Config{Mode: "Parent", Form: policy.FormOrigin, Parent: "Backend/ai/any"}, "spec.parentRef")
	f("Parent", "", "a", &Config{Mode: "Parent", Form: policy.FormOrigin, Parent: "Backend/ai/a"}, "spec.parentRef")
}

// TestTuneParent: the most general parent stays, whatever comes behind it.
func TestTuneParent(t *testing.T) {
	f := func(want *policy.Parent, configs ...*Config) {
		t.Helper()
		s := policy.NewSettings()
		for _, c := range configs {
			if stage, err := restrict(policy.Env{}, c); err != nil {
				t.Fatal(err)
			} else if stage != nil {
				stage.(*restriction).Tune(&s)
			}
		}
		if diff := cmp.Diff(want, s.Parent); diff != "" {
			t.Error(diff)
		}
	}
	hub := &Config{Mode: "Parent", Parent: "Backend/ai/hub", Form: policy.FormOrigin}
	squid := &Config{Mode: "Parent", Parent: "Backend/ai/squid", Form: policy.FormConnect}
	itself, endpoint := &Config{Mode: "Parent", Form: policy.FormOrigin}, &Config{Mode: "Endpoint"}
	f(nil)
	f(nil, endpoint, &Config{Region: "eu"})
	f(&policy.Parent{Form: policy.FormOrigin}, itself)
	f(&policy.Parent{Backend: "Backend/ai/squid", Form: policy.FormConnect}, endpoint, squid)
	f(&policy.Parent{Backend: "Backend/ai/hub", Form: policy.FormOrigin}, hub, endpoint, squid, itself)
}
