package examples_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func providerSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/provider-ca", "ca.crt", string(authority.PEM()))
	s.put("ai/anthropic-key", "token", "sk-ant-1")
	s.put("ai/openai-key", "token", "sk-oai-1")
}

func startProvider(t *testing.T, handler http.Handler) (*gateway, *upstream.Upstream) {
	t.Helper()
	s, authority := named(t, "provider-features"), testkit.CA(t, "provider")
	leaf := ca.Leaf{DNSNames: []string{"api.anthropic.test", "api.openai.test"}}
	up := far(t, upstream.Config{Address: "127.0.11.10:8443", Certificate: testkit.Issue(t, authority, leaf), Handler: handler})
	return start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18090"), up
}

// TestProviderRequestUntouched holds that what a provider sees is byte for byte what the client wrote: spelling and order
// of headers, values of one name on several lines, a query's order and escapes, the body.
func TestProviderRequestUntouched(t *testing.T) {
	g, up := startProvider(t, nil)
	body := "{\"model\": \"m\",  \"x\":1,\"x\":2, \"e\": \"\\u00e9\xc3\xa9\"}\n"
	answer := g.raw("POST /anthropic/v1/messages?beta=true&b=2&a=1&a=%2F%2f+%20&&empty=&flag&utf=%C3%A9 HTTP/1.1\r\n" +
		"anthropic-version: 2023-06-01\r\n" +
		"host: 127.0.0.1:18090\r\n" +
		"ANTHROPIC-beta: tools-2024-05-16\r\n" +
		"X-Stainless-OS: Linux\r\n" +
		"anthropic-beta: prompt-caching-2024-07-31,  context-1m\r\n" +
		"x-STAINLESS-retry-count: 0\r\n" +
		"Idempotency-Key: a1\r\n" +
		"content-TYPE: application/json; charset=\"utf-8\"\r\n" +
		"X-Empty:\r\n" +
		"x-api-key: of-the-client\r\n" +
		"Accept: text/event-stream\r\n" +
		"TE: trailers\r\n" +
		"accept: application/json\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n", len(body)) +
		"Connection: close\r\n\r\n" + body)
	if !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Fatalf("answer: %s", answer)
	}
	seen, err := up.WaitRequest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/v1/messages?beta=true&b=2&a=1&a=%2F%2f+%20&&empty=&flag&utf=%C3%A9"; seen.Target != want {
		t.Errorf("target %q, want %q", seen.Target, want)
	}
	if string(seen.Body) != body {
		t.Errorf("body %q, want %q", seen.Body, body)
	}
	own := []string{"Host", "Content-Length", "X-Api-Key", "TE", "Connection", "Via"}
	want := []string{
		"anthropic-version: 2023-06-01", "ANTHROPIC-beta: tools-2024-05-16", "X-Stainless-OS: Linux",
		"anthropic-beta: prompt-caching-2024-07-31,  context-1m", "x-STAINLESS-retry-count: 0", "Idempotency-Key: a1",
		"content-TYPE: application/json; charset=\"utf-8\"", "X-Empty: ", "Accept: text/event-stream", "accept: application/json",
	}
	lines(t, without(seen, own...), want...)
	if got := strings.Join(seen.Values("x-api-key"), "|"); got != "sk-ant-1" {
		t.Errorf("the provider was shown the key %q", got)
	}
	if c := up.Accepted()[0]; c.SNI != "api.anthropic.test" || seen.Host != "api.anthropic.test:8443" {
		t.Errorf("SNI %q, Host %q", c.SNI, seen.Host)
	}
	if len(seen.Values("Authorization")) != 0 {
		t.Errorf("Authorization was made up: %v", seen.Values("Authorization"))
	}
}

// without is the request less the lines of some names.
func without(r upstream.Request, names ...string) upstream.Request {
	var kept []string
	for _, line := range r.Lines {
		name, _, _ := strings.Cut(line, ":")
		own := false
		for _, n := range names {
			own = own || strings.EqualFold(n, name)
		}
		if !own {
			kept = append(kept, line)
		}
	}
	r.Lines = kept
	return r
}

// TestProviderAccount holds that the platform's own headers replace what a client wrote there, and only there.
func TestProviderAccount(t *testing.T) {
	g, up := startProvider(t, nil)
	a := g.from("127.0.0.1", false).do(http.MethodPost, "/openai/v1/responses", "{}",
		"OpenAI-Organization", "org-of-the-client", "Openai-Project", "proj-of-the-client", "OpenAI-Beta", "realtime=v1", "OpenAI-Beta", "assistants=v2")
	if a.status != http.StatusOK {
		t.Fatalf("answer %d: %s", a.status, a.body)
	}
	seen := up.Requests()[0]
	for name, want := range map[string]string{
		"Authorization": "Bearer sk-oai-1", "OpenAI-Organization": "org-platform", "OpenAI-Project": "proj-shared",
		"OpenAI-Beta": "realtime=v1|assistants=v2", "X-Api-Key": "",
	} {
		if got := strings.Join(seen.Values(name), "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestProviderAnswerUntouched holds that a provider's own headers, statuses and errors reach the client as they are. The
// framing is the gateway's own.
func TestProviderAnswerUntouched(t *testing.T) {
	const (
		refusal = "{\"type\":\"error\",  \"error\":{\"type\":\"overloaded_error\"}}"
		head    = "HTTP/1.1 529 Overloaded for now\r\nretry-after: 7\r\nX-Twice: one\r\nanthropic-RateLimit-requests-remaining: 0\r\n" +
			"request-id: req_1\r\nX-Twice: two\r\ncontent-type: application/json\r\n"
	)
	g, _ := startProvider(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(refusal), refusal); err != nil {
			t.Error(err)
		}
	}))
	got := g.raw("GET /anthropic/v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, head) || !strings.HasSuffix(got, "\r\n\r\n"+refusal) {
		t.Errorf("answer:\n%s\nthe provider's:\n%s…%s", got, head, refusal)
	}
}

// TestProviderStream holds that events arrive as they are sent: the far side sends the next one only when the client has
// had the one before. The head comes with the first.
func TestProviderStream(t *testing.T) {
	gate := make(chan struct{}, 1)
	gate <- struct{}{}
	g, _ := startProvider(t, upstream.Stream(3, gate))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.address+"/anthropic/v1/messages", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := g.from("127.0.0.1", false).http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, 1<<10)
	for i := range 3 {
		if i > 0 {
			gate <- struct{}{}
		}
		want := fmt.Sprintf("id: %d\ndata: event %d\n\n", i, i)
		got := ""
		for len(got) < len(want) {
			n, err := response.Body.Read(buffer)
			got += string(buffer[:n])
			if err != nil && len(got) < len(want) {
				t.Fatalf("after %q: %v", got, err)
			}
		}
		if got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	}
}
