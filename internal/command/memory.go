package command

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// heapFloor is the heap that is not collected: requests of HTTP/2 leave garbage, and where little else is in memory Go's
// collector would run for each few thousand of them. Of a small limit it is a quarter.
const (
	heapFloor  = 48 << 20
	floorShare = 4
)

// LimitMemory has Go's runtime keep to nine tenths of the memory that the container, or else the machine, has, unless
// GOMEMLIMIT says something else. A process that comes near it takes on less, instead of being killed. Below 48 MiB the heap
// is left alone, unless GOGC says when it is to be collected.
func LimitMemory(logger *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)))
	if err != nil {
		logger.Warn("memory is not limited: set GOMEMLIMIT", "error", err)
	} else {
		logger.Debug("memory is limited", "bytes", limit)
	}
	if os.Getenv("GOGC") == "" {
		leaveHeap(min(heapFloor, uint64(debug.SetMemoryLimit(-1))/floorShare)) //nolint:gosec // a limit is not negative
	}
}

// leaveHeap has the collector leave a heap below floor alone. It looks again after each collection, whose finalizers run then.
func leaveHeap(floor uint64) {
	type cycle struct{ _ *byte } // with a pointer: what has none may share its memory with others, which live longer
	seen := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	set := growth
	var look func(*cycle)
	look = func(c *cycle) {
		metrics.Read(seen)
		if percent := growthTo(floor, seen[0].Value.Uint64(), seen[1].Value.Uint64()+seen[2].Value.Uint64()); percent != set {
			debug.SetGCPercent(percent)
			set = percent
		}
		runtime.SetFinalizer(c, look)
	}
	look(new(cycle))
}

// growth is Go's own: a heap is collected when it has grown by so many per cent of what the collection before left, and of
// what else that had to look through.
const growth = 100

// growthTo is by how many per cent a heap of which live is left may grow, to be collected at floor or before. It comes in steps,
// since each change stops all goroutines for a moment; and it is bounded, since a burst is collected by what was set before it.
func growthTo(floor, live, beside uint64) int {
	const step, most, least = 25, 400, 4 << 20 // Go's least heap is so many bytes at 100 %, and more in proportion
	if live >= floor {
		return growth
	}
	percent := min((floor-live)*100/max(1, live+beside), floor*100/least, most)
	return int(max(growth, percent-percent%step))
}
