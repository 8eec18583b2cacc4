package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// budget bounds the retries towards one backend, or of a whole gateway, to a share of the requests (GEP-3388). It lives on
// from table to table.
type budget struct {
	setting  policy.Budget
	now      func() time.Time
	requests window
	retries  window
	floor    window
	mu       sync.Mutex // of those who retry
}

func newBudget(setting policy.Budget) *budget {
	b := &budget{setting: setting, now: time.Now}
	b.requests.length, b.retries.length, b.floor.length = setting.Interval, setting.Interval, setting.FloorInterval
	return b
}

// request counts a request's first attempt.
func (b *budget) request() { b.requests.add(b.now()) }

// take asks for one retry, requests being those of the last interval.
func (b *budget) take(requests int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.floor.sum(now) >= int64(b.setting.Floor) && (b.retries.sum(now)+1)*100 > requests*int64(b.setting.Percent) {
		return false
	}
	b.floor.add(now)
	b.retries.add(now)
	return true
}

// unsentBudget bounds what was never sent and goes elsewhere, in a whole gateway: once a request on the average, since
// nobody did any work for it.
var unsentBudget = policy.Budget{Percent: 100, Interval: 10 * time.Second, Floor: 10, FloorInterval: time.Second}

// requests are those of the gateway's backends in the last interval. It is asked by those who retry alone.
func (g *gateway) requests() int64 {
	n := int64(0)
	for _, b := range g.budgets {
		n += b.requests.sum(b.now())
	}
	return n
}

// window counts events of the last length of time, to half of its precision: two halves that take turns.
type window struct {
	length time.Duration
	half   atomic.Int64 // which half since the epoch the counts are of
	counts [2]atomic.Int64
}

func (w *window) add(now time.Time) {
	w.turn(now)
	w.counts[0].Add(1)
}

func (w *window) sum(now time.Time) int64 {
	w.turn(now)
	return w.counts[0].Load() + w.counts[1].Load()
}

// turn begins a new half where it is time. Of those who see it at once one does it; a count that falls between is lost.
func (w *window) turn(now time.Time) {
	if w.length <= 0 {
		return
	}
	half := now.UnixNano() / max(int64(w.length)/2, 1)
	last := w.half.Load()
	if half == last || !w.half.CompareAndSwap(last, half) {
		return
	}
	former := w.counts[0].Swap(0)
	if half > last+1 {
		former = 0
	}
	w.counts[1].Store(former)
}
