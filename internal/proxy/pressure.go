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

func pressureOf(used, limit uint64) pressure {
	switch share := float64(used) / float64(limit); {
	case share >= 0.9:
		return shedding
	case share >= 0.8:
		return full
	case share >= 0.7:
		return thrifty
	}
	return relaxed
}

// memory is looked at every so often: what a request has to know of it is one value that seldom changes.
type memory struct {
	pressure atomic.Int32
	usage    memoryUsage
	seen     uint64 // collections at the last look
	same     int    // looks since there was another one
}

// memoryUsage tells what is used of how much, in bytes, as the last of so many collections found it; no limit is 0.
type memoryUsage func() (used, limit, collections uint64)

const (
	lookEvery = 100 * time.Millisecond
	stale     = 10 // looks at what the same collection found, after which there is another one
)

func (m *memory) now() pressure { return pressure(m.pressure.Load()) }

func (m *memory) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		m.look()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look says what holds from now on. What was reachable once may be garbage by now, and where nothing is let in nothing
// brings the next collection about.
func (m *memory) look() {
	used, limit, collections := m.usage()
	now := relaxed
	if limit > 0 {
		now = pressureOf(used, limit)
	}
	m.pressure.Store(int32(now))
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
	if j.server.memory.now() < shedding {
		return nil
	}
	j.conn.Retire()
	return exchange.Refuse(exchange.Overloaded, "the gateway has no memory left for another request")
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
