// Package egress is the policy kind EgressPolicy: who may use a destination, what may be asked of it, where it processes
// data, and how long it may take. It vetoes candidates and sets the engine's timeouts and region; it draws, dials and
// repeats nothing. policy/order lists it; translate and proxy's engine call it through policy.Kind.
package egress

import (
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

// Config is the plan's form of an EgressPolicy.
type Config struct {
	Region   string       `json:"region,omitempty" policy:"restriction"`
	Clients  clients.List `json:"clients,omitzero" policy:"restriction"` // nil: not written; empty: nobody
	Methods  []string     `json:"requests.methods,omitzero" policy:"restriction"`
	Paths    []string     `json:"requests.paths,omitzero" policy:"restriction"`
	Timeouts Timeouts     `json:"timeouts,omitzero" policy:"setting"`
}

// Timeouts are those written; a written 0s is none.
type Timeouts struct {
	Connect    *time.Duration `json:"connect,omitempty"`
	FirstByte  *time.Duration `json:"firstByte,omitempty"`
	StreamIdle *time.Duration `json:"streamIdle,omitempty"`
	Request    *time.Duration `json:"request,omitempty"`
}

// Kind describes EgressPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name: "EgressPolicy",
		Attach: []plan.TargetKind{
			plan.TargetGateway, plan.TargetListener, plan.TargetBackend, plan.TargetRoute, plan.TargetRule,
		},
		Config:    func() any { return new(Config) },
		Translate: translate,
		Effective: effective,
		Restrict:  restrict,
		Apply:     apply,
	}
}
