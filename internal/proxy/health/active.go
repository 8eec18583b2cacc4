package health

import (
	"net/netip"
	"time"
)

// Checked tells the result of an active check of an address. Before the first, an address counts as well; a backend
// fails when every address that was checked does.
func (b *Backend) Checked(addr netip.AddrPort, ok bool) {
	b.change(func(time.Time) { b.checked(addr, ok) })
}

func (b *Backend) checked(addr netip.AddrPort, ok bool) {
	active := b.setting.Active
	if active == nil {
		return // of a prober that was told too late
	}
	a := b.seen(addr)
	a.checked = true
	if ok {
		a.good, a.bad = a.good+1, 0
		if a.good >= active.HealthyAfter {
			a.failing.Store(false)
		}
	} else {
		a.good, a.bad = 0, a.bad+1
		if a.bad >= active.UnhealthyAfter {
			a.failing.Store(true)
		}
	}
	b.count()
	b.judge()
}

// judge finds out whether every checked address fails.
func (b *Backend) judge() {
	checked, failing := 0, 0
	for _, a := range *b.addresses.Load() {
		if a.checked {
			checked++
			if a.failing.Load() {
				failing++
			}
		}
	}
	fails := checked > 0 && failing == checked
	if b.failing && !fails {
		b.returned = block{until: b.now(), ramp: b.setting.SlowStart}
	}
	b.failing = fails
}

// Uncheck forgets the results of checks: nobody checks the backend for now.
func (b *Backend) Uncheck() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uncheck()
	b.settle(b.now())
}

// uncheck forgets the results of checks.
func (b *Backend) uncheck() {
	for _, a := range *b.addresses.Load() {
		a.good, a.bad, a.checked = 0, 0, false
		a.failing.Store(false)
	}
	b.count()
	b.judge()
}
