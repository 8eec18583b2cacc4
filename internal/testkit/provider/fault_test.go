package provider

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	reader "github.com/ebbgate/ebbgate/internal/provider/dialect"
)

// streamed are requests for a stream of every dialect, and how its reader must see the answer: a letter for each event
// that is Metadata, Output or the End.
var streamed = []struct {
	kind       Kind
	path, body string
	dialect    reader.Dialect
	seen       string
}{
	{OpenAI, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello there"}]}`, reader.Chat, "mooooEE"},
	{
		OpenAI, "/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello there"}]}`,
		reader.Chat, "mooooEmE",
	},
	{OpenAI, "/v1/responses", `{"model":"m","stream":true,"input":"hello there"}`, reader.Responses, "mmmmoooooooE"},
	{Anthropic, "/v1/messages", `{"model":"m","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hello there"}]}`, reader.Messages, "mmmoooomoE"},
	{Gemini, "/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"hello there"}]}]}`, reader.Gemini, "oooo"},
	{Bedrock, "/model/m/converse-stream", `{"messages":[{"role":"user","content":[{"text":"hello there"}]}]}`, reader.Converse, "moooomEm"},
}

// watched is a streamed answer as a reader of its dialect sees it.
type watched struct {
	t        *testing.T
	response *http.Response
	stream   reader.Stream
	seen     string
}

func watch(t *testing.T, want reader.Dialect, response *http.Response) *watched {
	t.Helper()
	w := &watched{t: t, response: response}
	d := reader.Of("POST", response.Request.URL.RequestURI(), response.Header.Get("Content-Type"), response.Header.Get("Content-Encoding"))
	if response.StatusCode != http.StatusOK || d != want {
		t.Fatalf("%d, %s: dialect %s, want %s", response.StatusCode, response.Header.Get("Content-Type"), d, want)
	}
	w.stream.Reset(d)
	return w
}

func (w *watched) note(e reader.Event) {
	w.seen += map[reader.Event]string{reader.Metadata: "m", reader.Output: "o", reader.Error: "e", reader.End: "E"}[e]
}

// until reads up to an event of this kind, or to the end or the failure.
func (w *watched) until(letter string) error {
	buffer := make([]byte, 4096)
	for {
		n, err := w.response.Body.Read(buffer)
		for p := buffer[:n]; len(p) > 0; {
			taken, e := w.stream.Feed(p)
			p = p[taken:]
			w.note(e)
		}
		if err == io.EOF {
			w.note(w.stream.Finish())
		}
		if err != nil || letter != "" && strings.Contains(w.seen, letter) {
			return err
		}
	}
}

func TestStreamsAreReadByTheirDialect(t *testing.T) {
	for _, c := range streamed {
		h := start(t, Config{Kind: c.kind})
		response := h.send(t.Context(), "POST", c.path, h.header, strings.NewReader(c.body))
		w := watch(t, c.dialect, response)
		if err := w.until(""); err != io.EOF || w.seen != c.seen || !w.stream.Ended() || !w.stream.Boundary() {
			t.Errorf("%s: %v, %s, want %s, ended %t", c.path, err, w.seen, c.seen, w.stream.Ended())
		}
	}
}

// faulty sends one request over one version of HTTP to an emulator that goes wrong.
func faulty(t *testing.T, ctx context.Context, kind Kind, version int, fail func(*http.Request) Fault, path, body string) (*harness, *http.Response, error) {
	t.Helper()
	h := start(t, Config{Kind: kind})
	transport := h.client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = version == 2
	h.SetFail(fail)
	r, err := http.NewRequestWithContext(ctx, "POST", h.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h.header.Clone()
	r.Header.Set(LedgerField, "one")
	response, err := h.client.Do(r)
	if err != nil {
		return h, nil, err
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.ProtoMajor != version {
		t.Fatalf("HTTP/%d", response.ProtoMajor)
	}
	return h, response, nil
}

func always(fault Fault) func(*http.Request) Fault { return func(*http.Request) Fault { return fault } }

// executed wants this many inferences, by every count.
func (h *harness) executed(name string, want int) {
	h.t.Helper()
	if h.Executions() != int64(want) || h.Executed("one") != want || h.Executed("two") != 0 {
		h.t.Errorf("%s: %d executions, %d of this request, want %d", name, h.Executions(), h.Executed("one"), want)
	}
}

func TestStreamFaults(t *testing.T) {
	f := func(kind FaultKind, executed int, whole bool, pattern string) {
		t.Helper()
		want := regexp.MustCompile("^" + pattern + "$")
		for _, c := range streamed {
			for version := 1; version <= 2; version++ {
				h, response, err := faulty(t, t.Context(), c.kind, version, always(Fault{Kind: kind}), c.path, c.body)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				w := watch(t, c.dialect, response)
				err = w.until("")
				failed := strings.HasSuffix(w.seen, "e")
				if (err == io.EOF) != whole || !want.MatchString(w.seen) || w.stream.Ended() != failed || whole && !w.stream.Boundary() && c.kind != Gemini {
					t.Errorf("%s of %s over HTTP/%d: %v, %s, want %s, ended %t", kind, c.path, version, err, w.seen, pattern, w.stream.Ended())
				}
				h.executed(string(kind), executed)
			}
		}
	}
	f(ErrorFirst, 0, true, "m*e")
	f(ErrorMiddle, 1, true, "m*oo(oo|)e")
	f(CutMiddle, 1, true, "m*oo")
	f(ResetFirst, 1, false, "m*")
	f(ResetMiddle, 1, false, "m*o*")
}

func TestStatusFaults(t *testing.T) {
	f := func(fault Fault, status, executed int) {
		t.Helper()
		for _, c := range streamed {
			for _, body := range []string{c.body, strings.Replace(c.body, `"stream":true,`, "", 1)} {
				h, response, err := faulty(t, t.Context(), c.kind, 2, always(fault), c.path, body)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != status || response.Header.Get("Retry-After") != fault.RetryAfter || !strings.Contains(string(text), "Emulated failure") {
					t.Errorf("%+v of %s: %v, %d, %s", fault, c.path, err, response.StatusCode, text)
				}
				h.executed(string(fault.Kind), executed)
				if h.Rejections() != int64(1-executed) {
					t.Errorf("%+v: %d rejections", fault, h.Rejections())
				}
			}
		}
	}
	f(Fault{Kind: Refuse, Status: 429, RetryAfter: "7"}, 429, 0)
	f(Fault{Kind: Refuse, Status: 529}, 529, 0)
	f(Fault{Kind: Refuse}, 503, 0)
	f(Fault{Kind: Fail, Status: 500}, 500, 1)
	f(Fault{Kind: Fail, Status: 503, RetryAfter: "1"}, 503, 1)
}

func TestFaultsOfPlainAnswers(t *testing.T) {
	f := func(kind FaultKind, status, executed int, whole bool) {
		t.Helper()
		for of, v := range valid {
			for version := 1; version <= 2; version++ {
				h, response, err := faulty(t, t.Context(), of, version, always(Fault{Kind: kind}), v.path, v.body)
				got := 0
				if err == nil {
					got = response.StatusCode
					_, err = io.ReadAll(response.Body)
				}
				if got != status || (err == nil) != whole {
					t.Errorf("%s of %s over HTTP/%d: %d, %v", kind, of, version, got, err)
				}
				h.executed(string(kind), executed)
			}
		}
	}
	f("", 200, 1, true)
	f(ErrorFirst, 503, 0, true)
	f(ResetHead, 0, 1, false)
	f(ResetFirst, 200, 1, false)
	f(ResetMiddle, 200, 1, false)
	f(ErrorMiddle, 200, 1, false)
	f(CutMiddle, 200, 1, false)
}

func TestStallsEndWithTheClient(t *testing.T) {
	for _, c := range streamed {
		for _, kind := range []FaultKind{StallHead, StallFirst, StallMiddle} {
			ctx, cancel := context.WithCancel(t.Context())
			asked := func() {}
			if kind == StallHead { // nothing will come that one could wait for
				asked = cancel
			}
			h, response, err := faulty(t, ctx, c.kind, 2, func(*http.Request) Fault { asked(); return Fault{Kind: kind} }, c.path, c.body)
			if kind != StallHead && err == nil {
				w := watch(t, c.dialect, response)
				if kind == StallMiddle {
					if err := w.until("o"); err != nil {
						t.Fatal(err)
					}
				}
				cancel()
				err = w.until("")
				if w.stream.Ended() || kind == StallFirst && strings.Contains(w.seen, "o") {
					t.Errorf("%s of %s: %s", kind, c.path, w.seen)
				}
			}
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s of %s: %v", kind, c.path, err)
			}
			h.running.Wait() // the handlers' end is the event
			h.executed(string(kind), 1)
		}
	}
}

func TestLedgerIsShared(t *testing.T) {
	ledger := new(Ledger)
	for _, kind := range []Kind{OpenAI, Anthropic} {
		h := start(t, Config{Kind: kind, Ledger: ledger})
		for _, id := range []string{"both", "", string(kind)} {
			header := h.header.Clone()
			header.Set(LedgerField, id)
			h.call(http.MethodPost, valid[kind].path, header, valid[kind].body)
		}
	}
	if got := ledger.Repeated(); len(got) != 1 || got[0] != "both" || ledger.Executed("both") != 2 || ledger.Executed("OpenAI") != 1 || ledger.Executed("") != 0 {
		t.Errorf("%v, %d, %d", got, ledger.Executed("both"), ledger.Executed("OpenAI"))
	}
}
