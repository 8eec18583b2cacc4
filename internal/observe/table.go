package observe

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// minSlots is the table's first size; sizes are powers of two.
const minSlots = 32

// grace is how long a label set outlives its use once the plan lacks it: the last scrape of its counters is to be seen,
// and Prometheus looks back five minutes.
const grace = 10 * time.Minute

// table finds the counters of a label set. It is open-addressed and never more than half full. Readers take no lock:
// they see slots that go from nil to their set once, in an array that is replaced whole to grow or to forget.
type table struct {
	seed  maphash.Seed
	limit [kinds]int64

	slots atomic.Pointer[[]atomic.Pointer[series]]
	used  [kinds]atomic.Int64 // written under mu

	mu      sync.Mutex
	leaving int // sets that the plan lacks
}

// newTable splits the allowed number of label sets: three quarters for those that name the client, one for all at the
// end, and what is left for those that name none.
func newTable(maxSeries int) *table {
	unnamed := max(maxSeries/4, 1)
	t := &table{seed: maphash.MakeSeed(), limit: [kinds]int64{int64(maxSeries - unnamed - 1), int64(unnamed), 1}}
	t.publish(nil, minSlots)
	return t
}

// get is the label set, or the coarser one that stands for it once the bound is reached.
func (t *table) get(l labels) *series {
	if s := t.find(l, maphash.Comparable(t.seed, l)); s != nil {
		return s
	}
	for l = l.clean(); ; l = l.coarser() {
		if s := t.find(l, maphash.Comparable(t.seed, l)); s != nil {
			return s
		}
		if s := t.add(l); s != nil {
			return s
		}
	}
}

func (t *table) find(l labels, hash uint64) *series {
	slots := *t.slots.Load()
	mask := uint64(len(slots)) - 1
	for i := hash & mask; ; i = (i + 1) & mask {
		s := slots[i].Load()
		if s == nil || s.hash == hash && s.labels == l {
			return s
		}
	}
}

// add is a new set for the labels; nil where there is no room.
func (t *table) add(l labels) *series {
	kind := l.kind()
	if t.used[kind].Load() >= t.limit[kind] { // before the lock, which all that overflows would share
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	hash := maphash.Comparable(t.seed, l)
	if s := t.find(l, hash); s != nil { // another was quicker
		return s
	}
	if t.used[kind].Load() >= t.limit[kind] {
		return nil
	}
	if slots := *t.slots.Load(); t.len() >= len(slots)/2 {
		t.publish(slices.Collect(t.all), 2*len(slots))
	}
	s := &series{labels: l.clone(), hash: hash}
	place(*t.slots.Load(), s)
	t.used[kind].Add(1)
	return s
}

func (t *table) len() int {
	n := int64(0)
	for i := range t.used {
		n += t.used[i].Load()
	}
	return int(n)
}

// all yields every set.
func (t *table) all(yield func(*series) bool) {
	slots := *t.slots.Load()
	for i := range slots {
		if s := slots[i].Load(); s != nil && !yield(s) {
			return
		}
	}
}

// publish replaces the array by one of the given size with the given sets.
func (t *table) publish(sets []*series, size int) {
	slots := make([]atomic.Pointer[series], size)
	for _, s := range sets {
		place(slots, s)
	}
	t.slots.Store(&slots)
}

func place(slots []atomic.Pointer[series], s *series) {
	mask := uint64(len(slots)) - 1
	i := s.hash & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(s)
}

// count counts one of the variant, or of the rest where there is no room for it.
func (t *table) count(v *variants, of variant) {
	c := v.find(of)
	if c == nil {
		c = t.vary(v, of.clean())
	}
	c.n.Add(1)
}

func (t *table) vary(v *variants, of variant) *count {
	if c := v.find(of); c != nil {
		return c
	}
	if c := v.find(rest); c != nil { // before the lock, which all that overflows would share
		return c
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return v.add(of)
}

// retain marks the sets that keep does not hold, and forgets those that have been marked and unused for the grace.
func (t *table) retain(keep func(gateway, route, backend string) bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = 0
	for s := range t.all {
		switch l := &s.labels; {
		case l.kind() == nothing || keep(l.gateway, l.route, l.backend):
			s.left = time.Time{}
			continue
		case s.left.IsZero():
			s.left, s.leftWith = now, s.uses()
		}
		t.leaving++
	}
	t.forget(now)
}

// prune forgets the marked sets that were unused for the grace.
func (t *table) prune(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
}

// forget may lose what is counted in a set at this very moment, after ten minutes of nothing, for a route that is gone.
func (t *table) forget(now time.Time) {
	if t.leaving == 0 {
		return
	}
	kept := make([]*series, 0, t.len())
	for s := range t.all {
		if uses := s.uses(); !s.left.IsZero() && uses != s.leftWith { // a long stream has ended since
			s.left, s.leftWith = now, uses
		}
		if s.left.IsZero() || now.Sub(s.left) < grace {
			kept = append(kept, s)
			continue
		}
		t.used[s.labels.kind()].Add(-1)
		t.leaving--
	}
	if len(kept) == cap(kept) { // nothing to forget
		return
	}
	size := minSlots
	for size < 2*(len(kept)+1) {
		size *= 2
	}
	t.publish(kept, size)
}
