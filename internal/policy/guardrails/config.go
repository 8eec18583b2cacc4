// Package guardrails is the policy kind GuardRailsPolicy: what may never leave, whoever asks and whatever a route, a
// backend or another policy says. All it holds are restrictions. It judges names before a backend is picked and
// addresses before they are dialled; it does not resolve, and it does not say how a backend is reached. policy/order
// lists it; translate and proxy's engine call it through policy.Kind.
package guardrails

import (
	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

// Config is the plan's form of a GuardRailsPolicy.
type Config struct {
	Mode         string      `json:"mode,omitempty" policy:"restriction"`
	AllowHosts   []string    `json:"hosts.allow,omitempty" policy:"restriction"` // empty: every host that is not denied
	DenyHosts    []string    `json:"hosts.deny,omitempty" policy:"restriction"`
	AllowPrivate ranges.List `json:"addresses.allowPrivate,omitempty" policy:"restriction"`
	DenyRanges   ranges.List `json:"addresses.deny,omitempty" policy:"restriction"`
	RequestBody  int64       `json:"limits.requestBody,omitempty" policy:"restriction"` // bytes; 0: not said
	HeaderBytes  int64       `json:"limits.headerBytes,omitempty" policy:"restriction"` // bytes; 0: not said
}

// Kind describes GuardRailsPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name:   "GuardRailsPolicy",
		Attach: []plan.TargetKind{plan.TargetClass, plan.TargetGateway, plan.TargetListener},
		Enforce: func(o policy.Object) bool {
			return o.(*v1alpha1.GuardRailsPolicy).Spec.Mode != v1alpha1.EnforcementModeReport
		},
		Config:    func() any { return new(Config) },
		Translate: translate,
		Restrict:  restrict,
	}
}
