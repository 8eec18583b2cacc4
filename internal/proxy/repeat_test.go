package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// counting answers with a status and counts what it executed.
type counting struct {
	n      atomic.Int64
	status int
	field  string
	bodies chan string
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.n.Add(1)
	body, err := io.ReadAll(r.Body)
	if err == nil && c.bodies != nil {
		c.bodies <- string(body)
	}
	if name, value, ok := strings.Cut(c.field, ": "); ok {
		w.Header().Set(name, value)
	}
	w.WriteHeader(c.status)
	_, _ = fmt.Fprintf(w, "from %d", c.status)
}

// settings lays a chain's retry settings as a policy of a kind of the test's own.
type settings struct{ retry policy.Retry }

func (s *settings) Tune(t *policy.Settings) { t.Retry = s.retry }

func retrying(r policy.Retry) []*policy.Kind {
	return []*policy.Kind{{
		Name: "Retrying", Config: func() any { return new(struct{}) },
		Apply: func(policy.Env, any) (any, error) { return &settings{r}, nil },
	}}
}

// two is a rig whose one rule has two backends, the first of which every draw takes first.
func two(t testing.TB, kinds []*policy.Kind, first, second *plan.Backend) *rig {
	t.Helper()
	r := newRig(t, kinds, first, second)
	rule := *r.plan.Rules[0]
	rule.Backends = []plan.RuleBackend{{Backend: first.Name, Weight: 1_000_000}, {Backend: second.Name, Weight: 1}}
	r.plan.Rules = []*plan.Rule{&rule}
	r.update()
	return r
}

func named(b *plan.Backend, name string) *plan.Backend { b.Name = name; return b }

// What an attempt proves decides whether and where a request goes again (API: EgressPolicy.retry).
func TestRepetition(t *testing.T) {
	type answer struct {
		first       string // what the first backend does
		method      string
		fields      []string
		retry       func(*policy.Retry)
		route       *plan.Retry
		status      int
		firstAsked  int64
		secondAsked int64
		reason      exchange.Reason
		duplicate   bool
	}
	f := func(a answer) {
		t.Helper()
		setting := policy.NewSettings().Retry
		setting.Backoff = time.Millisecond
		if a.retry != nil {
			a.retry(&setting)
		}
		first, second := &counting{}, &counting{status: 200}
		var address string
		switch status, err := strconv.Atoi(a.first[:min(3, len(a.first))]); {
		case err == nil:
			first.status, first.field = status, strings.TrimSpace(a.first[3:])
			address = testFar(t, first)
		case a.first == "dead":
			address = deadAddress(t)
		default:
			address = resetting(t, &first.n)
		}
		r := two(t, retrying(setting), named(service("a", address), "Backend/t/a"), named(service("b", testFar(t, second)), "Backend/t/b"))
		r.plan.Backends[0].Origin, r.plan.Backends[1].Origin = plan.Literal, plan.Literal
		if a.route != nil {
			r.plan.Rules[0].Retry = a.route
		}
		r.update()
		res, _ := r.do(a.method, "/0", "hello", a.fields...)
		if res.StatusCode != a.status || first.n.Load() != a.firstAsked || second.n.Load() != a.secondAsked {
			t.Errorf("%+v: status %d, asked %d and %d", a, res.StatusCode, first.n.Load(), second.n.Load())
		}
		if e := r.seen.last(t); e.reason != a.reason || e.duplicate != a.duplicate {
			t.Errorf("%+v: logged %+v", a, e)
		}
	}
	// Unsent: on to the next.
	f(answer{first: "dead", method: "POST", status: 200, secondAsked: 1})
	f(answer{first: "dead", method: "POST", status: 502, reason: exchange.ConnectFailed, retry: func(r *policy.Retry) { r.Attempts = 0 }})
	f(answer{first: "dead", method: "POST", status: 502, reason: exchange.ConnectFailed, retry: func(r *policy.Retry) { r.On = policy.Rejected }})
	f(answer{first: "429", method: "POST", status: 429, firstAsked: 1, retry: func(r *policy.Retry) { r.Budget = policy.Budget{Interval: time.Second} }})
	// Rejected: to another backend, and never again to the one that answered.
	f(answer{first: "429", method: "POST", status: 200, firstAsked: 1, secondAsked: 1})
	f(answer{first: "529", method: "POST", status: 200, firstAsked: 1, secondAsked: 1})
	f(answer{first: "503 Retry-After: 1", method: "POST", status: 200, firstAsked: 1, secondAsked: 1})
	f(answer{first: "429", method: "POST", status: 429, firstAsked: 1, retry: func(r *policy.Retry) { r.On = policy.Unsent }})
	// Other failures may follow work that was done.
	f(answer{first: "503", method: "POST", status: 503, firstAsked: 1})
	f(answer{first: "500", method: "GET", status: 500, firstAsked: 1})
	f(answer{first: "500", method: "GET", status: 200, firstAsked: 1, secondAsked: 1, retry: func(r *policy.Retry) { r.On |= policy.GatewayError }})
	f(answer{first: "500", method: "POST", status: 500, firstAsked: 1, retry: func(r *policy.Retry) { r.On |= policy.GatewayError }})
	f(answer{first: "500", method: "POST", status: 200, firstAsked: 1, secondAsked: 1, duplicate: true, retry: func(r *policy.Retry) { r.On |= policy.GatewayError; r.Duplicates = true }})
	f(answer{first: "500", method: "POST", fields: []string{"Idempotency-Key", "k"}, status: 500, firstAsked: 3, retry: func(r *policy.Retry) { r.On |= policy.GatewayError; r.KeysHonoured = true }})
	f(answer{first: "500", method: "POST", status: 500, firstAsked: 1, retry: func(r *policy.Retry) { r.On |= policy.GatewayError; r.KeysHonoured = true }})
	f(answer{first: "reset", method: "POST", status: 504, firstAsked: 1, reason: exchange.OutcomeUnknown})
	f(answer{first: "reset", method: "PUT", status: 502, firstAsked: 1, reason: exchange.UpstreamReset})
	f(answer{first: "reset", method: "PUT", status: 200, firstAsked: 1, secondAsked: 1, retry: func(r *policy.Retry) { r.On |= policy.Reset }})
	f(answer{first: "reset", method: "POST", status: 504, firstAsked: 1, reason: exchange.OutcomeUnknown, retry: func(r *policy.Retry) { r.On |= policy.Reset }})
	// A route's own retry: its codes on the same backend, for methods that are idempotent.
	f(answer{first: "500", method: "GET", status: 500, firstAsked: 4, route: &plan.Retry{Codes: []int{500}, Attempts: 3}})
	f(answer{first: "500", method: "POST", status: 500, firstAsked: 1, route: &plan.Retry{Codes: []int{500}, Attempts: 3}})
	f(answer{first: "500", method: "GET", status: 500, firstAsked: 1, route: &plan.Retry{Codes: []int{500}, Attempts: -1}})
	f(answer{first: "502", method: "GET", status: 502, firstAsked: 1, route: &plan.Retry{Codes: []int{500}, Attempts: 3}})
	f(answer{first: "reset", method: "GET", status: 502, firstAsked: 3, reason: exchange.UpstreamReset, route: &plan.Retry{Attempts: 2}})
	f(answer{first: "reset", method: "POST", status: 504, firstAsked: 1, reason: exchange.OutcomeUnknown, route: &plan.Retry{Attempts: 2}})
}

// Where work may be done twice, it is by two, and by none of them twice.
func TestDuplicatesAreOfAnother(t *testing.T) {
	setting := policy.NewSettings().Retry
	setting.Duplicates, setting.On = true, setting.On|policy.GatewayError
	f := func(method string, route *plan.Retry, firstAsked, secondAsked int64) {
		t.Helper()
		first, second := &counting{status: 500}, &counting{status: 500}
		r := two(t, retrying(setting), service("a", testFar(t, first)), service("b", testFar(t, second)))
		r.plan.Rules[0].Retry = route
		r.update()
		if res, _ := r.do(method, "/0", "hello"); res.StatusCode != 500 || first.n.Load() != firstAsked || second.n.Load() != secondAsked {
			t.Errorf("%s: status %d, asked %d and %d", method, res.StatusCode, first.n.Load(), second.n.Load())
		}
	}
	f("POST", nil, 1, 1)
	f("PUT", nil, 1, 2)
	f("POST", &plan.Retry{Codes: []int{500}, Attempts: 2, Backoff: time.Millisecond}, 1, 2)
	f("POST", &plan.Retry{Codes: []int{502}, Attempts: 2, Backoff: time.Millisecond}, 1, 1)
}

// An attempt's time is its own, and a budget that stops a repetition says so.
func TestWhatTheLogSaysOfAttempts(t *testing.T) {
	setting := policy.NewSettings().Retry
	setting.Duplicates, setting.On = true, setting.On|policy.TimedOut
	kinds := tuned(func(s *policy.Settings) { s.Retry, s.Timeouts.FirstByte = setting, 300*time.Millisecond })
	silent := &streaming{parts: []string{roleOnly}, ending: "stall"}
	r := two(t, kinds, service("a", testFar(t, silent)), service("b", testFar(t, &counting{status: 200})))
	if res, _ := r.do("POST", chatPath, "{}"); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	if e := r.seen.last(t); len(e.took) != 2 || e.took[0] < 300*time.Millisecond || e.took[0]+e.took[1] > e.whole || e.classes[0] != "Timeout" {
		t.Errorf("logged %+v", e)
	}
	setting.Budget = policy.Budget{Interval: time.Second}
	r = two(t, retrying(setting), service("a", testFar(t, &counting{status: 429})), service("b", testFar(t, &counting{status: 200})))
	if res, _ := r.do("POST", "/0", "hello"); res.StatusCode != 429 {
		t.Errorf("status %d", res.StatusCode)
	}
	if e := r.seen.last(t); !strings.Contains(e.detail, "budget of retries is used up") {
		t.Errorf("logged %+v", e)
	}
}

// A client that leaves is no timeout of the far side's.
func TestAClientThatLeavesProvesNothing(t *testing.T) {
	r := newRig(t, nil, service("a", testFar(t, &streaming{parts: []string{roleOnly}, ending: "stall"})))
	c := r.connect()
	if _, err := io.WriteString(c, "POST "+chatPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if e := r.seen.last(t); e.aborted != "client" || e.classes[0] != "" {
		t.Errorf("logged %+v", e)
	}
}

// An answer that rejected the request is the client's where no other backend can be reached, and nothing else is.
func TestTheRejectionIsKept(t *testing.T) {
	f := func(second *plan.Backend, field string, status int, body string) {
		t.Helper()
		first := &counting{status: 429, field: field}
		r := two(t, nil, service("a", testFar(t, first)), second)
		res, got := r.do("POST", "/0", "hello")
		if res.StatusCode != status || got != body || res.Header.Get("Retry-After") != strings.TrimPrefix(field, "Retry-After: ") {
			t.Errorf("%s: status %d, %q, %v", field, res.StatusCode, got, res.Header)
		}
		if e := r.seen.last(t); e.status != status || len(e.attempts) != 2 {
			t.Errorf("logged %+v", e)
		}
	}
	f(service("b", deadAddress(t)), "Retry-After: 7", 429, "from 429")
	f(service("b", testFar(t, &counting{status: 503})), "", 503, "from 503")
	var n atomic.Int64
	r := two(t, nil, service("a", testFar(t, &counting{status: 429})), service("b", resetting(t, &n)))
	if res, _ := r.do("POST", "/0", "hello"); res.StatusCode != 504 || n.Load() != 1 {
		t.Errorf("what may have been done at the second is told as %d", res.StatusCode)
	}
}

// resetting counts the heads that arrive and ends each connection without an answer.
func resetting(t testing.TB, n *atomic.Int64) string {
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
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				n.Add(1)
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// A body that streams is sent again whole, or not at all.
func TestABodyIsReplayedWholeOrNot(t *testing.T) {
	f := func(size int, status int, asked int64) {
		t.Helper()
		first, second := &counting{status: 429}, &counting{status: 200, bodies: make(chan string, 1)}
		r := two(t, nil, service("a", testFar(t, first)), service("b", testFar(t, second)))
		body := strings.Repeat("0123456789abcdef", size/16)
		res, _ := r.do("POST", "/0", body, "Transfer-Encoding", "chunked")
		if res.StatusCode != status || second.n.Load() != asked {
			t.Errorf("%d bytes: status %d, the second asked %d times", size, res.StatusCode, second.n.Load())
		}
		if e := r.seen.last(t); e.in != int64(size) {
			t.Errorf("%d bytes: logged %+v", size, e)
		}
		if asked == 0 {
			return
		}
		if got := <-second.bodies; got != body {
			t.Errorf("%d bytes: the second got %d", size, len(got))
		}
	}
	f(16, 200, 1)
	f(1<<20, 200, 1)
	f(replayMax, 200, 1)
	f(replayMax+1<<20, 429, 0)
}

// A backend that rejects what is still on its way does not spoil it: it goes elsewhere whole, or its answer is passed on.
func TestAnUploadIsRejectedUnderWay(t *testing.T) {
	early := testFar(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }))
	second := &counting{status: 200, bodies: make(chan string, 1)}
	r := two(t, nil, service("a", early), service("b", testFar(t, second)))
	f := func(size int) {
		t.Helper()
		second.n.Store(0)
		body := strings.Repeat("0123456789abcdef", size/16)
		res, _ := r.do("POST", "/0", body, "Transfer-Encoding", "chunked")
		switch asked := second.n.Load(); {
		case res.StatusCode == 200 && asked == 1:
			if got := <-second.bodies; got != body {
				t.Errorf("%d bytes: the second got %d", size, len(got))
			}
		case res.StatusCode == 429 && asked == 0:
		default:
			t.Errorf("%d bytes: status %d, the second asked %d times", size, res.StatusCode, asked)
		}
		r.seen.last(t)
	}
	for range 5 {
		f(100 << 10)
		f(replayMax)
		f(2 * replayMax)
	}
}

// A head that cannot be written is no failure of the backend's: no other is asked.
func TestAHeadThatCannotBeWritten(t *testing.T) {
	first, second := &counting{status: 200}, &counting{status: 200}
	r := two(t, nil, service("a", testFar(t, first)), service("b", testFar(t, second)))
	r.with(plan.Filter{Rewrite: &plan.Rewrite{Hostname: "a b"}})
	if res, _ := r.do("GET", "/0", ""); res.StatusCode != 500 || first.n.Load()+second.n.Load() != 0 {
		t.Error(res.Status)
	}
	if e := r.seen.last(t); e.reason != exchange.Internal || len(e.attempts) != 1 {
		t.Errorf("logged %+v", e)
	}
}

// A far side that refuses streams is not asked again and again beside the budget.
func TestRefusedStreams(t *testing.T) {
	far := testkit.HTTP2Fault(t, upstream.HTTP2FaultConfig{Kind: upstream.RefuseStream})
	r := newRig(t, nil, h2c("far", far.Addr()))
	before := int64(0)
	for _, most := range []int64{1, 2, 2} {
		if res, _ := r.do("POST", "/0", "x"); res.StatusCode != 502 {
			t.Error(res.Status)
		}
		now := int64(far.Heads())
		if now-before > most {
			t.Errorf("asked %d times for one request", now-before)
		}
		before = now
	}
}

// Bytes of a body count once, however often they were sent.
func TestAReplayedBodyIsCountedOnce(t *testing.T) {
	r := two(t, nil, service("a", testFar(t, &counting{status: 429})), service("b", deadAddress(t)))
	rule := *r.plan.Rules[0]
	rule.Retry = &plan.Retry{Attempts: 3, Backoff: time.Millisecond, Codes: []int{429}}
	r.plan.Rules = []*plan.Rule{&rule}
	r.update()
	for _, size := range []int{100, 100_000} {
		r.do("PUT", "/0", strings.Repeat("x", size), "Transfer-Encoding", "chunked")
		if e := r.seen.last(t); e.in != int64(size) || len(e.attempts) < 2 {
			t.Errorf("%d bytes: logged %+v", size, e)
		}
	}
}

// Reading that was ended over HTTP/2 stays so: the client is told of the backend's failure, and not of one of its own.
func TestAnUploadOverHTTP2ThatCannotGoOn(t *testing.T) {
	a, b := testkit.Fault(t, upstream.FaultConfig{Kind: upstream.CloseAfterHead}), testkit.Fault(t, upstream.FaultConfig{Kind: upstream.CloseAfterHead})
	r := two(t, nil, service("a", a.Addr()), service("b", b.Addr()))
	rule := *r.plan.Rules[0]
	rule.Retry = &plan.Retry{Attempts: 1, Backoff: time.Millisecond}
	r.plan.Rules = []*plan.Rule{&rule}
	r.update()
	body, w := io.Pipe()
	defer w.Close()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+r.listen+"/0", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h2Client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if e := r.seen.last(t); res.StatusCode != 502 || e.reason != exchange.UpstreamReset || e.aborted != "" {
		t.Errorf("%d, logged %+v", res.StatusCode, e)
	}
}

// The time of one try ends that try; the time of the whole ends all (GEP-1742).
func TestATryHasATimeOfItsOwn(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	var n atomic.Int64
	far := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			select {
			case <-gate:
			case <-r.Context().Done():
			}
		}
	})
	f := func(b *plan.Backend, rule func(*plan.Rule), status int, asked int64) {
		t.Helper()
		n.Store(0)
		r := newRig(t, nil, b)
		changed := *r.plan.Rules[0]
		changed.Retry, changed.Timeouts = &plan.Retry{Attempts: 3, Backoff: time.Millisecond}, plan.Timeouts{BackendRequest: 50 * time.Millisecond}
		rule(&changed)
		r.plan.Rules = []*plan.Rule{&changed}
		r.update()
		res, _ := r.do("GET", "/0", "")
		if res.StatusCode != status || n.Load() != asked {
			t.Errorf("status %d after %d attempts, want %d after %d", res.StatusCode, n.Load(), status, asked)
		}
		r.seen.last(t)
	}
	for _, b := range []*plan.Backend{service("far", testFar(t, far)), h2c("far", h2Far(t, nil, far))} {
		f(b, func(*plan.Rule) {}, 200, 3)
		f(b, func(r *plan.Rule) { r.Retry = nil }, 504, 1)
		f(b, func(r *plan.Rule) { r.Timeouts = plan.Timeouts{Request: 50 * time.Millisecond} }, 504, 1)
	}
}

func TestBudget(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBudget(policy.Budget{Percent: 20, Interval: 10 * time.Second, Floor: 2, FloorInterval: time.Second})
	b.now = func() time.Time { return now }
	f := func(requests, want int) {
		t.Helper()
		for range requests {
			b.request()
		}
		got := 0
		for range 50 {
			if b.take(b.requests.sum(now)) {
				got++
			}
		}
		if got != want {
			t.Errorf("%d retries after %d requests, want %d", got, requests, want)
		}
	}
	f(0, 2)
	f(100, 18)
	now = now.Add(20 * time.Second)
	f(0, 2)
	now = now.Add(20 * time.Second)
	f(50, 10)
}
