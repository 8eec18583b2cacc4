// Package dns is the policy kind DNSPolicy: how a destination's name becomes addresses, and which of them may be dialled.
// It sets the resolver's knobs and judges addresses; it asks no resolver. Its stage is in every chain, with no DNSPolicy
// too, since a name that leads to a private address is refused by default. policy/order lists it behind guardrails;
// translate and proxy's engine call it through policy.Kind.
package dns

import (
	"net/netip"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

// Config is the plan's form of a DNSPolicy.
type Config struct {
	Resolvers    []Resolver              `json:"resolvers,omitzero" policy:"setting"`
	Hosts        map[string][]netip.Addr `json:"hosts,omitzero" policy:"setting"` // names in lower case
	TTL          TTL                     `json:"ttl,omitzero" policy:"setting"`
	Family       string                  `json:"family,omitempty" policy:"setting"`
	AllowPrivate ranges.List             `json:"addresses.allowPrivate,omitzero" policy:"setting"`
	Deny         ranges.List             `json:"addresses.deny,omitempty" policy:"restriction"`
}

// Resolver is a DNS server.
type Resolver struct {
	Address  netip.AddrPort `json:"address"`
	Protocol string         `json:"protocol,omitempty"`
}

// TTL are the bounds written; a written 0s is zero.
type TTL struct {
	Min        *time.Duration `json:"min,omitempty"`
	Max        *time.Duration `json:"max,omitempty"`
	Negative   *time.Duration `json:"negative,omitempty"`
	ServeStale *time.Duration `json:"serveStale,omitempty"`
}

// Kind describes DNSPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name:      "DNSPolicy",
		Attach:    []plan.TargetKind{plan.TargetGateway, plan.TargetListener, plan.TargetBackend},
		Config:    func() any { return new(Config) },
		Translate: translate,
		Effective: effective,
		Restrict:  restrict,
		Apply:     apply,
	}
}
