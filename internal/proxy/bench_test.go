//go:build !race

// The race detector makes sync.Pool drop at random: allocations are counted in the run without it.

package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
)

// canned answers every request on every connection with the same bytes, and allocates nothing for it.
func canned(t testing.TB, requestBytes int, answer []byte) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				room := make([]byte, requestBytes)
				for {
					if _, err := io.ReadFull(c, room); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// exchanges sends one request after the other on one connection.
func exchanges(t testing.TB, n int, run func(func())) {
	t.Helper()
	request := []byte("GET /0/v1/x HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n")
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n"), bytes.Repeat([]byte("x"), 1024)...)
	r := newRig(t, nil, service("far", canned(t, len(request)+len("Via: 1.1 ebbgate-0123456789abcdef\r\n"), answer)))
	r.seen.silent = true
	c := r.connect()
	defer c.Close()
	room := make([]byte, 4<<10)
	one := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len(answer)+len("Ebbgate-Request-Id: \r\n")+32; {
			n, err := c.Read(room)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	for range 100 {
		one()
	}
	run(func() {
		for range n {
			one()
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	b.ReportAllocs()
	exchanges(b, b.N, func(all func()) { b.ResetTimer(); all(); b.StopTimer() })
}

// The plain path's allocations per request are a number that this test holds.
func TestAllocationsPerExchange(t *testing.T) {
	const n, bound = 5000, 0.5
	exchanges(t, n, func(all func()) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		all()
		runtime.ReadMemStats(&after)
		per := float64(after.Mallocs-before.Mallocs) / n
		t.Logf("%.2f allocations per exchange", per)
		if per > bound {
			t.Errorf("%.2f allocations per exchange, at most %.1f", per, bound)
		}
	})
}

// BenchmarkUpdate is a reload with one changed route of 5,000.
func BenchmarkUpdate(b *testing.B) {
	r := newRig(b, nil, service("far", "127.0.0.1:9"))
	first := r.plan.Rules[0]
	for i := range 5000 {
		rule := *first
		rule.Name, rule.Route = fmt.Sprintf("HTTPRoute/t/r%d#0", i), fmt.Sprintf("HTTPRoute/t/r%d", i)
		rule.Hostnames = []string{fmt.Sprintf("h%d.test", i)}
		r.plan.Rules = append(r.plan.Rules, &rule)
	}
	b.ReportAllocs()
	for b.Loop() {
		changed := *r.plan.Rules[1]
		next := *r.plan
		next.Rules = slices.Clone(next.Rules)
		next.Rules[1] = &changed
		r.plan = &next
		r.update()
	}
}
