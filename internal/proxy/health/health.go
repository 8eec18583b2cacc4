// Package health says whether a backend, and each of its addresses, may be asked now. A Backend learns from requests
// (passive health), from checks of its own (active health), and from the backend's word that it wants to be left alone.
//
// It draws no backend, repeats nothing and knows no HTTP status: who calls it says what a failure was. One Backend
// stands for one backend of one Gateway and lives on from table to table. Package proxy asks it in each draw and tells
// it of each attempt; dial asks which addresses to try last and tells how connecting to them went; a Prober tells the
// results of active checks.
package health

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// Config is what a Backend is made of. Its zero value counts nothing.
type Config struct {
	Setting policy.Health
	Now     func() time.Time // nil: time.Now
	Rand    func() float64   // from [0, 1), safe for concurrent use; nil: math/rand/v2

	// Told is told that the backend has been taken out, until when where that is known, and by which fault last; and that its
	// checks have brought it back. May be nil.
	Told func(now Phase, until *time.Time, fault string)
}

// Backend is the health of one backend of one Gateway. It is safe for concurrent use, and takes no lock while the
// backend is well.
type Backend struct {
	now   func() time.Time
	rand  func() float64
	told  func(Phase, *time.Time, string)
	epoch time.Time // times in atomics are counted from it, by the monotonic clock

	calm      atomic.Bool // it may be drawn and nothing is held against it: neither a draw nor a success has anything to do
	rated     atomic.Bool // a rate of errors ejects: requests are counted
	requests  atomic.Int64
	skips     atomic.Int32 // addresses that may have to be skipped
	age       atomic.Uint64
	addresses atomic.Pointer[map[netip.AddrPort]*address] // replaced under mu, never changed

	mu        sync.Mutex
	setting   policy.Health
	row       int // faults since the last success
	window    time.Time
	faults    int // in the window
	ejected   block
	level     int // ejections in a row
	ejections uint64
	aside     block
	asideFrom time.Time
	rejected  int           // Rejected answers since the last success
	pause     time.Duration // that the last of them was worth
	failing   bool          // every checked address fails its checks
	returned  block         // after failing
	last      policy.Fault
}

// block is a time in which a backend is not drawn, and the one after it over which it gets its share again.
type block struct {
	until time.Time
	ramp  time.Duration
}

// firstShare is what a backend that comes back begins with.
const firstShare = 0.1

// share is the part of its draws that a backend gets: 0 while the block lasts, 1 when all is over.
func (b block) share(now time.Time) float64 {
	since := now.Sub(b.until)
	switch {
	case since < 0:
		return 0
	case since >= b.ramp:
		return 1
	}
	return firstShare + (1-firstShare)*float64(since)/float64(b.ramp)
}

// New makes the health of a backend of which nothing is known, which counts as well.
func New(c Config) *Backend {
	b := &Backend{now: c.Now, rand: c.Rand, told: c.Told}
	if b.now == nil {
		b.now = time.Now
	}
	if b.rand == nil {
		b.rand = rand.Float64
	}
	b.epoch = b.now()
	b.addresses.Store(&map[netip.AddrPort]*address{})
	b.Set(c.Setting)
	return b
}

// Set changes the setting: what is held against the backend stays, but for results of checks where there are none now.
func (b *Backend) Set(s policy.Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setting = s
	b.rated.Store(s.Passive.ErrorPercent > 0)
	if s.Active == nil {
		b.uncheck()
	}
	b.settle(b.now())
}

// Admits reports whether the backend may be drawn now. While it comes back that is left to chance, which grows evenly
// from a tenth to certainty: those it is asked by are not to come all at once.
func (b *Backend) Admits() bool {
	if b.calm.Load() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	share := b.share(now)
	b.settle(now)
	return share == 1 || share > 0 && b.rand() < share
}

// Succeeded tells of an attempt that was answered, by none of the answers that Rejected is for. The address may be invalid.
func (b *Backend) Succeeded(addr netip.AddrPort) {
	if b.rated.Load() {
		b.requests.Add(1)
	}
	if a := b.address(addr); a != nil && a.row.Load() > 0 {
		b.mu.Lock()
		b.acquit(a)
		b.mu.Unlock()
	}
	if b.calm.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row, b.rejected, b.pause = 0, 0, 0
	b.settle(b.now())
}

// share is the least that the blocks leave.
func (b *Backend) share(now time.Time) float64 {
	if b.failing {
		return 0
	}
	return min(b.ejected.share(now), b.aside.share(now), b.returned.share(now))
}

// settle finds out whether anything is left to be done for a draw or a success.
func (b *Backend) settle(now time.Time) {
	b.calm.Store(b.row == 0 && b.rejected == 0 && b.share(now) == 1)
}
