package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// with serves the rig's first rule with filters.
func (r *rig) with(filters ...plan.Filter) {
	r.t.Helper()
	rule := *r.plan.Rules[0]
	rule.Filters = filters
	r.plan.Rules = append([]*plan.Rule{&rule}, r.plan.Rules[1:]...)
	r.update()
}

// A mirror gets what the backend gets, and its answer is nobody's.
func TestMirrors(t *testing.T) {
	far, one, two := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)}), testkit.Upstream(t, upstream.Config{}), testkit.Upstream(t, upstream.Config{})
	r := newRig(t, nil, service("far", far.Addr()), service("one", one.Addr()), service("two", two.Addr()))
	all := func(b *plan.Backend) plan.Filter {
		return plan.Filter{Mirror: &plan.Mirror{Backend: b.Name, Numerator: 1, Denominator: 1}}
	}
	r.with(all(r.plan.Backends[1]), all(r.plan.Backends[2]),
		plan.Filter{RequestHeaders: &plan.HeaderModifier{Set: []plan.HeaderValue{{Name: "X-Set", Value: "1"}}}},
		plan.Filter{Mirror: &plan.Mirror{Backend: r.plan.Backends[2].Name, Numerator: 0, Denominator: 1}},
		plan.Filter{Mirror: &plan.Mirror{Fault: &plan.Fault{Message: "it leads nowhere"}, Numerator: 1, Denominator: 1}})
	f := func(n int, body string, fields ...string) {
		t.Helper()
		res, got := r.do("POST", "/0/x?q=1", body, append(fields, "X-One", "1")...)
		if res.StatusCode != 200 || len(got) != 10 {
			t.Errorf("answer %d %q", res.StatusCode, got)
		}
		for _, up := range []*upstream.Upstream{one, two} {
			seen, err := up.WaitRequest(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if seen.Target != "/0/x?q=1" || string(seen.Body) != body || seen.Values("X-Set")[0] != "1" || seen.Values("X-One")[0] != "1" {
				t.Errorf("the mirror saw %s with %d bytes, %v", seen.Target, len(seen.Body), seen.Lines)
			}
		}
	}
	f(1, "hello")
	f(2, strings.Repeat("x", 100_000), "Transfer-Encoding", "chunked")
	answered := 0
	for range 6 {
		if e := r.seen.last(t); e.status == 200 {
			answered++
		}
	}
	if answered != 6 || two.Heads() != 2 {
		t.Errorf("%d of 6 were answered; the second mirror saw %d", answered, two.Heads())
	}
}

// A mirror that is dead or slow costs the client nothing.
func TestADeadMirrorIsNotSeen(t *testing.T) {
	gate := make(chan struct{})
	slow := testFar(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gate }))
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)})
	r := newRig(t, nil, service("far", far.Addr()), service("dead", deadAddress(t)), service("slow", slow))
	r.with(plan.Filter{Mirror: &plan.Mirror{Backend: r.plan.Backends[1].Name, Numerator: 1, Denominator: 1}},
		plan.Filter{Mirror: &plan.Mirror{Backend: r.plan.Backends[2].Name, Numerator: 1, Denominator: 1}})
	for range maxMirrors + 10 {
		if res, _ := r.do("GET", "/0", ""); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
	}
	close(gate)
}

// A shutdown does not wait for a mirror that never answers.
func TestAShutdownWaitsForNoMirror(t *testing.T) {
	far, silent := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)}), testkit.Fault(t, upstream.FaultConfig{Kind: upstream.Silent})
	r := newRig(t, nil, service("far", far.Addr()), service("silent", silent.Addr()))
	r.with(plan.Filter{Mirror: &plan.Mirror{Backend: r.plan.Backends[1].Name, Numerator: 1, Denominator: 1}})
	if res, _ := r.do("GET", "/0", ""); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	if _, err := silent.WaitHead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if e := r.seen.last(t); e.status != 200 {
		t.Errorf("logged %+v", e)
	}
	r.stop()
	r.running.Wait()
	if e := r.seen.last(t); e.reason != exchange.ShuttingDown {
		t.Errorf("logged %+v", e)
	}
}

// panicking is an Observer with a mistake.
type panicking struct{ *recorder }

func (p panicking) End(x *exchange.Exchange) {
	p.recorder.End(x)
	if x.Mirrored {
		panic("a mistake")
	}
}

func TestAPanicInAMirrorEndsNobodyElse(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)})
	r := newRig(t, nil, service("far", far.Addr()))
	r.config.Observer = panicking{r.seen}
	r.with(plan.Filter{Mirror: &plan.Mirror{Backend: r.plan.Backends[0].Name, Numerator: 1, Denominator: 1}})
	for range 2 {
		if res, _ := r.do("GET", "/0", ""); res.StatusCode != 200 {
			t.Error(res.Status)
		}
		r.seen.last(t)
		r.seen.last(t)
	}
	r.stop()
	r.running.Wait()
	if n := r.mirrors.Load(); n != 0 {
		t.Errorf("%d mirrored requests go on", n)
	}
}

func TestCORS(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Own", "1")
	})})
	r := newRig(t, nil, service("far", far.Addr()), service("dead", deadAddress(t)))
	c := plan.Filter{CORS: &plan.CORS{Origins: []string{"https://app.test"}, Methods: []string{"POST"}, Expose: []string{"X-Own"}}}
	r.with(c)
	f := func(method, origin string, status int, want string) {
		t.Helper()
		res, _ := r.do(method, "/0", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Sec-Fetch-Site", "cross-site")
		got := fmt.Sprint(res.Header.Get("Access-Control-Allow-Origin"), " ", res.Header.Get("Access-Control-Allow-Methods"), " ", res.Header.Get("Access-Control-Expose-Headers"))
		if res.StatusCode != status || got != want {
			t.Errorf("%s from %s: %d %q, want %d %q", method, origin, res.StatusCode, got, status, want)
		}
	}
	f("OPTIONS", "https://app.test", 204, "https://app.test POST X-Own")
	f("GET", "https://app.test", 200, "https://app.test  X-Own")
	f("OPTIONS", "https://other.test", 403, "  ") // a loopback client: no other page may ask
	f("GET", "https://other.test", 403, "  ")
	if n := far.Heads(); n != 1 {
		t.Errorf("%d requests left", n)
	}
	rule := *r.plan.Rules[0]
	rule.Backends = []plan.RuleBackend{{Backend: r.plan.Backends[1].Name, Weight: 1}}
	r.plan.Rules = []*plan.Rule{&rule}
	r.update()
	f("GET", "https://app.test", 502, "https://app.test  X-Own") // pages may read refusals too
}

// A session stays with the endpoint that answered first, and its cookie with us.
func TestSessionPersistence(t *testing.T) {
	b := service("far", "127.0.0.1:9")
	b.Addresses = nil
	byPort := map[string]*upstream.Upstream{}
	for range 4 {
		up := testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String()+r.Header.Get("Cookie"))
		})})
		a := netip.MustParseAddrPort(up.Addr())
		byPort[up.Addr()] = up
		b.Addresses = append(b.Addresses, plan.Endpoint{Address: a.Addr().String(), Port: int(a.Port())})
	}
	r := newRig(t, nil, b)
	rule := *r.plan.Rules[0]
	rule.Session = &plan.Session{Type: plan.SessionCookie, Name: "s"}
	r.plan.Rules = []*plan.Rule{&rule}
	r.update()
	res, first := r.do("GET", "/0", "", "Cookie", "other=1")
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "s=") || !strings.HasSuffix(first, "other=1") {
		t.Fatalf("Set-Cookie %q, answer %q", cookie, first)
	}
	for range 12 {
		if _, got := r.do("GET", "/0", "", "Cookie", "other=1; "+cookie); got != first {
			t.Errorf("%q answered, want %q", got, first)
		}
	}
	others := map[string]bool{}
	for range 12 {
		_, got := r.do("GET", "/0", "")
		others[got] = true
	}
	if len(others) != 4 {
		t.Errorf("clients without a session reach %d of 4", len(others))
	}
	_ = byPort[strings.TrimSuffix(first, "other=1")].Close()
	if res, got := r.do("GET", "/0", "", "Cookie", "other=1; "+cookie); res.StatusCode != 200 || got == first {
		t.Errorf("%d %q once the endpoint is gone", res.StatusCode, got)
	}
}

func TestGRPCRefusals(t *testing.T) {
	broken := service("broken", "127.0.0.1:1")
	broken.Fault = &plan.Fault{Reason: "BackendNotFound", Message: "it is not there"}
	gate := make(chan struct{})
	defer close(gate)
	slow := h2Far(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}))
	r := newRig(t, nil, service("dead", deadAddress(t)), broken, h2c("slow", slow))
	client := h2Client(t)
	f := func(path, code string, fields ...string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.listen+path, struct{ io.Reader }{strings.NewReader("\x00\x00\x00\x00\x00")})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc+proto")
		req.Header.Set("Te", "trailers")
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 200 || res.Header.Get("Grpc-Status") != code || res.Header.Get("Grpc-Message") == "" || res.Header.Get("Content-Type") != "application/grpc" {
			t.Errorf("%s: %d %v, want code %s", path, res.StatusCode, res.Header, code)
		}
	}
	f("/none", "12")
	f("/0", "14")
	f("/1", "14")
	f("/2", "4", "Grpc-Timeout", "50m")
}

// A stream that is ended after it has begun says why in its trailers: a reset would read as INTERNAL.
func TestGRPCStreamsEndWithAStatus(t *testing.T) {
	f := func(far http.HandlerFunc, code string, fields ...string) {
		t.Helper()
		r := newRig(t, nil, h2c("far", h2Far(t, nil, far)))
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.listen+"/0", struct{ io.Reader }{strings.NewReader("\x00\x00\x00\x00\x00")})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		res, err := h2Client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != "\x00\x00\x00\x00\x00" || res.Trailer.Get("Grpc-Status") != code || res.Trailer.Get("Grpc-Message") == "" {
			t.Errorf("%q, %v, trailers %v, want %s", body, err, res.Trailer, code)
		}
		if e := r.seen.last(t); e.aborted == "" || e.reason == exchange.OutcomeUnknown {
			t.Errorf("logged %+v", e)
		}
	}
	begin := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = io.WriteString(w, "\x00\x00\x00\x00\x00")
		_ = http.NewResponseController(w).Flush()
	}
	f(func(w http.ResponseWriter, r *http.Request) { begin(w); <-r.Context().Done() }, "4", "Grpc-Timeout", "200m")
	f(func(w http.ResponseWriter, _ *http.Request) { begin(w); panic(http.ErrAbortHandler) }, "14")
}

func TestGRPCTimeout(t *testing.T) {
	f := func(value string, want time.Duration) {
		t.Helper()
		r := httpRequest("Content-Type", "application/grpc", "Grpc-Timeout", value)
		if got := grpcTimeout(r); got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
	f("1S", time.Second)
	f("99999999m", 99999999*time.Millisecond)
	f("10u", 10*time.Microsecond)
	f("1H", time.Hour)
	for _, none := range []string{"", "S", "1", "1x", "-1S", "+1S", "1.5S", "0S", "100000000m", "99999999999S"} {
		f(none, 0)
	}
	if got := grpcTimeout(httpRequest("Content-Type", "application/grpc-web", "Grpc-Timeout", "1S")); got != 0 {
		t.Errorf("gRPC-Web's is %s", got)
	}
}

func httpRequest(fields ...string) *exchange.Request {
	r := new(exchange.Request)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}
