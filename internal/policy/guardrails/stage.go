package guardrails

import (
	"context"
	"fmt"
	"strings"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/hostname"
)

const maxName = 253 // bytes of a host that a refusal repeats: no name is longer (RFC 1035, section 2.3.4)

// stage is one GuardRailsPolicy at work. Every one of a chain has its own and all must pass.
type stage struct {
	config      *Config
	policy      string
	kubernetes  bool
	allow, deny *hostname.Set
}

// restrict builds a stage of every config, an empty one too: public addresses alone is what no statement means.
func restrict(env policy.Env, config any) (any, error) {
	c := config.(*Config)
	allow, err := hostname.New(c.AllowHosts)
	if err != nil {
		return nil, fmt.Errorf("spec.hosts.allow: %w", err)
	}
	deny, err := hostname.New(c.DenyHosts)
	if err != nil {
		return nil, fmt.Errorf("spec.hosts.deny: %w", err)
	}
	return &stage{config: c, policy: env.Policy, kubernetes: env.Kubernetes, allow: allow, deny: deny}, nil
}

func (s *stage) reports() bool { return s.config.Mode == string(v1alpha1.EnforcementModeReport) }

// Tune says that guardrails decide. One that only reports opens nothing, so the rules that hold without any stay.
func (s *stage) Tune(t *policy.Settings) {
	if !s.reports() {
		t.Guarded = true
	}
}

// Request refuses a denied name that is asked for, whatever the route would make of it, and what is too large. The list of
// allowed names is no question here: the name asked for may be the gateway's own.
func (s *stage) Request(_ context.Context, x *exchange.Exchange) *exchange.Refusal {
	if refusal := s.denied(hostname.Of(x.Request.Authority)); refusal != nil {
		return refusal
	}
	if most := s.config.HeaderBytes; most > 0 && fieldBytes(&x.Request.Header) > most {
		refusal := exchange.Refuse(exchange.HeadTooLarge, fmt.Sprintf("the request's fields have more than %d bytes", most))
		refusal.Field = "spec.limits.headerBytes"
		return refusal
	}
	return s.boundBody(&x.Request)
}

// fieldBytes is what fields have as lines of HTTP/1.1, without their ends.
func fieldBytes(h *exchange.Header) (n int64) {
	for _, f := range h.Fields() {
		n += int64(len(f.Name) + len(": ") + len(f.Value) + len("\r\n"))
	}
	return n
}

// boundBody refuses a body that states too much. Of one that states nothing the proxy counts what comes.
func (s *stage) boundBody(r *exchange.Request) *exchange.Refusal {
	most := s.config.RequestBody
	if most <= 0 {
		return nil
	}
	if r.Body != nil && r.Length > most {
		return exchange.TooLarge(exchange.BodyLimit{Bytes: most, Policy: s.policy})
	}
	if own := r.Limit.Bytes; !s.reports() && (own == 0 || most < own) {
		r.Limit = exchange.BodyLimit{Bytes: most, Policy: s.policy}
	}
	return nil
}

// Candidate judges the name dialled, the Host and the SNI sent: a denied one denies, and all there are must be allowed.
func (s *stage) Candidate(_ context.Context, _ *exchange.Exchange, c *policy.Candidate) *exchange.Refusal {
	names := [...]string{hostname.Of(c.Hostname), hostname.Of(c.Host), serverName(c)}
	for _, host := range names {
		if refusal := s.denied(host); refusal != nil {
			return refusal
		}
	}
	if s.allow.Empty() {
		return nil
	}
	if names == [3]string{} { // a restriction that cannot be evaluated denies
		return refuseHost("the destination has no name, and only named hosts are allowed", "spec.hosts.allow")
	}
	for _, host := range names {
		if host != "" && !s.allow.Match(host) {
			return refuseHost("the host "+bounded(host)+" is not among those allowed", "spec.hosts.allow")
		}
	}
	return nil
}

// serverName is the SNI where the TLS setting in force, a policy's or the backend's own, states one of its own.
func serverName(c *policy.Candidate) string {
	switch {
	case c.Settings != nil && c.Settings.TLS != nil:
		return hostname.Of(c.Settings.TLS.Hostname)
	case c.Backend != nil && c.Backend.TLS != nil:
		return hostname.Of(c.Backend.TLS.Hostname)
	}
	return ""
}

// denied refuses a host that is listed, and one whose spelling hides which host it is: a reg-name may be percent-encoded
// (RFC 3986, section 3.2.2).
func (s *stage) denied(host string) *exchange.Refusal {
	if s.deny.Empty() || !s.deny.Match(host) && !strings.Contains(host, "%") {
		return nil
	}
	return refuseHost("the host "+bounded(host)+" is denied", "spec.hosts.deny")
}

// Address judges an address before it is dialled.
func (s *stage) Address(_ context.Context, a *policy.AddressCheck) *exchange.Refusal {
	switch {
	case s.config.DenyRanges.Touches(a.Address):
		return refuseAddress(a, "spec.addresses.deny", "is in a denied range")
	case a.Class != policy.AddressPublic && !s.opens(a):
		return refuseAddress(a, "spec.addresses.allowPrivate", "is a "+a.Class.String()+" address and is not opened")
	}
	return nil
}

// opens reports whether an address that is not public may be dialled.
func (s *stage) opens(a *policy.AddressCheck) bool {
	service := a.Backend.Origin == plan.Endpoints
	switch a.Class {
	case policy.AddressPrivate:
		return a.Pod || service && !s.kubernetes || s.config.AllowPrivate.Holds(a.Address)
	case policy.AddressLoopback: // on Kubernetes it is the proxy's own
		return !s.kubernetes && (service || s.config.AllowPrivate.Holds(a.Address))
	case policy.AddressMetadata: // listed as itself: 100.64.0.0/10 is about other addresses
		return !service && s.config.AllowPrivate.Singles(a.Address)
	}
	return false
}

func refuseHost(detail, field string) *exchange.Refusal {
	refusal := exchange.Refuse(exchange.HostDenied, detail)
	refusal.Field = field
	return refusal
}

func refuseAddress(a *policy.AddressCheck, field, why string) *exchange.Refusal {
	detail := "the destination has an address that may not be dialled"
	if a.Hostname != "" {
		detail = "the host " + bounded(a.Hostname) + " has an address that may not be dialled"
	}
	refusal := exchange.Refuse(exchange.AddressDenied, detail)
	refusal.Field, refusal.Log = field, a.Address.String()+" "+why
	return refusal
}

// bounded is a copy, since a refusal outlives the buffer that the host may stand in.
func bounded(host string) string { return strings.Clone(host[:min(len(host), maxName)]) }
