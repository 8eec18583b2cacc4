package command

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGrowthTo(t *testing.T) {
	f := func(live, beside uint64, want int) {
		t.Helper()
		if got := growthTo(48, live, beside); got != want {
			t.Errorf("%d are live, %d beside: %d %%, want %d", live, beside, got, want)
		}
	}
	f(0, 0, 1000)
	f(1, 0, 1000)
	f(10, 0, 375)
	f(10, 2, 300)
	f(20, 0, 125)
	f(24, 0, 100)
	f(47, 0, 100)
	f(48, 0, 100)
	f(1<<40, 1<<40, 100)
}

var garbage []byte

// TestLeaveHeap: what is garbage at once is collected as often as it fills the floor, not each 4 MiB, as Go has it for a heap that
// is almost empty.
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
	if n := after.NumGC - before.NumGC; n == 0 || n > 16 {
		t.Errorf("%d collections", n)
	}
}
