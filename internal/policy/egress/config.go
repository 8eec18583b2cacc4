// Package egress is the policy kind EgressPolicy: how a destination is reached, by whom and for what. It vetoes candidates,
// and sets the engine's knobs: parent, tier, region, timeouts, connections, retries, health. It draws, dials, repeats and
// ejects nothing. policy/order lists it; translate and proxy's engine call it through policy.Kind.
package egress

import (
	"reflect"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

// Config is the plan's form of an EgressPolicy. What is a pointer, or a slice or string in a nested type, is nil or empty
// where it is not written.
type Config struct {
	Mode        string       `json:"mode,omitempty" policy:"restriction"`
	Parent      string       `json:"parentRef,omitempty" policy:"restriction" plan:"backend"` // plan name
	Form        policy.Form  `json:"form,omitempty" policy:"restriction"`                     // set in mode Parent
	Region      string       `json:"region,omitempty" policy:"restriction"`
	Clients     clients.List `json:"clients,omitzero" policy:"restriction"` // nil: not written; empty: nobody
	Methods     []string     `json:"requests.methods,omitzero" policy:"restriction"`
	Paths       []string     `json:"requests.paths,omitzero" policy:"restriction"`
	Priority    *int         `json:"priority,omitempty" policy:"setting"`
	Tiers       [][]string   `json:"tiers,omitempty" policy:"setting"` // plan names
	Timeouts    Timeouts     `json:"timeouts,omitzero" policy:"setting"`
	Connections Connections  `json:"connections,omitzero" policy:"setting"`
	Retry       Retry        `json:"retry,omitzero" policy:"setting"`
	Health      Health       `json:"health,omitzero" policy:"setting"`
}

// Timeouts are those written; a written 0s is none.
type Timeouts struct {
	Connect    *time.Duration `json:"connect,omitempty"`
	FirstByte  *time.Duration `json:"firstByte,omitempty"`
	StreamIdle *time.Duration `json:"streamIdle,omitempty"`
	Request    *time.Duration `json:"request,omitempty"`
}

// Connections bound those to the destination.
type Connections struct {
	Max     *int           `json:"max,omitempty"`
	Pending *int           `json:"pending,omitempty"`
	Wait    *time.Duration `json:"wait,omitempty"`
	Idle    *time.Duration `json:"idle,omitempty"`
}

// Kind describes EgressPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name: "EgressPolicy",
		Attach: []plan.TargetKind{
			plan.TargetGateway, plan.TargetListener, plan.TargetBackend, plan.TargetPort, plan.TargetRoute, plan.TargetRule,
		},
		Config:    func() any { return new(Config) },
		Translate: translate,
		Effective: effective,
		Restrict:  restrict,
		Apply:     apply,
	}
}

// restricts reports whether a restriction is stated.
func (c *Config) restricts() bool {
	return c.through() || c.Region != "" || c.Clients != nil || c.Methods != nil || c.Paths != nil
}

// states reports whether anything is stated, but for the mode that is the default.
func (c *Config) states() bool {
	said := *c
	if !said.through() {
		said.Mode = ""
	}
	return !reflect.ValueOf(said).IsZero()
}
