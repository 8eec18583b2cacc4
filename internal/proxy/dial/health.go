package dial

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// Health is what is known of a backend's addresses. It is asked and told by many at once.
type Health interface {
	// Skip reports whether an address is to be tried after the others.
	Skip(address netip.AddrPort) bool
	// Connected tells of an address that took a connection, with its TLS handshake.
	Connected(address netip.AddrPort)
	// Unconnected tells of an address that did not, whether or not another one did.
	Unconnected(f policy.Fault, address netip.AddrPort)
}

func (t *Target) skips(address netip.AddrPort) bool {
	return t.Health != nil && t.Health.Skip(address)
}

func (t *Target) skipsAll(addresses []netip.Addr) bool {
	return !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !t.skips(t.at(a)) })
}

// at is an address of the target's name with its port.
func (t *Target) at(a netip.Addr) netip.AddrPort {
	return netip.AddrPortFrom(a.Unmap(), uint16(t.Port)) //nolint:gosec // Prepare bounds it
}

// ordered puts those that are to be skipped last, and leaves out what no Get comes to.
func (t *Target) ordered(list []netip.AddrPort) []netip.AddrPort {
	if t.Health != nil {
		slices.SortStableFunc(list, func(a, b netip.AddrPort) int {
			switch skipA, skipB := t.skips(a), t.skips(b); {
			case skipA == skipB:
				return 0
			case skipB:
				return -1
			}
			return 1
		})
	}
	return list[:min(len(list), maxCandidates)]
}

// tell passes on what became of an address. Neither what policy refused nor what the caller broke off is its fault; that it
// took longer than the connect timeout is.
func (t *Target) tell(ctx context.Context, address netip.AddrPort, f policy.Fault, failure *Error) {
	switch {
	case t.Health == nil || failure != nil && failure.Refusal != nil:
	case failure == nil:
		t.Health.Connected(address)
	case ctx.Err() == nil || errors.Is(context.Cause(ctx), errConnectTimeout):
		t.Health.Unconnected(f, address)
	}
}
