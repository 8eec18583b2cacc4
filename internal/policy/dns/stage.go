package dns

import (
	"context"
	"strings"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

// setting is what the DNSPolicies of a chain come to, and what holds where there is none.
type setting struct {
	config     *Config
	kubernetes bool
	resolvers  []policy.Resolver
}

func apply(env policy.Env, config any) (any, error) {
	s := &setting{config: config.(*Config), kubernetes: env.Kubernetes}
	for _, r := range s.config.Resolvers {
		s.resolvers = append(s.resolvers, policy.Resolver{Address: r.Address, TCP: r.Protocol == string(v1alpha1.ResolverProtocolTCP)})
	}
	return s, nil
}

// Tune lays what is written over the defaults.
func (s *setting) Tune(t *policy.Settings) {
	d := &t.DNS
	if s.resolvers != nil {
		d.Resolvers = s.resolvers
	}
	if s.config.Hosts != nil {
		d.Hosts = s.config.Hosts
	}
	switch v1alpha1.AddressFamily(s.config.Family) {
	case v1alpha1.AddressFamilyAuto:
		d.Family = policy.FamilyAuto
	case v1alpha1.AddressFamilyIPv4:
		d.Family = policy.FamilyIPv4
	case v1alpha1.AddressFamilyIPv6:
		d.Family = policy.FamilyIPv6
	}
	ttl := &s.config.TTL
	duration.Lay(&d.MinTTL, ttl.Min)
	duration.Lay(&d.MaxTTL, ttl.Max)
	duration.Lay(&d.Negative, ttl.Negative)
	duration.Lay(&d.ServeStale, ttl.ServeStale)
	if d.MinTTL > d.MaxTTL { // of different scopes: what is written wins over a default, and the fresher answer else
		if ttl.Max == nil {
			d.MaxTTL = d.MinTTL
		} else {
			d.MinTTL = d.MaxTTL
		}
	}
}

// Address judges by what an address is and where it came from. GuardRailsPolicies judge for themselves besides; what
// they alone may open passes here where one is in the chain. A pinned answer is an address like any other.
func (s *setting) Address(_ context.Context, a *policy.AddressCheck) *exchange.Refusal {
	if a.Class == policy.AddressPublic || s.opens(a) {
		return nil
	}
	return refuse(a, "spec.addresses.allowPrivate", "is a "+a.Class.String()+" address and is not opened")
}

func (s *setting) opens(a *policy.AddressCheck) bool {
	if a.Settings == nil { // nobody says whether there are guardrails
		return false
	}
	guarded := a.Settings.Guarded
	switch a.Class {
	case policy.AddressPrivate:
		return a.Pod || (guarded || !s.kubernetes) && s.stated(a)
	case policy.AddressLoopback: // on Kubernetes it is the proxy's own
		return !s.kubernetes && s.stated(a)
	case policy.AddressMetadata:
		return guarded && a.Backend.Origin != plan.Endpoints
	}
	return false
}

// stated reports whether somebody wrote the address: in a Backend or an EndpointSlice as itself, in a DNSPolicy as one
// that a name may lead to.
func (s *setting) stated(a *policy.AddressCheck) bool {
	switch a.Backend.Origin {
	case plan.Literal, plan.Endpoints:
		return true
	case plan.Resolved:
		return s.config.AllowPrivate.Holds(a.Address)
	}
	return false
}

// restriction is one DNSPolicy's denials.
type restriction struct{ deny ranges.List }

func restrict(_ policy.Env, config any) (any, error) {
	if deny := config.(*Config).Deny; len(deny) > 0 {
		return &restriction{deny}, nil
	}
	return nil, nil
}

// Address refuses what is denied, public addresses too.
func (s *restriction) Address(_ context.Context, a *policy.AddressCheck) *exchange.Refusal {
	if s.deny.Touches(a.Address) {
		return refuse(a, "spec.addresses.deny", "is in a denied range")
	}
	return nil
}

func refuse(a *policy.AddressCheck, field, why string) *exchange.Refusal {
	detail := "the destination has an address that may not be dialled"
	if host := a.Hostname; host != "" {
		detail = "the host " + strings.Clone(host[:min(len(host), 253)]) + " has an address that may not be dialled"
	}
	refusal := exchange.Refuse(exchange.AddressDenied, detail)
	refusal.Field, refusal.Log = field, a.Address.String()+" "+why
	return refusal
}
