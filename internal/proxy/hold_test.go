package proxy

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	chatPath = "/0/v1/chat/completions"
	roleOnly = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	word     = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word"}}]}` + "\n\n"
	stop     = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	done     = "data: [DONE]\n\n"
	quota    = `data: {"error":{"message":"no more","type":"insufficient_quota","code":"insufficient_quota"}}` + "\n\n"
)

// streaming writes parts of a stream, each in a write of its own, and ends: regularly, by a reset, or not at all.
type streaming struct {
	n      atomic.Int64
	parts  []string
	ending string
	raw    bool // with no framing but the connection's end
}

func (s *streaming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.n.Add(1)
	if s.raw {
		s.serveRaw(w)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, part := range s.parts {
		_, _ = io.WriteString(w, part)
		_ = http.NewResponseController(w).Flush()
	}
	switch s.ending {
	case "reset":
		panic(http.ErrAbortHandler)
	case "stall":
		<-r.Context().Done()
	}
}

func (s *streaming) serveRaw(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"+strings.Join(s.parts, ""))
}

// streamSettings are short times for streams that fall silent.
type streamSettings struct{ change func(*policy.Settings) }

func (s streamSettings) Tune(t *policy.Settings) { s.change(t) }

func tuned(change func(*policy.Settings)) []*policy.Kind {
	return []*policy.Kind{{
		Name: "Tuned", Config: func() any { return new(struct{}) },
		Apply: func(policy.Env, any) (any, error) { return streamSettings{change}, nil },
	}}
}

// A provider's stream reaches the client once it has begun to put out; until then another may answer in its place. After
// that a failure ends it with an error event of its API.
func TestStreamsAreHeldUntilOutput(t *testing.T) {
	second := strings.Join([]string{roleOnly, word, stop, done}, "")
	type stream struct {
		far         *streaming
		change      func(*policy.Settings)
		single      bool // there is no second backend
		path        string
		status      int
		body        string // whole, or its beginning where event is set
		event       string // in the error event at the end
		secondAsked int64
		reason      exchange.Reason
		aborted     bool
	}
	f := func(s stream) {
		t.Helper()
		other := &streaming{parts: []string{second}}
		change := s.change
		if change == nil {
			change = func(*policy.Settings) {}
		}
		r := two(t, tuned(change), service("a", testFar(t, s.far)), service("b", testFar(t, other)))
		if s.single {
			r = newRig(t, tuned(change), service("a", testFar(t, s.far)))
		}
		if s.path == "" {
			s.path = chatPath
		}
		res, body := r.do("POST", s.path, "{}")
		if s.event != "" {
			rest, ok := strings.CutPrefix(body, s.body)
			if !ok || !strings.HasPrefix(rest, `data: {"error":{`) || !strings.HasSuffix(rest, "\n\n") || !strings.Contains(rest, s.event) {
				t.Errorf("%q then %s: body %q", s.far.parts, s.far.ending, body)
			}
		} else if s.status == 200 && body != s.body {
			t.Errorf("%q then %s: body %q, want %q", s.far.parts, s.far.ending, body, s.body)
		}
		if res.StatusCode != s.status || s.far.n.Load() != 1 || other.n.Load() != s.secondAsked {
			t.Errorf("%q then %s: status %d, %d and %d asked", s.far.parts, s.far.ending, res.StatusCode, s.far.n.Load(), other.n.Load())
		}
		if e := r.seen.last(t); e.reason != s.reason || (e.aborted != "") != s.aborted {
			t.Errorf("%q then %s: logged %+v", s.far.parts, s.far.ending, e)
		}
	}
	soon := func(s *policy.Settings) {
		s.Timeouts.FirstByte, s.Timeouts.StreamIdle = 100*time.Millisecond, 100*time.Millisecond
	}
	// What goes well is not touched.
	f(stream{far: &streaming{parts: []string{roleOnly, word, word, stop, done}}, status: 200, body: roleOnly + word + word + stop + done})
	f(stream{far: &streaming{parts: []string{": hello\n\n", roleOnly[:30], roleOnly[30:] + word[:9], word[9:], stop + done}}, status: 200, body: ": hello\n\n" + roleOnly + word + stop + done})
	large := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("x", 300<<10) + `"}}]}` + "\n\n"
	f(stream{far: &streaming{parts: []string{word, large, done}}, status: 200, body: word + large + done})
	f(stream{far: &streaming{parts: []string{large, word, done}}, status: 200, body: large + word + done})
	f(stream{far: &streaming{parts: []string{roleOnly, stop, done}}, status: 200, body: roleOnly + stop + done})
	// An error before any output is a rejection.
	f(stream{far: &streaming{parts: []string{quota}}, status: 200, body: second, secondAsked: 1})
	f(stream{far: &streaming{parts: []string{roleOnly, quota}}, status: 200, body: second, secondAsked: 1})
	f(stream{far: &streaming{parts: []string{roleOnly, quota}}, single: true, status: 200, body: roleOnly + quota})
	f(stream{far: &streaming{parts: []string{roleOnly, word, quota}}, status: 200, body: roleOnly + word + quota})
	// A failure before any output leaves the outcome unknown, and nobody else is asked but where policy accepts it.
	f(stream{far: &streaming{parts: []string{roleOnly}, ending: "reset"}, status: 504, reason: exchange.OutcomeUnknown})
	f(stream{far: &streaming{parts: []string{roleOnly}}, status: 504, reason: exchange.OutcomeUnknown})
	f(stream{far: &streaming{parts: []string{roleOnly}, ending: "stall"}, change: soon, status: 504, reason: exchange.OutcomeUnknown})
	f(stream{far: &streaming{parts: []string{roleOnly}, ending: "stall"}, change: func(s *policy.Settings) {
		soon(s)
		s.Retry.Duplicates, s.Retry.On = true, s.Retry.On|policy.TimedOut
	}, status: 200, body: second, secondAsked: 1})
	// After output nothing is asked of anybody, and the client is told in its own API's words.
	f(stream{far: &streaming{parts: []string{roleOnly, word}, ending: "reset"}, status: 200, body: roleOnly + word, event: `"upstream_reset"`, reason: exchange.UpstreamReset, aborted: true})
	f(stream{far: &streaming{parts: []string{roleOnly, word, word[:20]}, ending: "reset"}, status: 200, body: roleOnly + word, event: `"upstream_reset"`, reason: exchange.UpstreamReset, aborted: true})
	f(stream{far: &streaming{parts: []string{word}, ending: "stall"}, change: soon, status: 200, body: word, event: `"stream_idle"`, reason: exchange.StreamIdle, aborted: true})
	f(stream{far: &streaming{parts: []string{word, stop, done}, ending: "reset"}, status: 200, body: word + stop + done})
	f(stream{far: &streaming{parts: []string{word}, raw: true}, status: 200, body: word, event: `"upstream_reset"`, reason: exchange.UpstreamReset, aborted: true})
	f(stream{far: &streaming{parts: []string{word, stop, done}, raw: true}, status: 200, body: word + stop + done})
	f(stream{far: &streaming{parts: []string{roleOnly, word}}, status: 200, body: roleOnly + word, event: `"upstream_reset"`, reason: exchange.UpstreamReset, aborted: true})
	// What is no known stream passes as it is.
	f(stream{far: &streaming{parts: []string{"data: hello\n\n", "data: there\n\n"}}, status: 200, body: "data: hello\n\ndata: there\n\n"})
	f(stream{far: &streaming{parts: []string{roleOnly, quota}}, path: "/0/v1/other", status: 200, body: roleOnly + quota})
}

// A stream that is not known is not held back: its head and its first event arrive while the far side waits.
func TestUnknownStreamsAreNotHeld(t *testing.T) {
	far := &streaming{parts: []string{roleOnly}, ending: "stall"}
	r := newRig(t, nil, service("a", testFar(t, far)))
	c := r.connect()
	defer c.Close()
	if _, err := io.WriteString(c, "POST /0/v1/other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, c, `"role":"assistant"`)
}

func readUntil(t *testing.T, c net.Conn, text string) {
	t.Helper()
	var got strings.Builder
	buffer := make([]byte, 4<<10)
	for !strings.Contains(got.String(), text) {
		n, err := c.Read(buffer)
		got.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%q: %v", got.String(), err)
		}
	}
}

// A stream that fell silent has ended as it should for its client, whose connection serves the next request.
func TestAConnectionOutlivesAStreamThatFellSilent(t *testing.T) {
	far := &streaming{parts: []string{word}, ending: "stall"}
	r := newRig(t, tuned(func(s *policy.Settings) { s.Timeouts.StreamIdle = 100 * time.Millisecond }), service("a", testFar(t, far)))
	c := r.connect()
	defer c.Close()
	for range 2 {
		if _, err := io.WriteString(c, "POST "+chatPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		readUntil(t, c, "\r\n0\r\n\r\n")
	}
	if far.n.Load() != 2 {
		t.Errorf("%d requests", far.n.Load())
	}
}
