// Package regions is the policy kind RegionAllowListPolicy: the only regions that data may go to. It vetoes every other
// destination before anything is sent to it, for the policies of this gateway and for those of gateways that a request has
// passed. Where a destination is, EgressPolicy says. policy/order lists it; translate and proxy's engine call it through
// policy.Kind.
package regions

import (
	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
)

// Config is the plan's form of a RegionAllowListPolicy.
type Config struct {
	Mode    string   `json:"mode,omitempty" policy:"restriction"`
	Regions []string `json:"regions" policy:"restriction"`
	Unknown string   `json:"unknown,omitempty" policy:"restriction"`
}

// Kind describes RegionAllowListPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name:   "RegionAllowListPolicy",
		Attach: []plan.TargetKind{plan.TargetClass, plan.TargetGateway, plan.TargetListener},
		Enforce: func(o policy.Object) bool {
			return o.(*v1alpha1.RegionAllowListPolicy).Spec.Mode != v1alpha1.EnforcementModeReport
		},
		Config:    func() any { return new(Config) },
		Translate: translate,
		Idle:      idle,
		Restrict:  restrict,
		Apply:     apply,
	}
}

func translate(_ policy.References, object policy.Object) any {
	spec := &object.(*v1alpha1.RegionAllowListPolicy).Spec
	c := &Config{Mode: string(spec.Mode), Unknown: string(spec.Unknown)}
	for _, r := range spec.Regions {
		c.Regions = append(c.Regions, string(r))
	}
	return c
}

// idle is for a destination whose region nothing states, and a policy that lets such pass.
func idle(config any, others []any) string {
	if config.(*Config).Unknown != string(v1alpha1.UnknownRegionAllow) {
		return ""
	}
	for _, other := range others {
		if e, ok := other.(*egress.Config); ok && e.Region != "" {
			return ""
		}
	}
	return "no EgressPolicy states its region, and spec.unknown lets such destinations pass"
}
