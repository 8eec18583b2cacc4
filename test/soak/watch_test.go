package soak

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is what the process held at one moment.
type sample struct {
	resident   int // bytes
	files      int
	goroutines int
	heap       int // bytes of objects, after a collection
	stacks     int // bytes
	cpu        time.Duration
}

// resident is what /proc says, in bytes: it costs the process nothing.
func (g *gateway) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.PID()))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// files is how many descriptors are open.
func (g *gateway) files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// cpu is the time of all threads, user's and the kernel's (proc_pid_stat(5)).
func (g *gateway) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.PID()))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// look takes a sample after a collection.
func (g *gateway) look(t *testing.T) sample {
	t.Helper()
	g.page(t, "/debug/pprof/heap?gc=1")
	metrics := g.page(t, "/metrics")
	return sample{
		resident: g.resident(t), files: g.files(t), cpu: g.cpu(t),
		goroutines: int(metricOf(t, metrics, "go_goroutines")), heap: int(metricOf(t, metrics, "go_memstats_heap_alloc_bytes")),
		stacks: int(metricOf(t, metrics, "go_memstats_stack_inuse_bytes")),
	}
}

// peak follows the resident memory until it is stopped, and gives the most that it was.
func (g *gateway) peak(t *testing.T) (stop func() int) {
	t.Helper()
	over, most := make(chan struct{}), 0
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, g.resident(t))
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	})
	return func() int { close(over); done.Wait(); return most }
}

func mib(bytes int) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
