package observe

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a writer that bears concurrent calls.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) lines() []string { return strings.Split(strings.TrimSuffix(o.String(), "\n"), "\n") }

// newObserver is an Observer that ends with the test.
func newObserver(t testing.TB, c Config) *Observer {
	t.Helper()
	if c.Audit == nil {
		c.Audit = io.Discard
	}
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return o
}

// answered is an exchange that went well after one failed attempt.
func answered() *exchange.Exchange {
	x := &exchange.Exchange{
		ID:    "01J9",
		Start: time.Date(2026, 3, 4, 5, 6, 7, 89_999_999, time.FixedZone("", 3600)),
		Client: exchange.Client{
			Address: netip.MustParseAddrPort("10.0.0.7:4711"), Cluster: "edge", Namespace: "payments", ServiceAccount: "invoice",
			Source: exchange.SourcePodAddress,
		},
		Request: exchange.Request{
			Method: "POST", Authority: "api.openai.com", Path: "/v1/chat", Query: "?key=hunter2", Version: exchange.HTTP2,
		},
		Response: exchange.Response{Status: 200},
		Gateway:  "ai/egress", Listener: "http", Route: "HTTPRoute/ai/chat", Rule: "0", Backend: "Backend/ai/openai",
		Attempts: []exchange.Attempt{
			{Backend: "Backend/ai/azure", Address: netip.MustParseAddrPort("192.0.2.1:443"), Reason: exchange.ConnectFailed, Detail: "connection refused", Duration: 1500 * time.Microsecond},
			{
				Backend: "Backend/ai/openai", Address: netip.MustParseAddrPort("192.0.2.9:443"), Reused: true, Status: 200, Version: exchange.HTTP2, Written: 812,
				Duration: 20 * time.Millisecond, Credential: "CredentialInjector/ai/openai", Path: "/v1/chat?key=hunter2",
			},
		},
		BytesIn: 700, BytesOut: 12345, FirstByte: 30 * time.Millisecond, Duration: 1234567 * time.Microsecond,
	}
	x.Request.Header.Add("Authorization", "Bearer hunter2")
	x.Request.Header.Add("user-agent", "openai-python/1.0")
	x.Request.Header.Add("X-Api-Key", "hunter2")
	x.Attempts[1].Header.CopyFrom(&x.Request.Header)
	x.Response.Header.Add("Set-Cookie", "session=hunter2")
	return x
}

// served is the common case: one attempt, and nothing for the audit log.
func served() *exchange.Exchange {
	x := answered()
	x.Attempts = x.Attempts[1:]
	x.Attempts[0].Credential = ""
	return x
}

// refused is an exchange that a policy refused and another would have.
func refused() *exchange.Exchange {
	x := answered()
	x.Response.Status = 403
	x.Backend, x.Attempts = "", nil
	x.Refusal = &exchange.Refusal{
		Reason: exchange.HostDenied, Policy: "GuardRailsPolicy/ai/base", Field: "spec.hosts.deny", Detail: "for the client", Log: `matched "*.example.net"`,
	}
	x.Reported = []exchange.Refusal{{Reason: exchange.ClientNotAllowed, Policy: "EgressPolicy/ai/openai", Field: "spec.clients", Log: "trial"}}
	return x
}

// called is a gRPC call of a client with a SPIFFE id, whose backend said no in its trailers.
func called() *exchange.Exchange {
	x := served()
	x.Client.SPIFFE, x.Client.Source = "spiffe://td/ns/payments/sa/invoice", exchange.SourceSPIFFE
	x.Request.Header.Add("content-type", "application/grpc+proto")
	x.Response.Header.Add("content-type", "application/grpc")
	x.Response.Trailer.Add("grpc-status", "5")
	return x
}

// unrouted is an exchange that no policy refused.
func unrouted() *exchange.Exchange {
	x := served()
	x.Response.Status, x.Attempts, x.Backend, x.Route, x.Rule = 404, nil, "", "", ""
	x.Refusal = exchange.Refuse(exchange.RouteNotFound, "no route takes this")
	return x
}

func decode(t testing.TB, line string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return m
}

func TestEndWritesBothLogs(t *testing.T) {
	var access, audit output
	o := newObserver(t, Config{Access: &access, Audit: &audit})
	o.End(answered())
	o.End(refused())
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(access.lines()); n != 2 {
		t.Errorf("%d access lines, want 2:\n%s", n, access.String())
	}
	var events []string
	for _, line := range audit.lines() {
		events = append(events, decode(t, line)["event"].(string))
	}
	if n := len(events); n != 3 {
		t.Errorf("audit events %v, want credential_used, would_deny and denied", events)
	}
	if all := access.String() + audit.String(); strings.Contains(all, "hunter2") {
		t.Errorf("a header or the query was logged:\n%s", all)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no audit writer": {Access: io.Discard},
		"negative buffer": {Audit: io.Discard, AccessBuffer: -1},
		"too few series":  {Audit: io.Discard, MaxSeries: 2},
	} {
		if o, err := New(c); err == nil {
			_ = o.Close(t.Context())
			t.Errorf("%s: no error", name)
		}
	}
}

// Whoever is told of denials is told of those of the audit log, and of no others.
func TestDenialsAreTold(t *testing.T) {
	var told []string
	audit := &output{}
	o := newObserver(t, Config{Audit: audit, Denied: func(route, policy string, reason exchange.Reason) {
		told = append(told, route+" "+policy+" "+string(reason))
	}})
	for _, x := range []*exchange.Exchange{answered(), served(), refused(), unrouted(), called()} {
		o.End(x)
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, line := range audit.lines() {
		if l := decode(t, line); l["event"] == "denied" {
			route, _ := l["route"].(string)
			policy, _ := l["policy"].(string)
			want = append(want, route+" "+policy+" "+l["reason"].(string))
		}
	}
	slices.Sort(want) // the log's order is roughly that of time
	slices.Sort(told)
	if diff := cmp.Diff(want, told); diff != "" || len(told) < 2 {
		t.Errorf("%d told\n%s", len(told), diff)
	}
}

func TestNoAccessLog(t *testing.T) {
	var audit output
	o := newObserver(t, Config{Audit: &audit})
	o.End(refused())
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(audit.lines()); n != 2 {
		t.Errorf("%d audit lines, want 2", n)
	}
}

// TestEndKeepsNothing overwrites the memory an exchange's strings point into after End, as a pooled buffer would be.
func TestEndKeepsNothing(t *testing.T) {
	var access, audit output
	o := newObserver(t, Config{Access: &access, Audit: &audit})
	memory := []byte("GETapi.test/pathteam")
	text := func(from, to int) string { return unsafeString(memory[from:to]) }
	x := &exchange.Exchange{
		Client:  exchange.Client{Namespace: text(16, 20)},
		Request: exchange.Request{Method: text(0, 3), Authority: text(3, 11), Path: text(11, 16)},
		Refusal: &exchange.Refusal{Reason: exchange.RouteNotFound, Policy: text(16, 20)},
	}
	o.End(x)
	copy(memory, bytes.Repeat([]byte("X"), len(memory)))
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{access.lines()[0], audit.lines()[0]} {
		m := decode(t, line)
		if m["method"] != "GET" || m["authority"] != "api.test" || m["path"] != "/path" {
			t.Errorf("log line changed with the buffer: %s", line)
		}
	}
	if page := scrape(t, o); !strings.Contains(page, `namespace="team",policy_kind="team"`) || strings.Contains(page, "XXXX") {
		t.Error("a label changed with the buffer")
	}
}

func TestEndAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops what it is given, at random")
	}
	o := newObserver(t, Config{Access: io.Discard, MaxSeries: 8})
	for name, x := range map[string]*exchange.Exchange{"answered": answered(), "refused": refused(), "called": called(), "unrouted": unrouted()} {
		allocates(t, name, func() { o.End(x) })
	}
	// The same once the label sets have run out.
	for i := range 20 {
		x := answered()
		x.Route = strings.Repeat("r", i)
		o.End(x)
	}
	x := answered()
	x.Client.Namespace = "late"
	allocates(t, "overflow", func() { o.End(x) })
}

func allocates(t *testing.T, name string, f func()) {
	t.Helper()
	for range 2000 { // the maps are published and the shards' buffers grown
		f()
	}
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%s: %v allocations an exchange", name, n)
	}
}

func BenchmarkEnd(b *testing.B) {
	for _, c := range []struct {
		name string
		x    func() *exchange.Exchange
	}{{"served", served}, {"answered", answered}, {"refused", refused}} {
		b.Run(c.name, func(b *testing.B) {
			o, x := newObserver(b, Config{Access: io.Discard}), c.x()
			b.ReportAllocs()
			for b.Loop() {
				o.End(x)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		o := newObserver(b, Config{Access: io.Discard})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			x := served()
			for pb.Next() {
				o.End(x)
			}
		})
	})
}

func BenchmarkAccessLine(b *testing.B) {
	x, line := served(), make([]byte, 0, lineCapacity)
	b.ReportAllocs()
	for b.Loop() {
		line = appendAccess(line[:0], x)
	}
}

func BenchmarkCount(b *testing.B) {
	o, x := newObserver(b, Config{}), served()
	b.ReportAllocs()
	for b.Loop() {
		o.metrics.count(x)
	}
}

func BenchmarkScrape(b *testing.B) {
	o := newObserver(b, Config{})
	for i := range 1000 {
		x := served()
		x.Client.ServiceAccount = strconv.Itoa(i)
		o.End(x)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = scrape(b, o)
	}
}

func TestConcurrentUse(t *testing.T) {
	var out output
	o := newObserver(t, Config{Access: &out, Audit: &out, MaxSeries: 16})
	const workers, each = 8, 200
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				x := answered()
				x.Client.Namespace = strings.Repeat("n", (w+i)%30)
				o.End(x)
			}
		})
	}
	for range 10 {
		_ = scrape(t, o)
	}
	wg.Wait()
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	access, audit := 0, 0
	for _, line := range out.lines() {
		if _, ok := decode(t, line)["event"]; ok {
			audit++
		} else {
			access++
		}
	}
	if access != workers*each || audit != workers*each {
		t.Errorf("%d access and %d audit lines, want %d each", access, audit, workers*each)
	}
}
