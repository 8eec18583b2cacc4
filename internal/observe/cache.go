package observe

import (
	"maps"
	"sync"
	"sync/atomic"
)

// cache finds the counters of a label set without a lock and without allocating. It holds limit entries at most and
// forgets none. Reads go to a published map that nobody writes; what it lacks is looked up, or made, under the lock, and
// the map is published anew once it has been missed as often as it has entries, so that copying costs a constant an entry.
type cache[K comparable, V any] struct {
	limit int
	build func(K) (K, V) // returns a key that may be kept: the one asked for may point into a connection's buffer

	published atomic.Pointer[map[K]V]
	mu        sync.Mutex
	all       map[K]V
	misses    int
}

func newCache[K comparable, V any](limit int, build func(K) (K, V)) *cache[K, V] {
	c := &cache[K, V]{limit: limit, build: build, all: map[K]V{}}
	c.published.Store(&map[K]V{})
	return c
}

// get returns the entry of k; false where it has none and is full.
func (c *cache[K, V]) get(k K) (V, bool) {
	published := *c.published.Load()
	if v, ok := published[k]; ok {
		return v, true
	}
	if len(published) >= c.limit {
		var none V
		return none, false
	}
	return c.miss(k)
}

func (c *cache[K, V]) miss(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.all[k]
	if !ok {
		if len(c.all) >= c.limit {
			return v, false
		}
		k, v = c.build(k)
		c.all[k] = v
	}
	c.misses++
	if c.misses >= len(c.all) || len(c.all) == c.limit {
		published := maps.Clone(c.all)
		c.published.Store(&published)
		c.misses = 0
	}
	return v, true
}
