package resolve

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit/dnsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_000_000, 0).Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

type world struct {
	*Resolver
	*clock
	server *dnsserver.Server
	dns    policy.DNS
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{clock: &clock{}, server: serve(t), dns: policy.NewSettings().DNS}
	w.Resolver = New(Config{Logger: slog.New(slog.DiscardHandler), Now: w.clock.now})
	t.Cleanup(w.Close)
	w.dns.Resolvers = []policy.Resolver{address(w.server)}
	return w
}

func serve(t *testing.T) *dnsserver.Server {
	t.Helper()
	server, err := dnsserver.New(dnsserver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func address(s *dnsserver.Server) policy.Resolver {
	return policy.Resolver{Address: netip.MustParseAddrPort(s.Addr())}
}

func set(t *testing.T, s *dnsserver.Server, name string, records ...dnsserver.Record) {
	t.Helper()
	if err := s.Set(name, records...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) lookup(t *testing.T, host string) string {
	t.Helper()
	list, err := w.Lookup(t.Context(), host, &w.dns)
	if err != nil {
		t.Fatalf("lookup %s: %v", host, err)
	}
	return text(list)
}

func text(list []netip.Addr) string {
	out := ""
	for i, a := range list {
		if i > 0 {
			out += " "
		}
		out += a.String()
	}
	return out
}

func TestLookupOrdersAndRotates(t *testing.T) {
	w := start(t)
	set(t, w.server, "api.test", dnsserver.Alias("lb.test", 60))
	set(t, w.server, "lb.test", dnsserver.Address("192.0.2.1", 60), dnsserver.Address("192.0.2.2", 60), dnsserver.Address("2001:db8::1", 60))
	var got []string
	for range 2 {
		got = append(got, w.lookup(t, "API.test."))
	}
	slices.Sort(got)
	want := []string{"2001:db8::1 192.0.2.1 192.0.2.2", "2001:db8::1 192.0.2.2 192.0.2.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := w.server.Queries("api.test", ""); n != 2 {
		t.Errorf("%d queries, want one of each type", n)
	}
	w.dns.Family = policy.FamilyIPv6
	if got := w.lookup(t, "api.test"); got != "2001:db8::1" {
		t.Errorf("IPv6 alone gave %s", got)
	}
	w.dns.Family = policy.FamilyIPv4
	if _, err := w.Lookup(t.Context(), "api.test", &w.dns); err != nil || w.server.Asked("api.test", dns.TypeAAAA) != 2 {
		t.Errorf("IPv4 alone: %v, AAAA asked %d times", err, w.server.Asked("api.test", dns.TypeAAAA))
	}
}

func TestPinned(t *testing.T) {
	w := start(t)
	w.dns.Hosts = map[string][]netip.Addr{
		"Api.Test": {netip.MustParseAddr("192.0.2.7")},
		"six.test": {netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("::ffff:192.0.2.8")},
	}
	if got := w.lookup(t, "api.test"); got != "192.0.2.7" {
		t.Error(got)
	}
	if got := w.lookup(t, "six.test"); got != "2001:db8::7 192.0.2.8" {
		t.Error(got)
	}
	w.dns.Family = policy.FamilyIPv6
	_, err := w.Lookup(t.Context(), "api.test", &w.dns)
	if e, ok := errors.AsType[*Error](err); !ok || !e.NotFound {
		t.Errorf("a pinned name of the other family: %v", err)
	}
	if n := w.server.Queries("api.test", ""); n != 0 {
		t.Errorf("a pinned name was asked for %d times", n)
	}
}

func TestNoNames(t *testing.T) {
	w := start(t)
	for _, host := range []string{
		"", ".", "a..b", "192.0.2.1", "::1", "[::1]", "127.1", "2130706433", "0x7f000001", "a.0x", "1.2.3.08", "a b", "a/b", "é.test", "x\x00",
		string(make([]byte, 254)),
	} {
		if _, err := w.Lookup(t.Context(), host, &w.dns); err == nil {
			t.Errorf("%q was taken for a name", host)
		} else if e, ok := errors.AsType[*Error](err); !ok || e.NotFound {
			t.Errorf("%q: %v", host, err)
		}
		if _, ok := w.Cached(host, &w.dns); ok {
			t.Errorf("%q is cached", host)
		}
	}
}

func TestTTLIsClamped(t *testing.T) {
	w := start(t)
	f := func(ttl uint32, want time.Duration) {
		t.Helper()
		name := "ttl" + want.String() + ".test"
		w.dns.ServeStale = 0
		set(t, w.server, name, dnsserver.Address("192.0.2.1", ttl))
		w.lookup(t, name)
		w.advance(want - time.Nanosecond)
		if _, ok := w.Cached(name, &w.dns); !ok {
			t.Errorf("TTL %d: gone before %s", ttl, want)
		}
		w.advance(time.Nanosecond)
		if _, ok := w.Cached(name, &w.dns); ok {
			t.Errorf("TTL %d: there after %s", ttl, want)
		}
	}
	f(0, 5*time.Second)
	f(60, time.Minute)
	f(86400, 5*time.Minute)
	f(1<<31, 5*time.Second)
	w.dns.MaxTTL = 0
	f(1<<30, longestLife)
}

func TestNegative(t *testing.T) {
	w := start(t)
	for _, name := range []string{"none.test", "empty.test"} {
		if name == "empty.test" {
			set(t, w.server, name)
		}
		for range 3 {
			_, err := w.Lookup(t.Context(), name, &w.dns)
			if e, ok := errors.AsType[*Error](err); !ok || !e.NotFound || e.Host != name {
				t.Fatalf("%s: %v", name, err)
			}
		}
		four, six := w.server.Asked(name, dns.TypeA), w.server.Asked(name, dns.TypeAAAA)
		if four > 1 || six > 1 || four+six == 0 { // the first to say that there is no such name spares the other
			t.Errorf("%s asked %d and %d times", name, four, six)
		}
		set(t, w.server, name, dnsserver.Address("192.0.2.1", 60))
		w.advance(w.dns.Negative)
		w.lookup(t, name)
	}
}

func TestServeStale(t *testing.T) {
	w := start(t)
	gate := make(chan struct{}, 8)
	set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60))
	w.lookup(t, "api.test")
	fresh := w.server.Queries("api.test", "")

	set(t, w.server, "api.test", dnsserver.Address("192.0.2.2", 60))
	w.server.Behave("api.test", dnsserver.Behaviour{Gate: gate})
	w.advance(2 * time.Minute)
	if got := w.lookup(t, "api.test"); got != "192.0.2.1" {
		t.Errorf("while the refresh runs: %s", got)
	}
	if err := w.server.WaitQueries(t.Context(), "api.test", fresh+2); err != nil {
		t.Fatal(err)
	}
	close(gate)
	w.flying.Wait()
	if got := w.lookup(t, "api.test"); got != "192.0.2.2" {
		t.Errorf("after the refresh: %s", got)
	}

	w.server.Behave("api.test", dnsserver.Behaviour{Rcode: dns.RcodeServerFailure})
	w.advance(2 * time.Minute)
	w.lookup(t, "api.test")
	w.flying.Wait()
	asked := w.server.Queries("api.test", "")
	if got := w.lookup(t, "api.test"); got != "192.0.2.2" {
		t.Errorf("after a failed refresh: %s", got)
	}
	w.flying.Wait()
	if n := w.server.Queries("api.test", ""); n != asked {
		t.Errorf("a failed refresh was repeated at once: %d queries more", n-asked)
	}
	w.advance(w.dns.ServeStale)
	_, err := w.Lookup(t.Context(), "api.test", &w.dns)
	if e, ok := errors.AsType[*Error](err); !ok || e.NotFound {
		t.Errorf("beyond serveStale: %v", err)
	}
}

func TestStaleNameThatIsGone(t *testing.T) {
	w := start(t)
	set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60))
	w.lookup(t, "api.test")
	w.server.Remove("api.test")
	w.advance(2 * time.Minute)
	w.lookup(t, "api.test")
	w.flying.Wait()
	if _, err := w.Lookup(t.Context(), "api.test", &w.dns); err == nil {
		t.Error("a name that the server says is gone was served stale")
	}
}

func TestConcurrentLookupsShareOneQuery(t *testing.T) {
	w := start(t)
	gate := make(chan struct{})
	set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60))
	w.server.Behave("api.test", dnsserver.Behaviour{Gate: gate})

	first, leave := context.WithCancelCause(t.Context())
	var asking sync.WaitGroup
	left := errors.New("left")
	asking.Go(func() {
		if _, err := w.Lookup(first, "api.test", &w.dns); !errors.Is(err, left) {
			t.Errorf("the caller that left got %v", err)
		}
	})
	if err := w.server.WaitQueries(t.Context(), "api.test", 2); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		asking.Go(func() {
			if list, err := w.Lookup(t.Context(), "api.test", &w.dns); err != nil || text(list) != "192.0.2.1" {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
	leave(left)
	close(gate)
	asking.Wait()
	if n := w.server.Queries("api.test", ""); n != 2 {
		t.Errorf("%d queries, want one of each type", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := start(t)
	r := New(Config{Now: w.clock.now, MaxEntries: 4})
	t.Cleanup(r.Close)
	w.server.Behave(dnsserver.Every, dnsserver.Behaviour{Rcode: dns.RcodeNameError})
	for i := range 40 {
		_, _ = r.Lookup(t.Context(), string(rune('a'+i%26))+string(rune('a'+i/26))+".test", &w.dns)
	}
	n := 0
	for i := range r.cache.shards {
		n += len(r.cache.shards[i].entries)
	}
	if n > 4 || n == 0 {
		t.Errorf("%d entries, want at most 4", n)
	}
}

func TestClosed(t *testing.T) {
	w := start(t)
	gate := make(chan struct{})
	defer close(gate)
	w.server.Behave(dnsserver.Every, dnsserver.Behaviour{Gate: gate})
	ended := make(chan error, 1)
	go func() {
		_, err := w.Lookup(context.Background(), "api.test", &w.dns)
		ended <- err
	}()
	if err := w.server.WaitQueries(t.Context(), "api.test", 1); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-ended; err == nil {
		t.Error("a lookup survived Close")
	}
	if _, err := w.Lookup(t.Context(), "other.test", &w.dns); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSystem(t *testing.T) {
	w := start(t)
	w.dns.Resolvers = nil
	list, err := w.Lookup(t.Context(), "localhost", &w.dns)
	if err != nil || len(list) == 0 || !list[0].IsLoopback() {
		t.Fatalf("localhost is %v, %v", list, err)
	}
	w.dns.Family = policy.FamilyIPv4
	if got := w.lookup(t, "localhost"); got != "127.0.0.1" {
		t.Errorf("localhost in IPv4 is %s", got)
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	w := start(t)
	set(t, w.server, "api.test", dnsserver.Address("192.0.2.1", 60), dnsserver.Address("192.0.2.2", 60), dnsserver.Address("2001:db8::1", 60))
	w.lookup(t, "api.test")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Lookup(ctx, "api.test", &w.dns) }); n != 0 {
		t.Errorf("a hit costs %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Cached("api.test", &w.dns) }); n != 0 {
		t.Errorf("Cached costs %v allocations", n)
	}
}

func BenchmarkHit(b *testing.B) {
	r := New(Config{})
	b.Cleanup(r.Close)
	settings := policy.NewSettings().DNS
	e := r.cache.add("api.test", &settings)
	e.answer.Store(&answer{orders: rotations(nil, []netip.Addr{netip.MustParseAddr("192.0.2.1")}), expires: time.Now().Add(time.Hour)})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Cached("api.test", &settings); !ok {
			b.Fatal("no hit")
		}
	}
}
