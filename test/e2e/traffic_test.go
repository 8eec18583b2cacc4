package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// echoed is what the destination was asked.
func echoed(t *testing.T, a answer) upstream.Echoed {
	t.Helper()
	a.ok(t)
	var e upstream.Echoed
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return e
}

// service is a Service port and its slice, as a user without a cluster writes them.
func service(name string, port int, addresses ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: t}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: t, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[2]d}]
endpoints: [{addresses: [%[3]s]}]`, name, port, strings.Join(addresses, ", "))
}

// TestRules: what HTTPRoute's filters, weights and backends come to on the wire.
func TestRules(t *testing.T) {
	up, second := testkit.Upstream(t, upstream.Config{}), testkit.Upstream(t, upstream.Config{})
	toService := func(name string) string { return fmt.Sprintf("backendRefs: [{name: %s, port: 80}]", name) }
	f := newFolder(t)
	port := testkit.Ports(t, 1)[0]
	f.write("all.yaml",
		gatewayOn("egress", port), service("web", portOf(t, up.Addr()), "127.0.0.1"), service("none", 1),
		backend("api", "api.test", portOf(t, second.Addr()), plain), pinned("api", "api.test"), route("api"),
		routeTo("web", toService("web")), routeTo("none", toService("none")),
		routeTo("missing", toService("nowhere")),
		routeTo("redirect", "filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: other.test, port: 8443, path: {type: ReplacePrefixMatch, replacePrefixMatch: /to}, statusCode: 301}}]"),
		routeTo("rewrite", toService("web"), "filters: [{type: URLRewrite, urlRewrite: {hostname: inner.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}]"),
		routeTo("full", toService("web"), "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /one}}}]"),
		routeTo("headers", toService("web"), `filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: ours}], add: [{name: X-Add, value: more}], remove: [X-Remove]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Answer, value: set}], remove: [Content-Type]}}`),
		routeTo("weights", "backendRefs: [{name: web, port: 80, weight: 1}, {group: ebbgate.dev, kind: Backend, name: api, weight: 0}, {name: nowhere, port: 80, weight: 1}]"),
		routeTo("nothing", "backendRefs: [{name: web, port: 80, weight: 0}]"),
		routeTo("empty", ""), // valid, and of no use
	)
	p := run(t, f)

	t.Run("service", func(t *testing.T) {
		e := echoed(t, get(t, port, "/web/a%20b?q=1&q=2"))
		if e.Target != "/web/a%20b?q=1&q=2" || e.Host != fmt.Sprintf("127.0.0.1:%d", port) {
			t.Errorf("asked %q of %q", e.Target, e.Host)
		}
	})
	t.Run("backend", func(t *testing.T) {
		e := echoed(t, get(t, port, "/api", "X-Forwarded-For", "1.2.3.4", "Forwarded", "for=1.2.3.4", "Proxy-Authorization", "x", "Ebbgate-Hop", "x",
			"Connection", "X-Hop", "X-Hop", "1", "Baggage", "user=1"))
		if e.Host != fmt.Sprintf("api.test:%d", portOf(t, second.Addr())) {
			t.Errorf("host %q", e.Host)
		}
		for _, name := range []string{"X-Forwarded-For", "Forwarded", "Proxy-Authorization", "Ebbgate-Hop", "X-Hop", "Baggage", "Via"} {
			if v := e.Header.Values(name); len(v) > 0 && name != "Via" {
				t.Errorf("the destination was told %s: %q", name, v)
			}
		}
	})
	t.Run("no endpoints", func(t *testing.T) {
		if got := get(t, port, "/none"); got.status < 500 || got.Reason == "" {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("missing service", func(t *testing.T) { get(t, port, "/missing").is(t, 500, "backend_invalid") })
	t.Run("redirect", func(t *testing.T) {
		got := get(t, port, "/redirect/x?q=1")
		if want := "https://other.test:8443/to/x?q=1"; got.status != 301 || got.header.Get("Location") != want {
			t.Errorf("%d to %q, not 301 to %q", got.status, got.header.Get("Location"), want)
		}
	})
	t.Run("rewrite", func(t *testing.T) {
		if e := echoed(t, get(t, port, "/rewrite/x?q=1")); e.Target != "/v2/x?q=1" || e.Host != "inner.test" {
			t.Errorf("asked %q of %q", e.Target, e.Host)
		}
		if e := echoed(t, get(t, port, "/full/x")); e.Target != "/one" {
			t.Errorf("asked %q", e.Target)
		}
	})
	t.Run("headers", func(t *testing.T) {
		got := get(t, port, "/headers", "X-Set", "theirs", "X-Add", "one", "X-Remove", "gone")
		e := echoed(t, got)
		if e.Header.Get("X-Set") != "ours" || strings.Join(e.Header.Values("X-Add"), ",") != "one,more" || e.Header.Get("X-Remove") != "" {
			t.Errorf("%v", e.Header)
		}
		if got.header.Get("X-Answer") != "set" || got.header.Get("Content-Type") != "" {
			t.Errorf("%v", got.header)
		}
	})
	t.Run("weights", func(t *testing.T) {
		const n = 400
		before := second.Heads()
		c, count := client(t), map[int]int{}
		for range n {
			count[send(t, c, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/weights", port), "").status]++
		}
		// Six standard deviations (10 each) from the middle: wrong once in a billion runs.
		if count[200]+count[500] != n || count[500] < n/2-60 || count[500] > n/2+60 || second.Heads() != before {
			t.Errorf("answers %v; the backend of weight 0 saw %d", count, second.Heads()-before)
		}
	})
	t.Run("no weight", func(t *testing.T) { get(t, port, "/nothing").is(t, 500, "no_backend") })
	t.Run("no backends", func(t *testing.T) { get(t, port, "/empty").is(t, 500, "no_backend") })
	t.Run("oversize head", func(t *testing.T) {
		before := up.Heads()
		get(t, port, "/web", "X-Large", strings.Repeat("x", 200<<10)).is(t, 431, "head_too_large")
		many := make([]string, 0, 2000)
		for i := range 1000 {
			many = append(many, fmt.Sprintf("X-%d", i), "1")
		}
		get(t, port, "/web", many...).is(t, 431, "head_too_large")
		get(t, port, "/"+strings.Repeat("y", 128<<10)).is(t, 414, "bad_request")
		if up.Heads() != before {
			t.Error("the destination saw it")
		}
	})
	p.ends(t)
}

// TestTimeouts: each ends the wait with its own reason, and with a warning where the work may have been done.
func TestTimeouts(t *testing.T) {
	gate := make(chan struct{})
	silent := testkit.Upstream(t, upstream.Config{Handler: upstream.Delay(gate, upstream.Echo())})
	stalling := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(5, gate)})
	f := newFolder(t)
	port := testkit.Ports(t, 1)[0]
	objects := []string{gatewayOn("egress", port)}
	add := func(name string, up *upstream.Upstream, timeouts string, more ...string) {
		objects = append(objects, route(name, more...), backend(name, name+".test", portOf(t, up.Addr()), plain), pinned(name, name+".test"))
		if timeouts != "" {
			objects = append(objects, attached("EgressPolicy", name, "timeouts: {"+timeouts+"}"))
		}
	}
	add("first-byte", silent, "firstByte: 100ms")
	add("request", silent, "request: 100ms")
	add("route", silent, "", "timeouts: {request: 100ms}")
	add("attempt", silent, "", "timeouts: {backendRequest: 100ms}")
	add("idle", stalling, "streamIdle: 100ms")
	f.write("all.yaml", objects...)
	p := run(t, f)
	c := client(t)
	for _, name := range []string{"first-byte", "request", "route", "attempt"} {
		url := fmt.Sprintf("http://127.0.0.1:%d/%s", port, name)
		send(t, c, http.MethodGet, url, "").is(t, 504, "upstream_timeout")
		send(t, c, http.MethodPost, url, "{}").is(t, 504, "outcome_unknown")
	}
	_, err := try(t.Context(), c, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/idle", port), "")
	if err == nil {
		t.Error("an answer that fell silent came to a clean end")
	}
	p.ends(t)
	if line := logged(p.Out.String(), "HTTPRoute/t/idle"); !strings.Contains(line, `"reason":"stream_idle"`) || !strings.Contains(line, `"aborted":"stream_idle"`) {
		t.Errorf("access log: %s", line)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := silent.WaitClosed(ctx, 8); err != nil {
		t.Errorf("the connections of requests that were given up: %v", err)
	}
}

// TestListenerCertificate rotates the certificate of an HTTPS listener by its Secret: open connections go on, new ones
// get the new one; a Secret that is no certificate leaves the listener closed and the others open.
func TestListenerCertificate(t *testing.T) {
	first, second := testkit.CA(t, "first"), testkit.CA(t, "second")
	s := serve(t)
	port := testkit.Ports(t, 1)[0]
	s.reloads(t, func() {
		s.write("pair.yaml", certificateSecret(t, "pair", first, "gateway.test"))
		s.write("gateway.yaml", gatewayOn("egress", s.port,
			fmt.Sprintf("- {name: https, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}", port)))
	})
	trusting := func(authority *ca.CA) *http.Client {
		pool := x509.NewCertPool()
		pool.AddCert(authority.Certificate())
		c := client(t)
		c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "gateway.test", MinVersion: tls.VersionTLS12}
		return c
	}
	url := fmt.Sprintf("https://127.0.0.1:%d/api", port)
	old := trusting(first)
	send(t, old, http.MethodGet, url, "").ok(t)
	s.reloads(t, func() { s.write("pair.yaml", certificateSecret(t, "pair", second, "gateway.test")) })
	send(t, old, http.MethodGet, url, "").ok(t) // its connection is open
	send(t, trusting(second), http.MethodGet, url, "").ok(t)
	if _, err := try(t.Context(), trusting(first), http.MethodGet, url, ""); err == nil {
		t.Error("a new connection got the former certificate")
	}
	s.reloads(t, func() { s.remove("pair.yaml") })
	s.serves(t, "first-key")
	if _, err := try(t.Context(), trusting(second), http.MethodGet, url, ""); err == nil {
		t.Error("a listener without a certificate serves")
	}
	s.reloads(t, func() { s.write("pair.yaml", certificateSecret(t, "pair", second, "gateway.test")) })
	send(t, trusting(second), http.MethodGet, url, "").ok(t)
	s.ends(t)
}
