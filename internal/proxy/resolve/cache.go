package resolve

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	maxShards = 32
	sampled   = 8 // entries looked at to find one long unused
)

// cache holds entries by (settings, name), in shards so that hits on different names share no lock; hits on one name
// share a read lock and nothing else.
type cache struct {
	seed   maphash.Seed
	shards []shard
	bound  int // entries of one shard
}

type shard struct {
	mu      sync.RWMutex
	entries map[uint64]*entry
}

// entry is one name under one set of settings.
type entry struct {
	name   string
	dns    policy.DNS // a copy without Hosts, which are answered before the cache
	answer atomic.Pointer[answer]
	flight atomic.Pointer[flight]
	turn   atomic.Uint32
	used   atomic.Int64
}

// answer is what was learnt, good or bad. It never changes.
type answer struct {
	orders  [][]netip.Addr
	err     *Error
	expires time.Time
	stale   time.Time // until then orders may be served while a refresh runs or fails
}

// take is the answer in its next order.
func (a *answer) take(e *entry) ([]netip.Addr, error) {
	if a.err != nil {
		return nil, a.err
	}
	if len(a.orders) == 1 {
		return a.orders[0], nil
	}
	return a.orders[int(e.turn.Add(1)&turnMask)%len(a.orders)], nil
}

func newCache(entries int) *cache {
	shards := min(maxShards, entries)
	c := &cache{seed: maphash.MakeSeed(), shards: make([]shard, shards), bound: entries / shards}
	for i := range c.shards {
		c.shards[i].entries = make(map[uint64]*entry)
	}
	return c
}

// get is the entry of a name, or nil.
func (c *cache) get(name string, dns *policy.DNS) *entry {
	key := c.key(name, dns)
	s := &c.shards[key%uint64(len(c.shards))]
	s.mu.RLock()
	e := s.entries[key]
	s.mu.RUnlock()
	if e == nil || !e.is(name, dns) {
		return nil
	}
	return e
}

// add is the entry of a name, made where there is none. A full shard gives up the least recently used of a few.
func (c *cache) add(name string, dns *policy.DNS) *entry {
	key := c.key(name, dns)
	s := &c.shards[key%uint64(len(c.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.entries[key]
	if old != nil && old.is(name, dns) {
		return old
	}
	if old == nil && len(s.entries) >= c.bound {
		s.evict()
	}
	e := &entry{name: strings.Clone(name), dns: *dns} // the name may stand in a connection's buffer
	e.dns.Hosts = nil
	e.dns.Resolvers = slices.Clone(dns.Resolvers)
	s.entries[key] = e
	return e
}

// evict removes the least recently used of a sample: a map is walked from a random place.
func (s *shard) evict() {
	var victim uint64
	var oldest *entry
	seen := 0
	for key, e := range s.entries {
		if oldest == nil || e.used.Load() < oldest.used.Load() {
			victim, oldest = key, e
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(s.entries, victim)
}

func (c *cache) key(name string, dns *policy.DNS) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(name)
	var number [8]byte
	for _, r := range dns.Resolvers {
		address := r.Address.Addr().As16()
		_, _ = h.Write(address[:])
		binary.LittleEndian.PutUint64(number[:], uint64(r.Address.Port())<<1|bit(r.TCP))
		_, _ = h.Write(number[:])
	}
	for _, n := range [...]uint64{
		uint64(dns.Family), uint64(dns.MinTTL), uint64(dns.MaxTTL), uint64(dns.Negative), uint64(dns.ServeStale), //nolint:gosec // hashed, not counted
	} {
		binary.LittleEndian.PutUint64(number[:], n)
		_, _ = h.Write(number[:])
	}
	return h.Sum64()
}

// is tells two entries apart whose keys collide.
func (e *entry) is(name string, dns *policy.DNS) bool {
	return e.name == name && e.dns.Family == dns.Family && e.dns.MinTTL == dns.MinTTL && e.dns.MaxTTL == dns.MaxTTL &&
		e.dns.Negative == dns.Negative && e.dns.ServeStale == dns.ServeStale && slices.Equal(e.dns.Resolvers, dns.Resolvers)
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
