// Package resolve turns the name of a backend into addresses: pinned answers first, then the DNS servers of the
// backend's policy, else the system's. Answers are cached within the policy's bounds, shared by concurrent requests, and
// served stale while a refresh runs or fails (RFC 8767).
//
// It judges no address (policy.Classify and the Address stages do, in dial), validates no DNSSEC, and never takes an IP
// literal for a name. Package dial calls it.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	defaultEntries = 4096
	queryTimeout   = 10 * time.Second        // one shared query, every server and try together
	tryTimeout     = 1500 * time.Millisecond // one server's answer
	failureLife    = time.Second             // how long a failure is remembered at most (RFC 9520, section 3.2: at least 1 s)
	staleRetry     = 5 * time.Second         // between refreshes of a stale answer (RFC 8767, section 5, leaves it to us)
	longestLife    = 7 * 24 * time.Hour      // RFC 8767, section 4: cap of a TTL where no MaxTTL is set
)

// Config is what a Resolver is made of. Its zero value is usable.
type Config struct {
	Logger     *slog.Logger
	Now        func() time.Time
	MaxEntries int // names kept; 4096 where zero
}

// Resolver answers lookups and remembers the answers. It is safe for concurrent use.
type Resolver struct {
	logger *slog.Logger
	now    func() time.Time
	cache  *cache
	system *net.Resolver
	turn   atomic.Uint32 // of pinned names

	ctx    context.Context // of the shared queries: it outlives every caller
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed, and flights against Close
	closed bool
	flying sync.WaitGroup
}

// Error is a lookup that gave no address. NotFound tells that the name has none (NXDOMAIN or no record of the family);
// otherwise nobody answered in time, or the name is none.
type Error struct {
	Host     string
	NotFound bool
	Err      error
}

func (e *Error) Error() string { return fmt.Sprintf("resolve %q: %v", e.Host, e.Err) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

var (
	errNotFound = errors.New("the name has no address")
	errClosed   = errors.New("the resolver is closed")
)

// New makes a resolver. Close ends what it runs.
func New(c Config) *Resolver {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxEntries <= 0 {
		c.MaxEntries = defaultEntries
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Resolver{
		logger: c.Logger,
		now:    c.Now,
		cache:  newCache(c.MaxEntries),
		system: &net.Resolver{PreferGo: true},
		ctx:    ctx,
		cancel: cancel,
	}
}

// Close cancels the queries under way and waits for their end. Later lookups fail unless they are cached.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.flying.Wait()
}

// Lookup is the addresses of host under the settings: IPv6 and IPv4 interleaved, IPv6 first (RFC 8305, section 4), each
// family rotated from call to call. The slice is shared and must not be changed. ctx bounds this caller's wait alone.
// Errors are of type *Error.
func (r *Resolver) Lookup(ctx context.Context, host string, dns *policy.DNS) ([]netip.Addr, error) {
	name, err := normalise(host)
	if err != nil {
		return nil, &Error{Host: host, Err: err}
	}
	if addresses, ok := pinned(name, dns, int(r.turn.Add(1)&turnMask)); ok {
		if len(addresses) == 0 {
			return nil, &Error{Host: name, NotFound: true, Err: errNotFound}
		}
		return addresses, nil
	}
	e := r.cache.get(name, dns)
	if e == nil {
		e = r.cache.add(name, dns)
	}
	e.used.Store(r.now().UnixNano())
	if a := r.ready(e); a != nil {
		return a.take(e)
	}
	f, err := r.fly(e)
	if err != nil {
		return nil, &Error{Host: name, Err: err}
	}
	select {
	case <-f.done:
		return f.answer.take(e)
	case <-ctx.Done():
		return nil, &Error{Host: name, Err: context.Cause(ctx)}
	}
}

// Cached is Lookup where the answer is at hand, in any order: it never waits, takes no turn and costs no allocation but
// for names pinned to several addresses.
func (r *Resolver) Cached(host string, dns *policy.DNS) ([]netip.Addr, bool) {
	name, err := normalise(host)
	if err != nil {
		return nil, false
	}
	if addresses, ok := pinned(name, dns, 0); ok {
		return addresses, len(addresses) > 0
	}
	e := r.cache.get(name, dns)
	if e == nil {
		return nil, false
	}
	e.used.Store(r.now().UnixNano())
	a := r.ready(e)
	if a == nil || a.err != nil {
		return nil, false
	}
	return a.orders[0], true
}

// ready is the entry's answer if it may be given now. A stale one starts its own refresh.
func (r *Resolver) ready(e *entry) *answer {
	a := e.answer.Load()
	if a == nil {
		return nil
	}
	now := r.now()
	if now.Before(a.expires) {
		return a
	}
	if a.err == nil && now.Before(a.stale) {
		_, _ = r.fly(e) // closed: the stale answer still holds
		return a
	}
	return nil
}

// pinned is the answer the policy wrote itself. A name that is pinned is never asked for, be its family empty.
func pinned(name string, dns *policy.DNS, turn int) ([]netip.Addr, bool) {
	if len(dns.Hosts) == 0 {
		return nil, false
	}
	list, ok := dns.Hosts[name]
	if !ok {
		for written, addresses := range dns.Hosts {
			if strings.EqualFold(strings.TrimSuffix(written, "."), name) {
				list, ok = addresses, true
				break
			}
		}
	}
	if !ok {
		return nil, false
	}
	if len(list) == 1 && !list[0].Is4In6() && wanted(list[0], dns.Family) {
		return list, true
	}
	v4, v6 := split(list, dns.Family)
	if len(v4)+len(v6) == 0 {
		return nil, true
	}
	return interleave(v6, v4, turn), true
}
