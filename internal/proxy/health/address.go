package health

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// maxAddresses bounds the addresses that are known of a backend; the one longest unused is forgotten for the next.
const maxAddresses = 256

// address is what is known of one.
type address struct {
	age     atomic.Uint64 // Backend.age when it was last used
	row     atomic.Int32  // faults since the last success
	until   atomic.Int64  // ejected, since the epoch
	failing atomic.Bool   // its checks

	// guarded by Backend.mu
	last      policy.Fault
	level     int
	good, bad int // checks in a row
	checked   bool
}

// address finds what is known of an address, and notes that it is in use; nil where nothing is.
func (b *Backend) address(addr netip.AddrPort) *address {
	a := (*b.addresses.Load())[addr]
	if a != nil {
		if age := b.age.Load(); a.age.Load() != age {
			a.age.Store(age)
		}
	}
	return a
}

// seen is address that makes one known.
func (b *Backend) seen(addr netip.AddrPort) *address {
	if a := b.address(addr); a != nil {
		return a
	}
	known := maps.Clone(*b.addresses.Load())
	if len(known) >= maxAddresses {
		delete(known, b.oldest())
	}
	a := &address{}
	a.age.Store(b.age.Add(1))
	known[addr] = a
	b.replace(known)
	return a
}

func (b *Backend) oldest() (oldest netip.AddrPort) {
	least := ^uint64(0)
	for addr, a := range *b.addresses.Load() {
		if age := a.age.Load(); age < least {
			oldest, least = addr, age
		}
	}
	return oldest
}

func (b *Backend) replace(known map[netip.AddrPort]*address) {
	b.addresses.Store(&known)
	b.count()
	b.judge()
}

// SetAddresses says which addresses the backend has: others are forgotten. Beyond 256 they are left out.
func (b *Backend) SetAddresses(list []netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.addresses.Load()
	known := make(map[netip.AddrPort]*address, len(list))
	for _, addr := range list[:min(len(list), maxAddresses)] {
		if known[addr] = old[addr]; known[addr] == nil {
			known[addr] = &address{}
		}
	}
	b.replace(known)
	b.settle(b.now())
}

// Skip reports whether an address is to be tried after the others: it is ejected for itself, or fails its checks. An
// address that is the only one is never skipped.
func (b *Backend) Skip(addr netip.AddrPort) bool {
	if b.skips.Load() == 0 {
		return false
	}
	known := *b.addresses.Load()
	a := known[addr]
	return a != nil && len(known) > 1 && (a.failing.Load() || a.ejected(b.since()))
}

func (b *Backend) since() time.Duration { return b.now().Sub(b.epoch) }

func (a *address) ejected(since time.Duration) bool {
	until := a.until.Load()
	return until > 0 && time.Duration(until) > since
}

// Connected tells of an address that took a connection, with its TLS handshake. It wipes out what kept others from
// being made, and not what became of them.
func (b *Backend) Connected(addr netip.AddrPort) {
	a := b.address(addr)
	if a != nil && a.row.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a = b.seen(addr); a.last != policy.FaultReset {
		b.acquit(a)
	}
}

// Unconnected tells of an address that took no connection, or no TLS handshake, whatever became of the attempt.
func (b *Backend) Unconnected(f policy.Fault, addr netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.seen(addr)
	if b.setting.Passive.On&f != 0 {
		b.accuse(a, f, b.now())
	}
}

// accuse counts a fault against an address, and ejects it where that makes too many in a row and not too many are.
func (b *Backend) accuse(a *address, f policy.Fault, now time.Time) {
	p, since := &b.setting.Passive, now.Sub(b.epoch)
	a.last = f
	if a.ejected(since) {
		return
	}
	if row := int(a.row.Add(1)); p.ConsecutiveErrors <= 0 || row < p.ConsecutiveErrors || !b.spares(since) {
		return
	}
	a.level = b.lengthen(a.level, b.epoch.Add(time.Duration(a.until.Load())), now)
	a.until.Store(int64(since + b.ejection(a.level)))
	a.row.Store(max(a.row.Load()-1, 1)) // once it is back the first fault ejects it again, and a success is noticed
	b.count()
}

// spares reports whether one more address may be ejected.
func (b *Backend) spares(since time.Duration) bool {
	known := *b.addresses.Load()
	ejected := 1
	for _, a := range known {
		if a.ejected(since) {
			ejected++
		}
	}
	return ejected*100 <= b.setting.Passive.MaxEjectedPercent*len(known)
}

// acquit wipes out what is held against an address. An ejection lasts all the same: the success may be of a request
// that is older.
func (b *Backend) acquit(a *address) {
	a.row.Store(0)
	a.last = 0
	b.count()
}

// count tells Skip whether it has to look.
func (b *Backend) count() {
	n, since := int32(0), b.since()
	for _, a := range *b.addresses.Load() {
		if a.failing.Load() || a.ejected(since) {
			n++
		}
	}
	b.skips.Store(n)
}
