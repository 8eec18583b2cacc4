package guardrails

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
)

type refs struct {
	policy.References
	invalid []string
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }

func TestTranslate(t *testing.T) {
	f := func(spec v1alpha1.GuardRailsPolicySpec, want *Config, enforced bool, invalid ...string) {
		t.Helper()
		r, object := &refs{}, &v1alpha1.GuardRailsPolicy{Spec: spec}
		got := Kind().Translate(r, object)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(invalid, r.invalid); diff != "" {
			t.Error(diff)
		}
		if got := Kind().Enforce(object); got != enforced {
			t.Errorf("mode %q: enforced %t", spec.Mode, got)
		}
	}
	f(v1alpha1.GuardRailsPolicySpec{}, &Config{}, true)
	f(v1alpha1.GuardRailsPolicySpec{
		Mode:      v1alpha1.EnforcementModeReport,
		Hosts:     &v1alpha1.HostRules{Allow: []v1alpha1.HostPattern{"a.test"}, Deny: []v1alpha1.HostPattern{"*.b.test"}},
		Addresses: &v1alpha1.AddressRules{AllowPrivate: []v1alpha1.CIDR{"10.0.0.0/8"}, Deny: []v1alpha1.CIDR{"1.1.1.0/24", "1.1.1.1"}},
	}, &Config{
		Mode: "Report", AllowHosts: []string{"a.test"}, DenyHosts: []string{"*.b.test"},
		AllowPrivate: prefixes("10.0.0.0/8"), DenyRanges: prefixes("1.1.1.0/24"),
	}, false, "spec.addresses.deny")
	body := resource.MustParse("8Mi")
	f(v1alpha1.GuardRailsPolicySpec{Limits: &v1alpha1.RequestLimits{RequestBody: &body}}, &Config{RequestBody: 8 << 20}, true)
	f(v1alpha1.GuardRailsPolicySpec{Mode: v1alpha1.EnforcementModeEnforce}, &Config{Mode: "Enforce"}, true)
}
