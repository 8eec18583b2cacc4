package health

import (
	"net/netip"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	maxAside        = time.Hour
	rejectedInARow  = 5 // where consecutiveErrors says nothing
	firstPause      = time.Second
	longestPause    = 30 * time.Second
	maxRowOfEjected = 1 << 10 // bounds the level where no longest ejection does
)

// Failed tells of an attempt that failed, on the address where one is known. Faults that the setting does not list
// count for nothing. Connect and TLS faults count against an address by Unconnected alone, which dial calls for each
// address it tries, and not twice.
func (b *Backend) Failed(f policy.Fault, addr netip.AddrPort) {
	b.change(func(now time.Time) { b.failed(f, addr, now) })
}

func (b *Backend) failed(f policy.Fault, addr netip.AddrPort, now time.Time) {
	p := &b.setting.Passive
	if p.On&f == 0 {
		return
	}
	b.last = f
	if f == policy.FaultReset && addr.IsValid() {
		b.accuse(b.seen(addr), f, now)
	}
	if b.ejected.share(now) == 0 {
		return // it is out already; what fails now was mostly begun before
	}
	b.row++
	if b.excessive(now) || p.ConsecutiveErrors > 0 && (b.row >= p.ConsecutiveErrors || b.returning(now)) {
		b.eject(now)
	}
}

// returning reports whether the backend comes back from a failure, and not from a time that it asked for itself.
func (b *Backend) returning(now time.Time) bool {
	return b.ejected.share(now) < 1 || b.returned.share(now) < 1
}

// excessive counts a fault, and reports whether the rate of them is too high. The window begins with a fault, so that
// successes need no clock.
func (b *Backend) excessive(now time.Time) bool {
	p := &b.setting.Passive
	if p.ErrorPercent <= 0 {
		return false
	}
	if b.faults == 0 || now.Sub(b.window) >= p.Interval {
		b.window, b.faults = now, 0
		b.requests.Store(0)
	}
	b.faults++
	all := b.requests.Add(1)
	return b.returning(now) || all >= int64(max(p.ErrorRequests, 1)) && int64(b.faults)*100 >= all*int64(p.ErrorPercent)
}

// eject takes the backend out of the draw, each time in a row for longer.
func (b *Backend) eject(now time.Time) {
	b.level = b.lengthen(b.level, b.ejected.until, now)
	b.row, b.faults = 0, 0
	if d := b.ejection(b.level); d > 0 {
		b.ejected = block{until: now.Add(d), ramp: b.setting.SlowStart}
		b.ejections++
	}
}

// lengthen is the level of a new ejection: one more than the last, less one for each longest ejection's time of good
// conduct since.
func (b *Backend) lengthen(level int, last, now time.Time) int {
	p := &b.setting.Passive
	top := maxRowOfEjected
	if p.MaxEjection > 0 && p.Ejection > 0 {
		top = max(int((p.MaxEjection+p.Ejection-1)/p.Ejection), 1)
		if level > 0 {
			level -= int(min(int64(now.Sub(last)/p.MaxEjection), int64(level)))
		}
	}
	return min(level+1, top)
}

// ejection is how long an ejection of a level takes.
func (b *Backend) ejection(level int) time.Duration {
	p := &b.setting.Passive
	d := p.Ejection * time.Duration(level)
	if p.MaxEjection > 0 {
		d = min(d, p.MaxEjection)
	}
	return d
}

// SetAside leaves the backend alone for as long as it asked for, an hour at most. It never shortens the time.
func (b *Backend) SetAside(d time.Duration) {
	b.change(func(now time.Time) { b.setAside(min(d, maxAside), now) })
}

func (b *Backend) setAside(d time.Duration, now time.Time) {
	until := now.Add(d)
	if d <= 0 || !until.After(b.aside.until) {
		return
	}
	if b.aside.share(now) > 0 {
		b.asideFrom = now
	}
	b.aside = block{until: until, ramp: min(b.setting.SlowStart, until.Sub(b.asideFrom))}
}

// Rejected tells of an answer by which the backend did not do the work, being busy. Where it said until when, the caller
// calls SetAside too; where it did not, several in a row set it aside, each time for longer until one succeeds.
func (b *Backend) Rejected(said bool) {
	b.change(func(now time.Time) { b.reject(said, now) })
}

func (b *Backend) reject(said bool, now time.Time) {
	b.row = 0 // it answers
	if !said {
		b.rejected++
		limit := b.setting.Passive.ConsecutiveErrors
		if limit <= 0 {
			limit = rejectedInARow
		}
		if b.rejected >= limit && b.aside.share(now) > 0 { // else of those that were under way
			b.pause = min(max(b.pause*2, firstPause), longestPause)
			b.setAside(b.pause, now)
		}
	}
}
