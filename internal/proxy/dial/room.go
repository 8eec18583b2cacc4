package dial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// ErrNoRoom is a backend to which as many connections are open as there may be, and no place in time for one more.
// Nothing was sent.
var ErrNoRoom = errors.New("every connection to the backend is in use")

// room bounds the connections of one Gateway to one backend, over all its pools. One that speaks HTTP/2 counts once.
// A request that finds one idle passes by two atomics; the lock is for who has to wait, and for who leaves while one does.
type room struct {
	limits  atomic.Pointer[policy.Connections]
	open    atomic.Int64 // connections, and those being made
	idle    atomic.Int64 // of them, those of HTTP/1.1 in a pool
	waiting atomic.Int64 // length of queue

	mu    sync.Mutex
	pools []*pool
	queue []*waiter
}

// roomKey is whose connections are counted together.
type roomKey struct{ gateway, backend string }

// waiter is a Get that waits for an idle connection, a stream, or a place for a connection of its own.
type waiter struct {
	pool    *pool
	streams bool          // a stream will do
	wake    chan struct{} // of one: it may try again
}

// set changes the limits. What is open beyond them is closed once it is idle.
func (r *room) set(c policy.Connections) {
	if c.Idle <= 0 {
		c.Idle = idleLimit
	}
	r.limits.Store(&c)
	for r.over() && r.evict() {
	}
	r.wake()
}

// enter takes a place for a connection, if there is one and nobody has waited for it longer.
func (r *room) enter(w *waiter) bool {
	if !r.first(w) {
		return false
	}
	for {
		open := r.open.Load()
		if most := r.limits.Load().Max; most > 0 && open >= int64(most) {
			return false
		}
		if r.open.CompareAndSwap(open, open+1) {
			return true
		}
	}
}

// leave gives a place back.
func (r *room) leave() {
	r.open.Add(-1)
	r.wake()
}

// over reports whether more is open than may be.
func (r *room) over() bool {
	most := r.limits.Load().Max
	return most > 0 && r.open.Load() > int64(most)
}

// tight reports whether no place is left for a new connection.
func (r *room) tight() bool {
	most := r.limits.Load().Max
	return most > 0 && r.open.Load() >= int64(most)
}

// full reports whether nothing is idle and no place is left.
func (r *room) full() bool {
	most := r.limits.Load().Max
	return most > 0 && (r.waiting.Load() > 0 || r.tight() && r.idle.Load() <= 0)
}

// first reports whether a waiter is at the head of the queue, or for nil, that there is none.
func (r *room) first(w *waiter) bool {
	if r.waiting.Load() == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) == 0 || r.queue[0] == w
}

// mayJoin reports whether a waiter for a stream is the first of its pool's, or for nil, that there is none.
func (r *room) mayJoin(p *pool, w *waiter) bool {
	if p.queued.Load() == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.firstOf(p)
	return i < 0 || r.queue[i] == w
}

func (r *room) firstOf(p *pool) int {
	return slices.IndexFunc(r.queue, func(w *waiter) bool { return w.streams && w.pool == p })
}

// wake has the first in the queue look again. Who finds something wakes the next, so that no news is lost on the way.
func (r *room) wake() {
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) > 0 {
		r.queue[0].signal()
	}
}

// freed has the first that waits for a stream of the pool look again.
func (r *room) freed(p *pool) {
	if p.queued.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.firstOf(p); i >= 0 {
		r.queue[i].signal()
	}
}

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// enqueue is false where as many wait as may.
func (r *room) enqueue(w *waiter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) >= r.limits.Load().Pending {
		return false
	}
	r.queue = append(r.queue, w)
	r.waiting.Add(1)
	if w.streams {
		w.pool.queued.Add(1)
	}
	return true
}

func (r *room) dequeue(w *waiter) {
	r.mu.Lock()
	r.queue = slices.DeleteFunc(r.queue, func(o *waiter) bool { return o == w })
	r.waiting.Add(-1)
	if w.streams {
		w.pool.queued.Add(-1)
	}
	r.mu.Unlock()
	r.wake()
	r.freed(w.pool)
}

// evict closes the connection that has been idle for longest, of whatever pool; of those that speak HTTP/2 any that
// carries nothing. It is false where there is none.
func (r *room) evict() bool {
	r.mu.Lock()
	pools := slices.Clone(r.pools)
	r.mu.Unlock()
	var from *pool
	var least time.Time
	for _, p := range pools {
		if since, ok := p.idleSince(); ok && (from == nil || since.Before(least)) {
			from, least = p, since
		}
	}
	if from != nil {
		if c := from.shift(); c != nil {
			_ = c.Close()
		}
		return true // or somebody took it: another look is worth it
	}
	for _, p := range pools {
		for _, s := range p.sharing() {
			if !s.retired.Load() && s.client.InFlight() == 0 {
				s.retire()
				return true
			}
		}
	}
	return false
}

func (r *room) add(p *pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pools = append(r.pools, p)
}

func (r *room) remove(p *pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pools = slices.DeleteFunc(r.pools, func(o *pool) bool { return o == p })
}

// empty reports whether nothing is left that counts.
func (r *room) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pools) == 0 && len(r.queue) == 0 && r.open.Load() == 0
}

// wait tries again whenever there is news, in the order in which they came, until the wait is over.
func (t *Target) wait(ctx context.Context, turn int, want Want) (Upstream, *Error) {
	r := t.pool.room
	h2, _ := t.wants(want)
	w := &waiter{pool: t.pool, streams: h2 && !want.Switch, wake: make(chan struct{}, 1)}
	limits := r.limits.Load()
	if limits.Wait <= 0 || !r.enqueue(w) {
		return nil, t.noRoom("as many requests wait for one as policy lets")
	}
	defer r.dequeue(w)
	over := time.NewTimer(limits.Wait)
	defer over.Stop()
	for {
		up, failure := t.acquire(ctx, turn, want, w)
		if !full(failure) {
			return up, failure
		}
		select {
		case <-w.wake:
		case <-over.C:
			return nil, t.noRoom("none became free in " + limits.Wait.String())
		case <-ctx.Done():
			return nil, ended(ctx)
		}
	}
}

func (t *Target) noRoom(why string) *Error {
	return &Error{Reason: exchange.Overloaded, Err: fmt.Errorf("%s: %w: %s", t.Backend.Name, ErrNoRoom, why)}
}

// errFull is what acquire fails with where waiting may help.
var errFull = &Error{Reason: exchange.Overloaded, Err: ErrNoRoom}

func full(e *Error) bool { return e == errFull }

// Full reports whether every connection that the target's backend may have is in use, so that a Get would have to wait.
func (t *Target) Full() bool { return t.pool.room.full() && !t.pool.hasStreams() }

// open makes a new connection where there is room for one, or idle ones that can give up theirs.
func (t *Target) open(ctx context.Context, turn int, h2 bool, w *waiter) (*Conn, *Error) {
	r := t.pool.room
	for !r.enter(w) {
		if !r.first(w) || !r.evict() {
			return nil, errFull
		}
	}
	c, failure := t.connect(ctx, turn, h2)
	if failure != nil {
		r.leave()
		return nil, failure
	}
	c.wire.room = r
	return c, nil
}

// Connections tells of each backend of each Gateway how many connections are open, or being made, and how many
// requests wait for one.
func (d *Dialer) Connections(yield func(gateway, backend string, open, pending int64)) {
	d.mu.Lock()
	rooms := make(map[roomKey]*room, len(d.rooms))
	for key, r := range d.rooms {
		rooms[key] = r
	}
	d.mu.Unlock()
	for key, r := range rooms {
		yield(key.gateway, key.backend, r.open.Load(), r.waiting.Load())
	}
}
