package egress

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
)

func TestTiers(t *testing.T) {
	tier := func(backends ...v1alpha1.TierBackend) v1alpha1.Tier { return v1alpha1.Tier{Backends: backends} }
	own := func(name gwapiv1.ObjectName) v1alpha1.TierBackend {
		return v1alpha1.TierBackend{Kind: "Backend", Name: name}
	}
	service := func(name gwapiv1.ObjectName, port ...gwapiv1.PortNumber) v1alpha1.TierBackend {
		b := v1alpha1.TierBackend{Kind: "Service", Name: name}
		if len(port) > 0 {
			b.Port = &port[0]
		}
		return b
	}
	rule := func(backends ...string) *plan.Rule {
		r := &plan.Rule{}
		for _, name := range backends {
			r.Backends = append(r.Backends, plan.RuleBackend{Backend: name})
		}
		return r
	}
	f := func(rules []*plan.Rule, want [][]string, ineffective, invalid []string, written ...v1alpha1.Tier) {
		t.Helper()
		r := &refs{rules: rules}
		got := tiers(r, &v1alpha1.EgressPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ai"}, Spec: v1alpha1.EgressPolicySpec{Tiers: written}})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(ineffective, r.ineffective); diff != "" {
			t.Errorf("ineffective: %s", diff)
		}
		if diff := cmp.Diff(invalid, r.invalid); diff != "" {
			t.Errorf("invalid: %s", diff)
		}
	}
	rules := []*plan.Rule{
		rule("Service/ai/s:80", "Backend/ai/a", ""), rule("Service/ai/s:81", "Backend/other/a", "XBackend/ai/x"), rule("Service/ai/s:80"),
	}
	f(rules, nil, nil, nil)
	f(nil, [][]string{{"Service/ai/s", "Service/ai/s:80"}, {"Backend/ai/a"}}, nil, nil, tier(service("s"), service("s", 80)), tier(own("a")))
	f(rules, [][]string{{"Service/ai/s:80", "Service/ai/s:81"}, {"Backend/ai/a"}}, nil, nil, tier(service("s")), tier(own("a")))
	f(rules, [][]string{{"Service/ai/s:81"}}, nil, nil, tier(service("s", 81)))
	f(rules, [][]string{{"XBackend/ai/x"}, {"Backend/other/a"}}, nil, nil, tier(v1alpha1.TierBackend{Kind: "XBackend", Name: "x"}),
		tier(v1alpha1.TierBackend{Kind: "Backend", Name: "a", Namespace: new(gwapiv1.Namespace("other"))}))
	f(rules, [][]string{{"Backend/ai/a", "Backend/ai/gone"}}, []string{"spec.tiers[0].backends[1]"}, nil, tier(own("a"), own("gone")))
	f(rules, [][]string{{"Service/ai/s:8"}}, []string{"spec.tiers[0].backends[0]"}, nil, tier(service("s", 8)))
	f(rules, [][]string{{"Backend/ai/a"}, {"Backend/ai/a"}}, nil, []string{"spec.tiers[1].backends[0]"}, tier(own("a")), tier(own("a")))
	f(rules, [][]string{{"Service/ai/s:80", "Service/ai/s:80", "Service/ai/s:81"}}, nil, []string{"spec.tiers[0].backends[1]"}, tier(service("s", 80), service("s")))
	f([]*plan.Rule{rule("Backend/ai/a"), rule("Backend/ai/b", "Backend/ai/b"), rule()}, [][]string{{"Backend/ai/a"}}, []string{"spec.tiers"}, nil, tier(own("a")))
}
