// Package watch is the sweep over connections that replaces deadlines per request: twice a second it ends what has
// waited too long and notices clients that went away while their answer was being made. Deadlines shorter than a few
// sweeps get a timer of their own. accept registers every client connection; forward arms and disarms its Entry.
package watch

import (
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cause is why a wait was ended from outside.
type Cause uint32

// The causes.
const (
	None Cause = iota
	ClientGone
	HeadTimeout
	BodyTimeout
	IdleTimeout
	FirstByteTimeout
	StreamIdleTimeout
	AnswerTimeout // as StreamIdleTimeout, and the client has seen nothing of the answer
	EventTimeout  // as StreamIdleTimeout, and the client has read all that there was
	RequestTimeout
	AttemptTimeout
	Shutdown
	NoMemory // the client does not take its answer, which waits in memory that there is no more of
)

// ofAttempt reports whether a cause ends one attempt and leaves the exchange to go on.
func (c Cause) ofAttempt() bool { return c == FirstByteTimeout || c == AttemptTimeout }

const (
	interval = 500 * time.Millisecond // so that a client's leaving is known within a second
	precise  = 5 * time.Second        // shorter deadlines get a timer
	shards   = 16
)

// Sweeper watches connections.
type Sweeper struct {
	shards [shards]shard
	stop   chan struct{}
	done   chan struct{}
}

type shard struct {
	mu      sync.Mutex
	entries map[*Entry]struct{}
}

// New starts a sweeper; Close ends it.
func New() *Sweeper {
	s := &Sweeper{stop: make(chan struct{}), done: make(chan struct{})}
	for i := range s.shards {
		s.shards[i].entries = map[*Entry]struct{}{}
	}
	go s.run()
	return s
}

// Close stops sweeping.
func (s *Sweeper) Close() { close(s.stop); <-s.done }

func (s *Sweeper) run() {
	defer close(s.done)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.sweep(now)
		}
	}
}

func (s *Sweeper) sweep(now time.Time) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		due := make([]*Entry, 0, 8)
		for e := range sh.entries {
			if e.due(now.UnixNano()) || e.looks() {
				due = append(due, e)
			}
		}
		sh.mu.Unlock()
		for _, e := range due {
			e.look(now.UnixNano())
		}
	}
}

// Add registers a client connection. client is its socket, or nil where somebody else looks after the client's leaving
// and calls Stop; ended is called when a wait is ended, with the cause, in
// a goroutine of the sweeper's: it must neither block nor use the entry.
func (s *Sweeper) Add(client syscall.RawConn, ended func(Cause)) *Entry {
	e := &Entry{shard: &s.shards[rand.IntN(shards)], client: client, ended: ended}
	e.shard.mu.Lock()
	e.shard.entries[e] = struct{}{}
	e.shard.mu.Unlock()
	return e
}

// Each calls f for every registered connection.
func (s *Sweeper) Each(f func(*Entry)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		entries := make([]*Entry, 0, len(sh.entries))
		for e := range sh.entries {
			entries = append(entries, e)
		}
		sh.mu.Unlock()
		for _, e := range entries {
			f(e)
		}
	}
}

// Entry is one client connection under watch. Its owner arms and disarms it from one goroutine.
type Entry struct {
	shard     *shard
	client    syscall.RawConn
	ended     func(Cause)
	deadline  atomic.Int64 // Unix nanoseconds; 0: none
	whole     atomic.Int64 // deadline of the whole exchange, likewise
	attempt   atomic.Int64 // deadline of the attempt, likewise
	waiting   atomic.Uint32
	answering atomic.Bool   // an answer is being made: the client must still be there
	tunnel    atomic.Bool   // and may end its direction all the same
	writes    atomic.Uint32 // to the client, begun and over: odd while one goes on
	seen      uint32        // of writes, when Stuck was asked last

	mu       sync.Mutex
	removed  bool
	epoch    uint64 // counts exchanges and the pauses between them
	cause    Cause
	upstream io.Closer // closed when a wait ends
	timer    *time.Timer
	next     time.Time // when the timer rings
}

// Remove takes the connection out of the watch: nothing ends it from here on.
func (e *Entry) Remove() {
	e.shard.mu.Lock()
	delete(e.shard.entries, e)
	e.shard.mu.Unlock()
	e.mu.Lock()
	e.removed = true
	if e.timer != nil {
		e.timer.Stop()
	}
	e.mu.Unlock()
}

// Arm gives the current wait d at most; 0 is no limit. cause is what it will be ended with.
func (e *Entry) Arm(cause Cause, d time.Duration) {
	e.waiting.Store(uint32(cause))
	e.set(&e.deadline, d)
}

// Disarm ends the current wait's limit.
func (e *Entry) Disarm() { e.deadline.Store(0) }

// Begin marks the start of an exchange: its client must stay, and the whole may take d at most; 0 is no limit.
func (e *Entry) Begin(d time.Duration) {
	e.mu.Lock()
	e.epoch++
	e.cause = None
	e.mu.Unlock()
	e.Limit(d)
	e.answering.Store(true)
}

// Limit gives the exchange that has begun d at most, from now; 0 is no limit.
func (e *Entry) Limit(d time.Duration) { e.set(&e.whole, d) }

// set puts a deadline d from now; 0 takes it away.
func (e *Entry) set(deadline *atomic.Int64, d time.Duration) {
	if d <= 0 {
		deadline.Store(0)
		return
	}
	deadline.Store(time.Now().Add(d).UnixNano())
	if d < precise {
		e.wake(d)
	}
}

// Try begins an attempt, which may take d at most; 0 is no limit. What ended the attempt before it is forgotten.
func (e *Entry) Try(d time.Duration) {
	e.mu.Lock()
	if e.cause.ofAttempt() {
		e.cause = None
	}
	e.mu.Unlock()
	e.set(&e.attempt, d)
}

// End marks the end of an exchange. What a sweep decided about it has no effect from here on.
func (e *Entry) End() {
	e.answering.Store(false)
	e.tunnel.Store(false)
	e.deadline.Store(0)
	e.whole.Store(0)
	e.attempt.Store(0)
	e.mu.Lock()
	e.epoch++
	e.upstream = nil
	e.mu.Unlock()
}

// Attach names the upstream connection that an ended wait closes; nil for none. It reports false where the wait has
// been ended already.
func (e *Entry) Attach(upstream io.Closer) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.upstream = upstream
	return e.cause == None
}

// Cause is why the exchange was ended from outside, or None.
func (e *Entry) Cause() Cause {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cause
}

// Stop ends the current wait from outside.
func (e *Entry) Stop(cause Cause) {
	e.mu.Lock()
	epoch := e.epoch
	e.mu.Unlock()
	e.end(cause, epoch)
}

// wake has the entry looked at after d, or sooner where that was asked for.
func (e *Entry) wake(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if e.removed {
		return
	}
	if at := now.Add(d); e.next.IsZero() || at.Before(e.next) || e.next.Before(now) {
		e.next = at
	} else {
		return
	}
	if e.timer == nil {
		e.timer = time.AfterFunc(d, e.rung)
		return
	}
	e.timer.Reset(d)
}

func (e *Entry) rung() {
	e.mu.Lock()
	e.next = time.Time{}
	e.mu.Unlock()
	now := time.Now().UnixNano()
	e.look(now)
	for _, at := range [...]int64{e.deadline.Load(), e.whole.Load(), e.attempt.Load()} {
		if left := time.Duration(at - now); at != 0 && left < precise {
			e.wake(max(left, time.Millisecond))
		}
	}
}

// Renew undoes the end of a wait on the far side, which the client has been told of in full: its connection may go on.
// It reports false, and undoes nothing, where the end was another.
func (e *Entry) Renew(undo func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.removed || e.cause != EventTimeout && e.cause != RequestTimeout {
		return false
	}
	e.cause = None
	undo() // under the lock, as ended is
	return true
}

// looks reports whether the client's socket is to be looked at.
func (e *Entry) looks() bool { return e.answering.Load() && !e.tunnel.Load() && e.client != nil }

// Tunnel marks the exchange as a tunnel from here on: a client that ends its direction has not gone.
func (e *Entry) Tunnel() { e.tunnel.Store(true) }

func (e *Entry) due(now int64) bool {
	return passed(e.deadline.Load(), now) || passed(e.whole.Load(), now) || passed(e.attempt.Load(), now)
}

func passed(deadline, now int64) bool { return deadline != 0 && deadline <= now }

// look ends the wait if it is due or its client has gone.
func (e *Entry) look(now int64) {
	e.mu.Lock()
	epoch := e.epoch
	e.mu.Unlock()
	switch {
	case passed(e.whole.Load(), now):
		e.end(RequestTimeout, epoch)
	case passed(e.deadline.Load(), now):
		e.end(Cause(e.waiting.Load()), epoch)
	case passed(e.attempt.Load(), now):
		e.end(AttemptTimeout, epoch)
	case e.looks() && gone(e.client):
		e.end(ClientGone, epoch)
	}
}

func (e *Entry) end(cause Cause, epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.removed || e.epoch != epoch || e.cause != None && cause != Shutdown && !(e.cause.ofAttempt() && !cause.ofAttempt()) {
		return // another exchange by now, or ended already
	}
	e.cause = cause
	if cause != AttemptTimeout || Cause(e.waiting.Load()).ofAttempt() { // else the client may be the one who is waited for
		e.deadline.Store(0)
	}
	e.attempt.Store(0)
	if !cause.ofAttempt() {
		e.whole.Store(0)
	}
	if e.upstream != nil {
		_ = e.upstream.Close() // under the lock, so that no connection already back in its pool is closed
		e.upstream = nil
	}
	if !cause.ofAttempt() {
		e.ended(cause)
	}
}

// gone reports whether the peer has closed its side or reset the connection.
func gone(c syscall.RawConn) bool {
	if c == nil {
		return false
	}
	left := false
	err := c.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a file descriptor fits
		n, err := unix.Poll(fds, 0)
		left = err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return left || err != nil
}

// StopIdle ends the wait of a connection between exchanges.
func (e *Entry) StopIdle() {
	if e.answering.Load() {
		return
	}
	e.Stop(Shutdown)
}

// Write marks the begin and the end of a write to the client.
func (e *Entry) Write() { e.writes.Add(1) }

// Stuck reports whether a write to the client goes on that went on already when this was asked before. One goroutine asks.
func (e *Entry) Stuck() bool {
	before := e.seen
	e.seen = e.writes.Load()
	return e.seen == before && e.seen%2 == 1
}
