package health

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// Phase is how a backend stands.
type Phase string

// The phases, from the best to the worst.
const (
	Healthy       Phase = "Healthy"
	ComingBack    Phase = "ComingBack"    // gets a growing share of its draws
	SetAside      Phase = "SetAside"      // as it asked for, or after rejecting several requests in a row
	Ejected       Phase = "Ejected"       // after failed attempts
	FailingChecks Phase = "FailingChecks" // every address does
)

// State is a Backend at one moment, for people and metrics.
type State struct {
	Phase     Phase          `json:"phase"`
	Share     float64        `json:"share"`               // of its draws: 0 to 1
	Until     *time.Time     `json:"until,omitempty"`     // when it begins to come back
	LastFault string         `json:"lastFault,omitempty"` // that counted: Connect, TLS, Reset, Timeout or GatewayError
	Ejections uint64         `json:"ejections"`           // since the start
	Addresses []AddressState `json:"addresses,omitempty"` // that are known, sorted
}

// AddressState is one address of it. It is for administrators: it may be an internal one.
type AddressState struct {
	Address netip.AddrPort `json:"address"`
	Faults  int            `json:"faults,omitempty"`  // in a row
	Ejected *time.Time     `json:"ejected,omitempty"` // until when
	Checked bool           `json:"checked,omitempty"`
	Failing bool           `json:"failing,omitempty"` // its checks
}

// State is the backend now.
func (b *Backend) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	s := State{Share: b.share(now), LastFault: fault(b.last), Ejections: b.ejections}
	s.Phase, s.Until = b.phase(now)
	since := now.Sub(b.epoch)
	for addr, a := range *b.addresses.Load() {
		one := AddressState{Address: addr, Faults: int(a.row.Load()), Checked: a.checked, Failing: a.failing.Load()}
		if a.ejected(since) {
			until := b.epoch.Add(time.Duration(a.until.Load()))
			one.Ejected = &until
		}
		s.Addresses = append(s.Addresses, one)
	}
	slices.SortFunc(s.Addresses, func(a, b AddressState) int { return a.Address.Compare(b.Address) })
	return s
}

// phase is how the backend stands, and until when it is out where that is known.
func (b *Backend) phase(now time.Time) (Phase, *time.Time) {
	ejected, aside := b.ejected.share(now) == 0, b.aside.share(now) == 0
	switch {
	case b.failing:
		return FailingChecks, nil
	case ejected && (!aside || !b.aside.until.After(b.ejected.until)):
		return Ejected, new(b.ejected.until)
	case aside:
		return SetAside, new(b.aside.until)
	case b.share(now) < 1:
		return ComingBack, nil
	}
	return Healthy, nil
}

// change does what an attempt or a check has told, and tells on where the backend is out or back in for it. A time that
// passes is not told.
func (b *Backend) change(do func(now time.Time)) {
	b.mu.Lock()
	now := b.now()
	before, _ := b.phase(now)
	do(now)
	b.settle(now)
	after, until := b.phase(now)
	last := fault(b.last)
	b.mu.Unlock() // whoever is told may take his time
	if b.told != nil && after != before && (after == Ejected || after == SetAside || after == FailingChecks || before == FailingChecks) {
		b.told(after, until, last)
	}
}

// fault names one or several, as EgressPolicy.health.passive.on does.
func fault(f policy.Fault) string {
	var names []string
	for i, name := range []string{"Connect", "TLS", "Reset", "Timeout", "GatewayError"} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
