package dial

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// reuse is an idle connection that the target may use, or nil.
func (t *Target) reuse(ctx context.Context, turn int) *Conn {
	f, ok := t.fit(turn)
	if !ok {
		return nil
	}
	c := t.take(ctx, f)
	if c == nil && f.health != nil && t.near().skipsAll(f.any) {
		f.health = nil
		c = t.take(ctx, f)
	}
	return c
}

// reuseAny is reuse whose turn it is whichever: for want of room to connect to the one in turn.
func (t *Target) reuseAny(ctx context.Context) *Conn {
	for i := range t.near().fixed {
		if c := t.reuse(ctx, i); c != nil {
			return c
		}
	}
	return nil
}

// fit says which addresses will do: the endpoint in turn, or any of a name's that is not to be skipped. It is no
// function, which would be allocated.
type fit struct {
	endpoint netip.AddrPort
	any      []netip.Addr
	health   Health // nil: none is to be skipped
}

func (f fit) takes(a netip.AddrPort) bool {
	if f.any != nil {
		return slices.Contains(f.any, a.Addr()) && (f.health == nil || !f.health.Skip(a))
	}
	return a == f.endpoint
}

// fit is false where no address is known.
func (t *Target) fit(turn int) (fit, bool) {
	near := t.near()
	if near.fixed == nil {
		addresses, ok := t.dialer.resolver.Cached(near.Hostname, &near.Settings.DNS)
		return fit{any: addresses, health: near.Health}, ok && len(addresses) > 0
	}
	if len(near.fixed) == 0 {
		return fit{}, false
	}
	return fit{endpoint: near.fixed[turn%len(near.fixed)]}, true
}

// take looks at idle connections from the last one put back on: dead ones are closed, those that this target's stages
// refuse stay for other targets.
func (t *Target) take(ctx context.Context, f fit) *Conn {
	var passed []*Conn
	var taken *Conn
	for len(passed) < passedAtOnce {
		c := t.pool.pop(f)
		if c == nil {
			break
		}
		if c.tired(t.dialer.now()) || !c.quiet() {
			_ = c.Close()
			continue
		}
		if t.lets(ctx, c) {
			taken = c
			break
		}
		passed = append(passed, c)
	}
	for _, c := range slices.Backward(passed) {
		t.pool.push(c)
	}
	return taken
}

// checks are reused: stages keep no reference to what they are given.
type checks struct{ pool sync.Pool }

func (c *checks) take() *policy.AddressCheck {
	if check, ok := c.pool.Get().(*policy.AddressCheck); ok {
		return check
	}
	return new(policy.AddressCheck)
}

func (c *checks) give(check *policy.AddressCheck) {
	*check = policy.AddressCheck{}
	c.pool.Put(check)
}

// admit asks whether the target may use the address now.
func (t *Target) admit(ctx context.Context, address netip.Addr) *exchange.Refusal {
	class := policy.Classify(address)
	if class == policy.AddressSpecial {
		refusal := exchange.Refuse(exchange.AddressDenied, "the destination's address is not one that can be connected to")
		refusal.Log = address.String() + " is a " + class.String() + " address"
		return refusal
	}
	if len(t.Address) == 0 {
		return nil
	}
	pod := class != policy.AddressPublic && t.pod(address)
	check := t.dialer.checks.take()
	defer t.dialer.checks.give(check)
	for _, stage := range t.Address {
		*check = policy.AddressCheck{Backend: t.Backend, Settings: t.Settings, Hostname: t.Hostname, Address: address, Class: class, Pod: pod}
		if refusal := stage.Address(ctx, check); refusal != nil {
			return refusal
		}
	}
	return nil
}

// lets reports whether the target may use a connection that is there, now.
func (t *Target) lets(ctx context.Context, c *Conn) bool {
	near := t.near()
	return near.admit(ctx, c.address.Addr()) == nil && (c.outer == nil || near.vet(ctx, c.outer) == nil) && t.vet(ctx, c) == nil
}

// vet asks the target's Handshake stages about a connection, unless it was they who let it in.
func (t *Target) vet(ctx context.Context, c *Conn) *exchange.Refusal {
	if c.state == nil || c.vetted.Load() == t.root {
		return nil
	}
	for _, stage := range t.Handshake {
		if refusal := stage.Handshake(ctx, t.Backend, c.state); refusal != nil {
			return refusal
		}
	}
	c.vetted.Store(t.root)
	return nil
}
