package proxy

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// pressure is how much of the memory that the process may use is in use, in steps.
type pressure int32

// The steps, and from which share of memory on they hold. What each does without, those above do without as well.
const (
	relaxed  pressure = iota
	thrifty           // 70 %: bodies are not kept to be sent again, and requests not mirrored
	full              // 80 %: no further connections
	shedding          // 90 %: no further requests
)

// shares are from where on a step holds.
var shares = [...]float64{thrifty: 0.7, full: 0.8, shedding: 0.9}

func pressureOf(used, limit uint64) pressure {
	step := relaxed
	for step < shedding && float64(used) >= shares[step+1]*float64(limit) {
		step++
	}
	return step
}

// memory is looked at every so often: what a request has to know of it is a few values that seldom change. Between two
// looks, and until a collection has found what is in use, those who hold much say so themselves.
type memory struct {
	pressure atomic.Int32
	taken    atomic.Int64              // what connections, exchanges and bodies hold, in bytes, as they say
	most     [len(shares)]atomic.Int64 // how much that may be before a step is reached; 0: without bound
	usage    memoryUsage
	seen     uint64 // collections at the last look
	same     int    // looks since there was another one
	last     int64  // taken at the last look
	looks    int    // while nothing is let in
	unstick  func() // ends exchanges whose client takes nothing
	found    int64  // of taken, what the last collection found
}

// memoryUsage tells what is used of how much, in bytes, as the last of so many collections found it; no limit is 0.
type memoryUsage func() (used, limit, collections uint64)

const (
	lookEvery = 100 * time.Millisecond
	stale     = 10 // looks at what the same collection found, after which there is another one
	patience  = 3  // looks, with a client that takes nothing of its answer while nothing is let in
)

// What is taken for each, in bytes: about what it comes to without bodies, with its goroutine and its buffers.
const (
	ofConnection = 16 << 10
	ofExchange   = 32 << 10
)

func (m *memory) now() pressure { return pressure(m.pressure.Load()) }

// note counts n bytes that somebody is about to hold, and reports whether memory stays below the step with them.
func (m *memory) note(n int64, step pressure) bool {
	most := m.most[step].Load()
	return m.taken.Add(n) <= most || most == 0
}

// take does the same, and counts none where there is no room.
func (m *memory) take(n int64, step pressure) bool {
	if m.note(n, step) {
		return true
	}
	m.give(n)
	return false
}

// give is the end of what was counted.
func (m *memory) give(n int64) { m.taken.Add(-n) }

func (m *memory) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.look()
		}
	}
}

// look says what holds from now on. What was reachable once may be garbage by now, and where nothing is let in nothing
// brings the next collection about.
func (m *memory) look() {
	used, limit, collections := m.usage()
	taken := m.taken.Load()
	if collections != m.seen {
		m.found = min(m.last, taken) // what was taken since the last look it may have missed
	}
	m.last = taken
	now := relaxed
	if limit > 0 {
		now = pressureOf(used+uint64(max(taken-m.found, 0)), limit)
		for step := thrifty; step <= shedding; step++ {
			m.most[step].Store(max(m.found+int64(shares[step]*float64(limit))-int64(used), 1)) //nolint:gosec // a machine's memory fits
		}
	}
	m.pressure.Store(int32(now))
	if m.looks++; now < shedding {
		m.looks = 0
	}
	if m.looks%patience == 1 && m.unstick != nil {
		m.unstick()
	}
	if m.same++; now == relaxed || collections != m.seen {
		m.seen, m.same = collections, 0
	}
	if m.same >= stale {
		m.same = 0
		runtime.GC()
	}
}

// shed refuses what there is no memory for.
func (j *journey) shed() *exchange.Refusal {
	if m := &j.server.memory; m.now() < shedding && m.take(ofExchange, shedding) {
		j.taken += ofExchange
		return nil
	}
	j.conn.Retire()
	return exchange.Refuse(exchange.Overloaded, "the gateway has no memory left for another request")
}

// hoard notes n bytes more of a body that is held, where there is memory for them.
func (j *journey) hoard(n int) bool {
	if !j.server.memory.take(int64(n), shedding) {
		return false
	}
	j.taken += int64(n)
	return true
}

// giveBack is once all is let go of that the exchange has taken.
func (j *journey) giveBack() {
	j.server.memory.give(j.taken)
	j.taken = 0
}

// Enter implements accept.Handler.
func (s *Server) Enter() bool { return s.memory.now() < full && s.memory.take(ofConnection, full) }

// Leave implements accept.Handler.
func (s *Server) Leave() { s.memory.give(ofConnection) }

// Sheds implements accept.Handler.
func (s *Server) Sheds() bool { return s.memory.now() >= shedding }

// unstick ends the exchanges whose clients have taken nothing of their answers since it was called before: what a destination
// of HTTP/2 goes on to send waits in our memory.
func (s *Server) unstick() {
	s.sweeper.Each(func(e *watch.Entry) {
		if e.Stuck() {
			e.Stop(watch.NoMemory)
		}
	})
}

// usage is what is reachable, as the last collection found it, with what else the runtime cannot do without; garbage is no
// pressure. The limit is Go's (GOMEMLIMIT).
func usage() (used, limit, collections uint64) {
	samples := [...]metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/memory/classes/os-stacks:bytes"},
		{Name: "/memory/classes/metadata/mspan/inuse:bytes"}, {Name: "/memory/classes/metadata/other:bytes"}, {Name: "/memory/classes/other:bytes"},
	}
	metrics.Read(samples[:])
	for i := range samples[1:] {
		used += samples[1+i].Value.Uint64()
	}
	if soft := debug.SetMemoryLimit(-1); soft != math.MaxInt64 {
		limit = uint64(max(soft, 1))
	}
	return used, limit, samples[0].Value.Uint64()
}
