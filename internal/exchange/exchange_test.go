package exchange

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func header(pairs ...string) *Header {
	h := &Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestHeader(t *testing.T) {
	f := func(change func(*Header), want ...string) {
		t.Helper()
		h := header("A", "1", "b", "2", "a", "3", "C", "4", "B", "5")
		change(h)
		if diff := cmp.Diff(header(want...).Fields(), h.Fields()); diff != "" {
			t.Error(diff)
		}
	}
	f(func(h *Header) { h.Set("a", "9") }, "a", "9", "b", "2", "C", "4", "B", "5")
	f(func(h *Header) { h.Set("d", "9") }, "A", "1", "b", "2", "a", "3", "C", "4", "B", "5", "d", "9")
	f(func(h *Header) { h.Del("B") }, "A", "1", "a", "3", "C", "4")
	f(func(h *Header) { h.Del("none") }, "A", "1", "b", "2", "a", "3", "C", "4", "B", "5")
	f(func(h *Header) { h.Add("a", "6") }, "A", "1", "b", "2", "a", "3", "C", "4", "B", "5", "a", "6")
	h := header("A", "1", "b", "2", "a", "3")
	if h.Get("a") != "1, 3" || h.Get("B") != "2" || h.Get("c") != "" || !h.Has("B") || h.Has("c") {
		t.Error("Get or Has:", h.Get("a"), h.Get("B"))
	}
	if diff := cmp.Diff([]string{"1", "3"}, h.Values("A")); diff != "" {
		t.Error(diff)
	}
}

func TestStripHop(t *testing.T) {
	f := func(h *Header, want ...string) {
		t.Helper()
		StripHop(h)
		if diff := cmp.Diff(header(want...).Fields(), h.Fields()); diff != "" {
			t.Error(diff)
		}
	}
	f(header("Connection", "x-a, X-B", "X-A", "1", "x-b", "2", "X-C", "3"), "X-C", "3")
	f(header("Connection", "a", "A", "1", "connection", "b", "B", "2", "C", "3"), "C", "3")
	f(header("TE", "trailers", "Upgrade", "h2c", "Keep-Alive", "1", "Proxy-Anything", "1", "Te", "x", "Accept", "*/*"), "Accept", "*/*")
}

func TestGRPC(t *testing.T) {
	f := func(want bool, pairs ...string) {
		t.Helper()
		r := Request{Header: *header(pairs...)}
		if r.GRPC() != want {
			t.Errorf("%q: %t", pairs, !want)
		}
	}
	f(true, "content-type", "application/grpc")
	f(true, "Content-Type", "application/grpc+proto")
	f(true, "Content-Type", "application/grpc;a=b")
	f(false)
	f(false, "Content-Type", "application/grpc-web")
	f(false, "Content-Type", "application/json", "X-Content-Type", "application/grpc")
	f(false, "Content-Type", "application/grpc", "Content-Type", "application/json")
}

func TestEveryReasonHasAStatus(t *testing.T) {
	for _, r := range Reasons() {
		if r.Status() < 400 || r.Status() > 599 {
			t.Errorf("%s answers %d", r, r.Status())
		}
	}
}

func TestNextAttemptReusesMemory(t *testing.T) {
	var x Exchange
	for range 3 {
		a := x.NextAttempt()
		a.Header.Add("A", "1")
		a.Backend = "b"
		x.Reset()
	}
	if a := x.NextAttempt(); a.Header.Len() != 0 || a.Backend != "" {
		t.Errorf("an attempt begins with %+v", a)
	}
	allocs := testing.AllocsPerRun(100, func() { x.Reset(); x.NextAttempt().Header.Add("A", "1") })
	if allocs != 0 {
		t.Errorf("%g allocations", allocs)
	}
}
