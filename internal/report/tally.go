package report

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// shards is a power of two, above the number of processors that deny at once as a rule.
const shards = 32

// Tally counts denials until they are taken. It is safe for concurrent use: each count goes into a shard drawn at random,
// whose lock no other request is likely to want, and allocates only what is counted for the first time since the last Take.
type Tally struct {
	shards    [shards]shard
	uncounted atomic.Int64
}

type shard struct {
	mu     sync.Mutex
	counts map[Cause]*int64
	_      [40]byte // a cache line of its own
}

// Denied counts a denial. The strings may be of memory that is used again.
func (t *Tally) Denied(route, policy string, reason exchange.Reason) {
	s := &t.shards[rand.Uint32()%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	cause := Cause{route, policy, reason}
	if n := s.counts[cause]; n != nil {
		*n++
		return
	}
	if len(s.counts) >= MaxDenials {
		t.uncounted.Add(1)
		return
	}
	if s.counts == nil {
		s.counts = map[Cause]*int64{}
	}
	n := int64(1)
	s.counts[Cause{strings.Clone(route), strings.Clone(policy), exchange.Reason(strings.Clone(string(reason)))}] = &n
}

// Take is what was counted since the last Take: the most frequent first, and how many more there was no room for.
func (t *Tally) Take() (denials []Denial, uncounted int64) {
	sums := map[Cause]int64{}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for cause, n := range s.counts {
			sums[cause] += *n
		}
		s.counts = nil
		s.mu.Unlock()
	}
	for cause, n := range sums {
		denials = append(denials, Denial{cause, n})
	}
	slices.SortFunc(denials, func(a, b Denial) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Reason, b.Reason))
	})
	uncounted = t.uncounted.Swap(0)
	for len(denials) > MaxDenials {
		last := len(denials) - 1
		uncounted += denials[last].Count
		denials = denials[:last]
	}
	return denials, uncounted
}
