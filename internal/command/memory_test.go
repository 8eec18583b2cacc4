package command

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGrowthTo(t *testing.T) {
	f := func(floor, live, beside uint64, want int) {
		t.Helper()
		if got := growthTo(floor<<20, live<<20, beside<<20); got != want {
			t.Errorf("to %d, %d are live, %d beside: %d %%, want %d", floor, live, beside, got, want)
		}
	}
	f(48, 0, 0, 400)
	f(48, 1, 0, 400)
	f(48, 10, 0, 375)
	f(48, 10, 2, 300)
	f(48, 20, 0, 125)
	f(48, 24, 0, 100)
	f(48, 47, 0, 100)
	f(48, 48, 0, 100)
	f(48, 1<<40, 1<<40, 100)
	f(8, 0, 0, 200)
	f(8, 1, 0, 200)
	f(3, 0, 0, 100)
	f(0, 0, 0, 100)
}

var garbage []byte

// TestLeaveHeap: what is garbage at once is not collected each 4 MiB, as Go has it for a heap that is almost empty, but each 16: the
// most that it may grow to.
func TestLeaveHeap(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(growth))
	leaveHeap(64 << 20)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 512 {
		garbage = make([]byte, 1<<20)
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n == 0 || n > 60 {
		t.Errorf("%d collections", n)
	}
}
