package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ended is what a test keeps of an exchange that is over.
type ended struct {
	duplicate bool // of the last attempt
	vetoed    int
	status    int
	reason    exchange.Reason
	policy    string
	attempts  []exchange.Reason
	took      []time.Duration // each of them
	whole     time.Duration   // all of it
	classes   []string        // of the attempts
	detail    string          // of the last
	aborted   string
	in, out   int64
	path      string
	version   exchange.Version // of the last attempt's answer
}

// recorder is an Observer that keeps what it saw.
type recorder struct {
	mu     sync.Mutex
	seen   []ended
	bodies []string
	more   chan struct{}
	silent bool
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 10_000)} }

func (r *recorder) End(x *exchange.Exchange) {
	if r.silent {
		return
	}
	e := ended{whole: x.Duration, vetoed: len(x.Vetoed), status: x.Response.Status, aborted: strings.Clone(x.Aborted), in: x.BytesIn, out: x.BytesOut, path: strings.Clone(x.Request.Path)}
	if x.Refusal != nil {
		e.reason, e.policy = x.Refusal.Reason, x.Refusal.Policy
	}
	for _, a := range x.Attempts {
		e.attempts, e.version, e.duplicate = append(e.attempts, a.Reason), a.Version, a.Duplicate
		e.took, e.classes, e.detail = append(e.took, a.Duration), append(e.classes, strings.Clone(a.Class)), strings.Clone(a.Detail)
	}
	r.mu.Lock()
	r.seen = append(r.seen, e)
	r.mu.Unlock()
	r.more <- struct{}{}
}

func (r *recorder) AuditBody(_ *exchange.Exchange, body []byte, blank func([]byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, string(blank(body)))
}

// last waits for one more exchange to be over and returns it.
func (r *recorder) last(t *testing.T) ended {
	t.Helper()
	select {
	case <-r.more:
	case <-time.After(10 * time.Second):
		t.Fatal("no exchange ended")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[len(r.seen)-1]
}

// rig is a server under test with one Gateway on a free port.
type rig struct {
	*Server
	t      testing.TB
	seen   *recorder
	plan   *plan.Plan
	listen string
}

// newRig serves backends by path prefix "/<index>/" on one plain listener.
func newRig(t testing.TB, kinds []*policy.Kind, backends ...*plan.Backend) *rig {
	t.Helper()
	return newRigOf(t, Config{Kinds: kinds, Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler)}, backends...)
}

func newRigOf(t testing.TB, config Config, backends ...*plan.Backend) *rig {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
			return
		}
		if kept, taken := replays.Load(), s.memory.taken.Load(); kept != 0 || taken != 0 {
			t.Errorf("%d bytes are kept, and %d counted, for nobody", kept, taken)
		}
	})
	port := freePort(t)
	p := &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "t/g", Class: "ebbgate", Listeners: []*plan.Listener{{Name: "http", Port: port, Protocol: plan.HTTP}}}},
		Backends: backends,
	}
	for i, b := range backends {
		p.Rules = append(p.Rules, &plan.Rule{
			Name: fmt.Sprintf("HTTPRoute/t/r#%d", i), Route: "HTTPRoute/t/r", Index: i,
			Parents:  []plan.Parent{{Gateway: "t/g", Listener: "http"}},
			Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/" + strconv.Itoa(i)}}},
			Backends: []plan.RuleBackend{{Backend: b.Name, Weight: 1}},
		})
	}
	r := &rig{Server: s, t: t, seen: config.Observer.(*recorder), plan: p, listen: "127.0.0.1:" + strconv.Itoa(port)}
	r.update()
	return r
}

func (r *rig) update() {
	r.t.Helper()
	if err := r.Update(r.t.Context(), r.plan); err != nil {
		r.t.Fatal(err)
	}
}

// limited is how often a limit was reached.
func (r *rig) limited(limit string) (n int64) {
	r.Reached(func(_, name string, count int64) {
		if name == limit {
			n += count
		}
	})
	return n
}

func freePort(t testing.TB) int { return testkit.Ports(t, 1)[0] }

// service is a plain backend at an address, as a Service's endpoints make one.
func service(name, address string) *plan.Backend {
	a := netip.MustParseAddrPort(address)
	return &plan.Backend{
		Name: "Service/t/" + name + ":80", Origin: plan.Endpoints, Protocol: plan.HTTP11, Port: int(a.Port()),
		Addresses: []plan.Endpoint{{Address: a.Addr().String(), Port: int(a.Port())}},
	}
}

// raw sends bytes on a fresh connection and reads until the far side closes.
func (r *rig) raw(request string) string {
	r.t.Helper()
	c := r.connect()
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil && len(answer) == 0 {
		r.t.Fatal(err)
	}
	return string(answer)
}

func (r *rig) connect() net.Conn {
	r.t.Helper()
	c, err := (&net.Dialer{}).DialContext(r.t.Context(), "tcp", r.listen)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) do(method, path, body string, fields ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.listen+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Transfer-Encoding" {
			req.ContentLength, req.Body = -1, io.NopCloser(struct{ io.Reader }{strings.NewReader(body)})
			continue
		}
		req.Header.Add(fields[i], fields[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(got)
}

func TestForwardsARequestAsItCame(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)})
	r := newRig(t, nil, service("far", far.Addr()))
	res, body := r.do("POST", "/0/x?q=1", "hello", "X-One", "1", "X-One", "2", "Connection", "X-Hop", "X-Hop", "1",
		"Proxy-Authorization", "secret", "Ebbgate-Hop", "forged", "X-Forwarded-For", "1.2.3.4")
	if res.StatusCode != 200 || len(body) != 10 || res.Header.Get("Ebbgate-Request-Id") == "" {
		t.Errorf("answer %d %v %q", res.StatusCode, res.Header, body)
	}
	got, err := far.WaitRequest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Target != "/0/x?q=1" || got.Host != r.listen || string(got.Body) != "hello" {
		t.Errorf("far side saw %+v", got)
	}
	for _, name := range []string{"X-Hop", "Connection", "Proxy-Authorization", "Ebbgate-Hop", "X-Forwarded-For"} {
		if v := got.Values(name); len(v) > 0 {
			t.Errorf("far side saw %s: %v", name, v)
		}
	}
	if v := got.Values("X-One"); len(v) != 2 {
		t.Errorf("far side saw X-One %v", v)
	}
	if e := r.seen.last(t); e.status != 200 || e.in != 5 || e.out != 10 || len(e.attempts) != 1 {
		t.Errorf("logged %+v", e)
	}
}

func TestBodiesOfEveryFraming(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Echo()})
	r := newRig(t, nil, service("far", far.Addr()))
	f := func(size int, chunked bool) {
		t.Helper()
		body := strings.Repeat("0123456789abcdef", size/16)
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.listen+"/0", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if chunked {
			req.ContentLength = -1
			req.Body = io.NopCloser(struct{ io.Reader }{strings.NewReader(body)})
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("size %d chunked %t: %v; logged %+v", size, chunked, err, r.seen.last(t))
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
			t.Fatal(res.StatusCode, err)
		}
		seen := far.Requests()
		if last := seen[len(seen)-1]; last.Length != int64(len(body)) || !last.Complete {
			t.Errorf("size %d chunked %t: far side saw %d bytes, complete %t", size, chunked, last.Length, last.Complete)
		}
		if e := r.seen.last(t); e.in != int64(len(body)) {
			t.Errorf("size %d chunked %t: %d bytes in", size, chunked, e.in)
		}
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, size := range []int{16, 8 << 10, 60 << 10, 200 << 10, 5 << 20} {
		f(size, false)
		f(size, true)
	}
}

func TestAnswersOfEveryFraming(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		switch r.URL.Query().Get("f") {
		case "chunked":
			w.Header().Set("Trailer", "X-End")
			for i := 0; i < n; i += 10_000 {
				_, _ = w.Write(make([]byte, min(10_000, n-i)))
				w.(http.Flusher).Flush()
			}
			w.Header().Set("X-End", "done")
		case "length":
			w.Header().Set("Content-Length", strconv.Itoa(n))
			_, _ = w.Write(make([]byte, n))
		case "none":
			w.WriteHeader(http.StatusNoContent)
		case "304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		}
	})})
	r := newRig(t, nil, service("far", far.Addr()))
	f := func(query string, want int, status int) {
		t.Helper()
		res, body := r.do("GET", "/0?"+query, "")
		if len(body) != want || res.StatusCode != status {
			t.Errorf("%s: %d with %d bytes", query, res.StatusCode, len(body))
		}
		if strings.Contains(query, "chunked") && res.Trailer.Get("X-End") != "done" {
			t.Errorf("%s: trailers %v", query, res.Trailer)
		}
	}
	f("f=length&n=0", 0, 200)
	f("f=length&n=1024", 1024, 200)
	f("f=length&n=16384", 16384, 200)
	f("f=length&n=1000000", 1000000, 200)
	f("f=chunked&n=1", 1, 200)
	f("f=chunked&n=100000", 100000, 200)
	f("f=none", 0, 204)
	f("f=304", 0, 304)
	if answer := r.raw("GET /0?f=chunked&n=20000 HTTP/1.0\r\nHost: " + r.listen + "\r\n\r\n"); strings.Contains(answer, "chunked") || len(answer) < 20000 {
		t.Errorf("HTTP/1.0 client got %.200q", answer)
	}
	res, body := r.do("HEAD", "/0?f=length&n=1024", "")
	if res.ContentLength != 1024 || body != "" {
		t.Errorf("HEAD: length %d", res.ContentLength)
	}
}

func TestRefusals(t *testing.T) {
	broken := service("broken", "127.0.0.1:1")
	broken.Fault = &plan.Fault{Reason: "BackendNotFound", Message: "it is not there"}
	r := newRig(t, nil, service("dead", deadAddress(t)), broken)
	f := func(request string, status int, reason exchange.Reason) {
		t.Helper()
		answer := r.raw(request)
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
		if err != nil {
			t.Fatalf("%q: %v in %q", request, err, answer)
		}
		defer res.Body.Close()
		var p struct {
			Reason string
			Status int
			Error  struct{ Message, Type string }
		}
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
			t.Fatalf("%q: %v in %q", request, err, answer)
		}
		if res.StatusCode != status || p.Reason != string(reason) || p.Status != status || p.Error.Message == "" || p.Error.Type != string(reason) {
			t.Errorf("%q: %d %+v, want %d %s", request, res.StatusCode, p, status, reason)
		}
		if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%q: content type %q", request, ct)
		}
		if e := r.seen.last(t); e.reason != reason || e.status != status {
			t.Errorf("%q: logged %+v", request, e)
		}
	}
	const end = " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	f("GET /none"+end, 404, exchange.RouteNotFound)
	f("CONNECT h:443"+end, 404, exchange.RouteNotFound)
	f("GET /0"+end, 502, exchange.ConnectFailed)
	f("GET /1"+end, 500, exchange.BackendInvalid)
	f("GET / HTTP/1.1\r\n\r\n", 400, exchange.BadRequest)
	f("GET /0 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, exchange.BadRequest)
	f("GET /%2e%2e%2f"+end, 400, exchange.BadRequest)
	f("GET /0 HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 70_000)+"\r\n\r\n", 431, exchange.HeadTooLarge)
	grpc := r.raw("POST /none HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if !strings.Contains(grpc, "Grpc-Status: 12") || !strings.HasPrefix(grpc, "HTTP/1.1 200") {
		t.Errorf("gRPC client got %q", grpc)
	}
}

func deadAddress(t testing.TB) string {
	return "127.0.0.1:" + strconv.Itoa(freePort(t))
}

func TestFaultsOfTheFarSide(t *testing.T) {
	f := func(kind upstream.Kind, method string, status int, reason exchange.Reason) {
		t.Helper()
		far := testkit.Fault(t, upstream.FaultConfig{Kind: kind})
		r := newRig(t, nil, service("far", far.Addr()))
		answer := r.raw(method + " /0 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		if status != 0 && !strings.HasPrefix(answer, "HTTP/1.1 "+strconv.Itoa(status)) {
			t.Errorf("%v %s: %.80q, want %d", kind, method, answer, status)
		}
		if e := r.seen.last(t); e.reason != reason {
			t.Errorf("%v %s: logged %+v, want %s", kind, method, e, reason)
		}
		if n := far.Heads(); n > 1 {
			t.Errorf("%v %s: sent %d times", kind, method, n)
		}
	}
	f(upstream.AcceptClose, "GET", 502, exchange.UpstreamReset)
	f(upstream.ResetAfterHead, "GET", 502, exchange.UpstreamReset)
	f(upstream.ResetAfterHead, "POST", 504, exchange.OutcomeUnknown)
	f(upstream.Garbage, "GET", 502, exchange.UpstreamInvalid)
	f(upstream.CutBody, "GET", 502, exchange.UpstreamReset) // small enough to be seen cut before it is begun
	f(upstream.CutChunked, "GET", 200, exchange.UpstreamReset)
}

func TestACutAnswerIsNeverWhole(t *testing.T) {
	for _, kind := range []upstream.Kind{upstream.CutBody, upstream.CutChunked} {
		far := testkit.Fault(t, upstream.FaultConfig{Kind: kind})
		r := newRig(t, nil, service("far", far.Addr()))
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.listen+"/0", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			continue // reset before the head was read: visible enough
		}
		defer res.Body.Close()
		if got, err := io.ReadAll(res.Body); err == nil && res.StatusCode == 200 {
			t.Errorf("%v: %d bytes read as a whole answer", kind, len(got))
		}
	}
}

func TestStreamIsFlushedFrameByFrame(t *testing.T) {
	gate := make(chan struct{})
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(3, gate)})
	r := newRig(t, nil, service("far", far.Addr()))
	c := r.connect()
	defer c.Close()
	if _, err := io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil) // the head comes before any event
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := bufio.NewReader(res.Body)
	for range 3 {
		gate <- struct{}{}
		for line := ""; line != "\n"; { // an event ends with an empty line
			if line, err = events.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := io.ReadAll(events); err != nil {
		t.Error(err)
	}
}

func TestUpstreamIsClosedWhenTheClientLeaves(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(1, gate)})
	r := newRig(t, nil, service("far", far.Addr()))
	c := r.connect()
	if _, err := io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := far.WaitHead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := far.WaitClosed(ctx, 1); err != nil {
		t.Fatal(err)
	}
	t.Logf("closed after %v", time.Since(left))
	if e := r.seen.last(t); e.aborted != "client" {
		t.Errorf("logged %+v", e)
	}
}

func TestKeepAliveAndPipelining(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(3)})
	r := newRig(t, nil, service("far", far.Addr()))
	answer := r.raw(strings.Repeat("GET /0 HTTP/1.1\r\nHost: h\r\n\r\n", 4) + "GET /0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if n := strings.Count(answer, "HTTP/1.1 200"); n != 5 {
		t.Errorf("%d answers in %q", n, answer)
	}
	if far.Connections() != 1 {
		t.Errorf("%d connections upstream", far.Connections())
	}
}

func TestBuiltInRoutesRefuseWebPages(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	r := newRig(t, nil, service("far", far.Addr()))
	local := *r.plan.Gateways[0]
	local.Local = true
	r.plan.Gateways[0] = &local
	r.update()
	f := func(status int, fields ...string) {
		t.Helper()
		if res, _ := r.do("POST", "/0", "", fields...); res.StatusCode != status {
			t.Errorf("%v: %d, want %d", fields, res.StatusCode, status)
		}
	}
	f(200)
	f(200, "Origin", "http://localhost:3000")
	f(200, "Origin", "http://127.0.0.1")
	f(200, "Sec-Fetch-Site", "same-origin")
	f(403, "Origin", "https://evil.test")
	f(403, "Origin", "null")
	f(403, "Origin", "http://localhost.evil.test")
	f(403, "Origin", "http://localhost", "Origin", "https://evil.test")
	f(403, "Sec-Fetch-Site", "cross-site")
	if n := len(far.Requests()); n != 4 {
		t.Errorf("%d requests left", n)
	}
}

func TestHTTP10WithoutHost(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)})
	r := newRig(t, nil, service("far", far.Addr()))
	if answer := r.raw("GET /0 HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("%.100q", answer)
	}
	if got, err := far.WaitRequest(t.Context(), 1); err != nil || got.Host != "far.t.svc" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestExpectContinue(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Echo()})
	r := newRig(t, nil, service("far", far.Addr()))
	f := func(path string, asked bool) {
		t.Helper()
		c := r.connect()
		defer c.Close()
		if _, err := io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(line, "HTTP/1.1 100"); got != asked {
			t.Fatalf("%s: first line %q", path, line)
		}
		if !asked {
			return
		}
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
	}
	f("/0", true)
	f("/none", false)
}

func TestRequestTimeout(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Delay(gate, upstream.Body(1))})
	r := newRig(t, nil, service("far", far.Addr()))
	limited := *r.plan.Rules[0]
	limited.Timeouts.Request = 150 * time.Millisecond
	r.plan.Rules[0] = &limited
	r.update()
	f := func(method string, reason exchange.Reason) {
		t.Helper()
		answer := r.raw(method + " /0 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 504") {
			t.Errorf("%s: %.100q", method, answer)
		}
		if e := r.seen.last(t); e.reason != reason {
			t.Errorf("%s: logged %+v", method, e)
		}
	}
	f("GET", exchange.UpstreamTimeout)
	f("POST", exchange.OutcomeUnknown)
}

func TestADeadPooledConnectionIsReplaced(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	r := newRig(t, nil, service("far", far.Addr()))
	for range 5 {
		if res, _ := r.do("POST", "/0", "x"); res.StatusCode != 200 {
			t.Error(res.Status)
		}
		far.CloseConnections()
	}
}

func TestShutdownLetsExchangesFinish(t *testing.T) {
	gate := make(chan struct{})
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Delay(gate, upstream.Body(7))})
	r := newRig(t, nil, service("far", far.Addr()))
	idle := r.connect()
	defer idle.Close()
	got := make(chan string, 1)
	go func() { got <- r.raw("GET /0 HTTP/1.1\r\nHost: h\r\n\r\n") }()
	if _, err := far.WaitHead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- r.sockets.Drain(ctx)
	}()
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("idle connection: %v", err)
	}
	close(gate)
	if answer := <-got; !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("%.100q", answer)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
