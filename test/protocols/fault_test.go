package protocols_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// faulty is a destination of HTTP/2 with a route "/NAME".
func faulty(t *testing.T, name string, far *upstream.HTTP2Fault) string {
	t.Helper()
	return fmt.Sprintf(`apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: %[1]s, namespace: t}
spec:
  type: Addresses
  addresses: {addresses: [127.0.0.1], hostname: fault.test}
  port: {number: %[2]s}
  protocol: H2C
  tls: {mode: None}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: t}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /%[1]s}}]
    backendRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]
    retry: {attempts: 1}
---
`, name, portOf(t, far.Addr()))
}

// failure is what a POST to a destination that fails once is to come to.
type failure struct {
	kind   upstream.HTTP2Kind
	heads  int    // how often the destination saw it
	status int    // zero: any
	reason string // of our refusal
	body   string // of a good answer; where it is empty none may come to a good end
}

// TestDestinationsFail: under a route's retry, a request that provably was not taken is sent again; one that may have been
// is not, since a POST is not idempotent; and no answer that broke off or was malformed passes for a good one.
func TestDestinationsFail(t *testing.T) {
	whole := strings.Repeat("x", 100)
	failures := []failure{
		{upstream.RefuseStream, 2, 200, "", "served"},
		{upstream.GoAwayBelow, 2, 200, "", "served"},
		{upstream.GoAwayCovering, 1, 504, "outcome_unknown", ""},
		{upstream.HangUp, 1, 504, "outcome_unknown", ""},
		{upstream.AbortAtHead, 1, 504, "outcome_unknown", ""},
		{upstream.ResetStream, 1, 504, "outcome_unknown", ""},
		{upstream.ResetAnswer, 1, 0, "", ""},
		{upstream.ResetBody, 1, 0, "", ""},
		{upstream.ResetTrailers, 1, 0, "", ""},
		{upstream.HangUpBody, 1, 0, "", ""},
		{upstream.ShortBody, 1, 0, "", ""},
		{upstream.EarlyAnswer, 1, 200, "", whole},
		{upstream.Hint, 1, 200, "", whole},
	}
	var objects []string
	far := map[string]*upstream.HTTP2Fault{}
	add := func(name string, config upstream.HTTP2FaultConfig) {
		config.First = 1
		far[name] = testkit.HTTP2Fault(t, config)
		objects = append(objects, faulty(t, name, far[name]))
	}
	for _, f := range failures {
		add(fmt.Sprintf("kind-%d", f.kind), upstream.HTTP2FaultConfig{Kind: f.kind})
	}
	heads := upstream.BadHeads()
	var wrong []string
	for what := range heads {
		wrong = append(wrong, what)
	}
	slices.Sort(wrong)
	for i, what := range wrong {
		add(fmt.Sprintf("head-%d", i), upstream.HTTP2FaultConfig{Kind: upstream.BadHead, Fields: heads[what]})
	}
	r := serve(t, objects...)
	for _, f := range failures {
		name := fmt.Sprintf("kind-%d", f.kind)
		status, body, err := post(t, r.plain+"/"+name)
		good := status == 200 && err == nil
		if f.status != 0 && status != f.status || !strings.Contains(body, f.reason) || good != (f.body != "") || good && body != f.body {
			t.Errorf("%s: status %d, %v, body %.300q", name, status, err, body)
		}
		if n := far[name].Heads(); n != f.heads {
			t.Errorf("%s: the destination saw it %d times, not %d", name, n, f.heads)
		}
	}
	for i, what := range wrong {
		name := fmt.Sprintf("head-%d", i)
		status, body, err := post(t, r.plain+"/"+name)
		if status != http.StatusBadGateway || !strings.Contains(body, `"reason":"upstream_`) || far[name].Heads() != 1 {
			t.Errorf("answer's head with %s: status %d, %v, body %.300q, sent %d times", what, status, err, body, far[name].Heads())
		}
	}
}

// post sends a small body once, over HTTP/1.1.
func post(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"prompt": "hello"}`))
	check(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
