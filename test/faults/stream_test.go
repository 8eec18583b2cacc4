package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

const streamIntro = `
## Streams of AI providers

What becomes of a POST for a stream of OpenAI (chat and Responses), Anthropic, Gemini and Bedrock: the same for all five, over both versions on both sides. *By the second*: from its first byte.

`

// streamFaults are the ways to fail under a provider's stream, in their order.
var streamFaults = []struct {
	name  string
	fault provider.Fault
}{
	{"429 in place of an answer", provider.Fault{Kind: provider.Refuse, Status: 429}},
	{"200, and an error before any output", provider.Fault{Kind: provider.ErrorFirst}},
	{"500", provider.Fault{Kind: provider.Fail, Status: 500}},
	{"Reset before the answer", provider.Fault{Kind: provider.ResetHead}},
	{"Silence before the answer, for `timeouts.firstByte`", provider.Fault{Kind: provider.StallHead}},
	{"200, and reset before any output", provider.Fault{Kind: provider.ResetFirst}},
	{"200, and silence before any output, for `timeouts.firstByte`", provider.Fault{Kind: provider.StallFirst}},
	{"Reset after output", provider.Fault{Kind: provider.ResetMiddle}},
	{"Silence after output, for `timeouts.streamIdle`", provider.Fault{Kind: provider.StallMiddle}},
	{"A regular end after output, without the end of its API", provider.Fault{Kind: provider.CutMiddle}},
	{"An error after output", provider.Fault{Kind: provider.ErrorMiddle}},
}

// streamSetups are rules, and whether policy accepts that work is done twice.
var streamSetups = []struct {
	name            string
	two, duplicates bool
}{
	{name: "one backend"}, {name: "two backends", two: true}, {name: "two, `duplicates: Allow`", two: true, duplicates: true},
}

const key = "sk-of-the-matrix"

// emulators are one of each kind at the same place of every rule.
type emulators map[provider.Kind]*provider.Provider

// startEmulators has them look at a request without the first segment of its path, by which the log knows it.
func startEmulators(t *testing.T, root *ca.CA) emulators {
	t.Helper()
	all := emulators{}
	watch := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := strings.SplitN(r.URL.Path, "/", 3)[1]
			http.StripPrefix("/"+name, h).ServeHTTP(w, r)
		})
	}
	for _, e := range provider.Endpoints() {
		if all[e.Kind] == nil {
			all[e.Kind] = testkit.Provider(t, provider.Config{Kind: e.Kind, Key: key, Certificate: testkit.Loopback(t, root, "far.test"), Watch: watch})
		}
	}
	return all
}

// streamCell is one exchange with a stream.
type streamCell struct {
	fault, setup, endpoint int
	towards                version
	http2                  bool
}

func (c streamCell) name() string {
	return fmt.Sprintf("s-%d-%d-%d-%d-%t", c.fault, c.setup, c.endpoint, c.towards, c.http2)
}

// abreast is how many exchanges a rig has under way: more would be late on a busy machine, and not for what is tested.
const abreast = 16

// silent reports whether a fault is one that limits of time find.
func (c streamCell) silent() bool {
	switch streamFaults[c.fault].fault.Kind {
	case provider.StallHead, provider.StallFirst, provider.StallMiddle:
		return true
	}
	return false
}

// runStreams is the table of streams, a rig for each version towards the far sides, each policy, and whether limits of
// time are short.
func runStreams(t *testing.T) *sync.Map {
	t.Helper()
	seen := new(sync.Map)
	for _, v := range versions {
		for _, duplicates := range []bool{false, true} {
			for _, silent := range []bool{false, true} {
				t.Run(fmt.Sprintf("streams/%s/%t/%t", v, duplicates, silent), func(t *testing.T) {
					t.Parallel()
					runStreamRig(t, v, duplicates, silent, seen)
				})
			}
		}
	}
	return seen
}

func runStreamRig(t *testing.T, v version, duplicates, silent bool, seen *sync.Map) {
	t.Helper()
	root := testkit.CA(t, "root")
	first, second := startEmulators(t, root), startEmulators(t, root)
	for _, p := range first {
		p.SetFail(func(r *http.Request) provider.Fault {
			i, err := strconv.Atoi(r.Header.Get("X-Fault"))
			if err != nil {
				t.Error(err)
			}
			return streamFaults[i].fault
		})
	}
	protocol := plan.HTTP11
	if v == http2c {
		protocol = plan.HTTP2
	}
	var cells []streamCell
	var backends []*plan.Backend
	var rules []*plan.Rule
	for i := range streamFaults {
		for setup, s := range streamSetups {
			for e := range provider.Endpoints() {
				for _, h2 := range []bool{false, true} {
					c := streamCell{i, setup, e, v, h2}
					if s.duplicates != duplicates || c.silent() != silent {
						continue
					}
					kind := provider.Endpoints()[e].Kind
					targets := []plan.RuleBackend{{Backend: "Backend/t/" + c.name() + "-a", Weight: exclusively}}
					backends = append(backends, backend(c.name()+"-a", far{address: first[kind].Addr(), protocol: protocol, tls: true}))
					if s.two {
						targets = append(targets, plan.RuleBackend{Backend: "Backend/t/" + c.name() + "-b", Weight: 1})
						backends = append(backends, backend(c.name()+"-b", far{address: second[kind].Addr(), protocol: protocol, tls: true}))
					}
					rules, cells = append(rules, rule(len(rules), "/"+c.name()+"/", targets...)), append(cells, c)
				}
			}
		}
	}
	r := newRig(t, func(s *policy.Settings) {
		if silent {
			s.Timeouts.FirstByte, s.Timeouts.StreamIdle = limit, limit
		}
		s.Retry.Budget.Floor = len(cells)
		if duplicates {
			s.Retry.Duplicates, s.Retry.On = true, policy.Unsent|policy.Rejected|policy.Reset|policy.TimedOut|policy.GatewayError
		}
	}, root.PEM(), backends, rules)
	var running sync.WaitGroup
	places := make(chan struct{}, abreast)
	for _, c := range cells {
		places <- struct{}{}
		running.Go(func() {
			seen.Store(c, r.stream(t, c, first, second))
			<-places
		})
	}
	running.Wait()
}

// stream is one exchange with a stream: the first attempt's class, and what the client saw.
func (r *rig) stream(t *testing.T, c streamCell, first, second emulators) [2]string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := provider.Endpoints()[c.endpoint]
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!c.http2)
	transport.Protocols.SetUnencryptedHTTP2(c.http2)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.address+"/"+c.name()+e.Path(true), strings.NewReader(e.Body("hello there", true, "")))
	if err != nil {
		t.Error(err)
		return [2]string{}
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "Anthropic-Version": {"2023-06-01"}, "X-Fault": {strconv.Itoa(c.fault)}, provider.LedgerField: {c.name()},
	}
	switch e.Kind {
	case provider.Anthropic:
		req.Header.Set("X-Api-Key", key)
	case provider.Gemini:
		req.Header.Set("X-Goog-Api-Key", key)
	default:
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s: %v", c.name(), err)
		return [2]string{}
	}
	defer res.Body.Close()
	body, broken := io.ReadAll(res.Body)
	log, err := r.seen.wait(ctx, req.URL.Path)
	if err != nil {
		t.Error(err)
		return [2]string{}
	}
	class := "–"
	if is := log.attempts[0].class; is != "" {
		class = "`" + is + "`"
	}
	times := [2]int{first[e.Kind].Executed(c.name()), second[e.Kind].Executed(c.name())}
	if times[0]+times[1] > 1 && !streamSetups[c.setup].duplicates || times[0] > 1 || times[1] > 1 {
		t.Errorf("%s: executed %v times", c.name(), times)
	}
	return [2]string{class, streamView(&e, res, body, broken, times)}
}

// streamView is in words what a client saw.
func streamView(e *provider.Endpoint, res *http.Response, body []byte, broken error, times [2]int) string {
	failed, ended := bytes.Contains(body, []byte(e.Failed)), bytes.Contains(body, []byte(e.Ended))
	reason := reasonIn(res.Header.Get("Content-Type"), body)
	twice := ""
	if times[0]+times[1] > 1 {
		twice = ", executed twice"
	}
	switch {
	case broken != nil:
		return fmt.Sprintf("%d, cut", res.StatusCode)
	case reason != "":
		return fmt.Sprintf("%d `%s`", res.StatusCode, reason)
	case res.StatusCode != http.StatusOK:
		return fmt.Sprintf("%d of the destination", res.StatusCode)
	case ended && !failed && times[1] == 1:
		return "200 by the second" + twice
	case ended && !failed:
		return "200"
	case failed && bytes.Contains(body, []byte("Emulated failure")):
		return "200 and the destination's error"
	case failed:
		return "200, what there was, and an error event"
	}
	return "an end in silence"
}

// streamTable is the page's table of streams, in which all APIs and versions must agree.
func streamTable(t *testing.T, seen *sync.Map) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| what happens | class |")
	for _, s := range streamSetups {
		fmt.Fprintf(&b, " %s |", s.name)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(streamSetups)) + "\n")
	lines := make([][]string, len(streamFaults))
	seen.Range(func(k, v any) bool {
		c, is := k.(streamCell), v.([2]string)
		l := &lines[c.fault]
		if *l == nil {
			*l = make([]string, 1+len(streamSetups))
		}
		for at, text := range map[int]string{0: is[0], 1 + c.setup: is[1]} {
			if (*l)[at] == "" {
				(*l)[at] = text
			}
			if (*l)[at] != text {
				t.Errorf("%s, %s: %q, and %q elsewhere", streamFaults[c.fault].name, c.name(), text, (*l)[at])
			}
		}
		return true
	})
	for i, l := range lines {
		if slices.Contains(l, "") || len(l) == 0 {
			t.Errorf("%s: seen %q", streamFaults[i].name, l)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", streamFaults[i].name, strings.Join(l, " | "))
	}
	return b.String()
}
