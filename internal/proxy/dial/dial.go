// Package dial owns the connections towards backends: it resolves, checks and dials addresses, does TLS as the backend's
// setting demands, and keeps idle connections in pools per (Gateway, backend, name, port, protocol, TLS setting). Through a
// parent it makes them in tunnels.
//
// The address that was checked is the address that is dialled, and no byte of a request is written before the far side is
// verified. It picks no backend and repeats nothing that was written. Connections that speak HTTP/2 are net/http's from
// their preface on, and shared by many exchanges; of HTTP/1.1 it speaks nothing. Package forward calls it for every
// attempt; whoever builds the table prepares its targets and releases them.
package dial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/resolve"
)

const (
	stagger       = 250 * time.Millisecond // between connection attempts (RFC 8305, section 5)
	idleLimit     = 90 * time.Second       // before an idle connection is closed, where no setting says so
	sweepInterval = time.Second
	keepAlive     = 30 * time.Second
	maxIdle       = 512 // idle connections of one pool, where no setting bounds them
	maxHosts      = 256 // names of one wildcard backend, or clients of tunnels to one, with a pool of their own
	maxCandidates = 32  // addresses one Get tries
	maxHandshakes = 2   // connections one Get does TLS on: a replica that breaks off may be the only one that does
)

// Config is what a Dialer is made of. Only Resolver is required.
type Config struct {
	Resolver *resolve.Resolver
	Logger   *slog.Logger
	Now      func() time.Time // also the time certificates are judged by
}

// Dialer makes and keeps connections. It is safe for concurrent use.
type Dialer struct {
	resolver *resolve.Resolver
	logger   *slog.Logger
	now      func() time.Time
	net      net.Dialer
	checks   checks

	transport *http.Transport  // makes HTTP/2 connections of ours
	tunnels   *http2.Transport //nolint:staticcheck // and those of tunnels

	mu     sync.Mutex
	pools  map[poolKey]*pool
	rooms  map[roomKey]*room
	closed bool
}

// New makes a dialer. Run keeps its pools tidy.
func New(c Config) (*Dialer, error) {
	if c.Resolver == nil {
		return nil, errors.New("make dialer: no resolver")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Dialer{
		resolver: c.Resolver,
		logger:   c.Logger,
		now:      c.Now,
		net:      net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 3}},
		pools:    make(map[poolKey]*pool),
		rooms:    make(map[roomKey]*room),

		transport: newTransport(), tunnels: newTunnels(),
	}, nil
}

// Run sweeps each second until ctx ends, then closes the dialer.
func (d *Dialer) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	defer d.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.Sweep()
		}
	}
}

// Sweep closes idle connections that are over their time or that the far side has closed.
func (d *Dialer) Sweep() {
	d.mu.Lock()
	pools := make([]*pool, 0, len(d.pools))
	for _, p := range d.pools {
		pools = append(pools, p)
	}
	maps.DeleteFunc(d.rooms, func(_ roomKey, r *room) bool { return r.empty() })
	d.mu.Unlock()
	now := d.now()
	for _, p := range pools {
		p.sweep(now)
	}
}

// Close closes every idle connection; those in use are closed when they are put back.
func (d *Dialer) Close() {
	d.mu.Lock()
	pools := d.pools
	d.pools, d.closed = make(map[poolKey]*pool), true
	d.mu.Unlock()
	for _, p := range pools {
		p.close()
	}
}

// Get is a connection to the target, or a stream of one: the one last put back that is still good and whose address the
// target may use now, else a new one. The caller ends it by Put or Close; a stream ends with ctx too. Errors are of type *Error.
func (d *Dialer) Get(ctx context.Context, t *Target, w Want) (Upstream, error) {
	if t.wild {
		return nil, &Error{Reason: exchange.Internal, Err: fmt.Errorf("dial %s: a wildcard has no connection of its own", t.Backend.Name)}
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	life := ctx
	if w.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.Limit)
		defer cancel()
	}
	turn := t.turn(w.Endpoint)
	up, failure := t.acquire(ctx, turn, w, nil)
	if full(failure) {
		up, failure = t.wait(ctx, turn, w)
	}
	if failure != nil {
		return nil, failure
	}
	if s, ok := up.(*Stream); ok {
		s.ctx, s.cancel = context.WithCancel(life)
	}
	return up, nil
}

// acquire takes a connection, or a stream, without waiting for those in use; where only they are left, it is full.
func (t *Target) acquire(ctx context.Context, turn int, want Want, w *waiter) (Upstream, *Error) {
	if h2, only := t.wants(want); h2 {
		if want.Switch {
			s, failure := t.tunnel(ctx, turn, w)
			if failure != nil {
				return nil, failure
			}
			return s, nil
		}
		if up, failure := t.stream(ctx, turn, only, w); up != nil || failure != nil {
			return up, failure
		}
	}
	if !t.pool.room.first(w) {
		return nil, errFull
	}
	c := t.reuse(ctx, turn)
	if c == nil && len(t.fixed) > 1 && !want.Endpoint.IsValid() && t.pool.room.tight() {
		c = t.reuseAny(ctx)
	}
	if c != nil {
		c.lend(true)
		return c, nil
	}
	c, failure := t.open(ctx, turn, false, w)
	if failure != nil {
		return nil, failure
	}
	c.lend(false)
	return c, nil
}

// turn says at which of the addresses of its own to begin: the one preferred or next, else the first after it that is
// not to be skipped.
func (t *Target) turn(preferred netip.AddrPort) int {
	turn := -1
	if preferred.IsValid() {
		turn = slices.Index(t.fixed, preferred)
	}
	if turn < 0 {
		turn = int(t.pool.turn.Add(1) & turnMask)
	}
	for i := range t.fixed {
		if !t.skips(t.fixed[(turn+i)%len(t.fixed)]) {
			return turn + i
		}
	}
	return turn
}
