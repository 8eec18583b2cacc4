package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/dnsserver"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// refusal is one destination that must not be reached.
type refusal struct {
	name    string
	objects []string // besides the route "/name"
	route   string   // in its place
	host    string   // asked for; the gateway's own address
	method  string   // GET
	path    string   // below the route
	status  int
	reason  string
	policy  string
	seen    *upstream.Record // of the destination, if it has one: no byte of a request
	dialled bool             // it may be connected to: TLS fails before a request
}

// TestRefused serves destinations that must be refused, each beside the others, from one process.
func TestRefused(t *testing.T) {
	good, bad := testkit.CA(t, "good"), testkit.CA(t, "bad")
	names := testkit.DNS(t, dnsserver.Config{NegativeTTL: 5})
	var cases []*refusal
	add := func(r refusal) { cases = append(cases, &r) }
	reached := func(name string, up *upstream.Record, address, tls string) []string {
		host := name + ".test"
		return []string{backend(name, host, portOf(t, address), tls), pinned(name, host)}
	}

	secure := func(name string, authority *ca.CA, leaf ca.Leaf) {
		up := testkit.Upstream(t, upstream.Config{Certificate: testkit.Issue(t, authority, leaf)})
		add(refusal{name: name, objects: reached(name, up.Record, up.Addr(), verified(name+".test", "good")),
			status: http.StatusBadGateway, reason: "tls_verification_failed", seen: up.Record, dialled: true})
	}
	day := 24 * time.Hour
	secure("wrong-host", good, ca.Leaf{DNSNames: []string{"other.test"}})
	secure("wrong-wildcard", good, ca.Leaf{DNSNames: []string{"*.wrong-wildcard.test"}})
	secure("only-common-name", good, ca.Leaf{CommonName: "only-common-name.test"})
	secure("no-name", good, ca.Leaf{})
	secure("client-certificate", good, ca.Leaf{DNSNames: []string{"client-certificate.test"}, Client: true})
	secure("expired", good, ca.Leaf{DNSNames: []string{"expired.test"}, NotBefore: time.Now().Add(-2 * day), NotAfter: time.Now().Add(-day)})
	secure("not-yet", good, ca.Leaf{DNSNames: []string{"not-yet.test"}, NotBefore: time.Now().Add(day), NotAfter: time.Now().Add(2 * day)})
	secure("unknown-ca", bad, ca.Leaf{DNSNames: []string{"unknown-ca.test"}})

	system := testkit.Upstream(t, upstream.Config{Certificate: testkit.Issue(t, good, ca.Leaf{DNSNames: []string{"system-roots.test"}})})
	add(refusal{name: "system-roots", objects: reached("system-roots", nil, system.Addr(), "mode: ServerOnly"),
		status: 502, reason: "tls_verification_failed", seen: system.Record, dialled: true})
	old := testkit.Upstream(t, upstream.Config{Certificate: testkit.Issue(t, good, ca.Leaf{DNSNames: []string{"old-tls.test"}}), MaxVersion: 0x0303})
	add(refusal{name: "old-tls", objects: reached("old-tls", nil, old.Addr(), `minVersion: "1.3", `+verified("old-tls.test", "good")),
		status: 502, reason: "tls_failed", seen: old.Record, dialled: true})
	noTLS := testkit.Upstream(t, upstream.Config{})
	add(refusal{name: "plain-text", objects: reached("plain-text", nil, noTLS.Addr(), verified("plain-text.test", "good")),
		status: 502, reason: "tls_failed", seen: noTLS.Record, dialled: true})
	closing := testkit.Fault(t, upstream.FaultConfig{Kind: upstream.AcceptClose})
	add(refusal{name: "closes", objects: reached("closes", nil, closing.Addr(), verified("closes.test", "good")),
		status: 502, reason: "tls_failed", seen: closing.Record, dialled: true})
	nobody := testkit.Ports(t, 1)[0]
	add(refusal{name: "nobody", objects: reached("nobody", nil, fmt.Sprintf("127.0.0.1:%d", nobody), plain), status: 502, reason: "connect_failed"})

	// Names that lead where nothing may be dialled. The upstream listens at the port on loopback, and must see nothing.
	inner := testkit.Upstream(t, upstream.Config{})
	innerPort := portOf(t, inner.Addr())
	leads := func(name, opened string, addresses ...string) {
		var records []dnsserver.Record
		for _, a := range addresses {
			records = append(records, dnsserver.Address(a, 5))
		}
		if err := names.Set(name+".test", records...); err != nil {
			t.Fatal(err)
		}
		add(refusal{name: name, objects: []string{backend(name, name+".test", innerPort, plain), dns(name, resolvers(names.Addr(), opened))},
			status: http.StatusForbidden, reason: "address_denied", policy: "DNSPolicy/t/" + name, seen: inner.Record})
	}
	leads("loopback", "", "127.0.0.1")
	leads("loopback6", "", "::1")
	leads("mapped", "", "::ffff:127.0.0.1") // the resolver takes no such record for an address at all
	cases[len(cases)-1].status, cases[len(cases)-1].reason, cases[len(cases)-1].policy = 502, "dns_failed", ""
	leads("nat64", "", "64:ff9b::7f00:1")
	leads("private", "", "10.0.0.1")
	leads("shared", "", "100.64.0.1")
	leads("zero", "", "0.0.0.0")
	cases[len(cases)-1].policy = "" // nothing opens it, so no policy is named
	leads("metadata", "", "169.254.169.254")
	leads("metadata-opened", "169.254.0.0/16", "169.254.169.254")
	leads("metadata6", "", "fd00:ec2::254")
	leads("both", "", "10.0.0.1", "127.0.0.1")
	leads("other-opened", "127.0.0.2/32", "127.0.0.1")

	unresolved := func(name string) {
		add(refusal{name: name, objects: []string{backend(name, name+".test", innerPort, plain), dns(name, resolvers(names.Addr(), ""))},
			status: http.StatusBadGateway, reason: "dns_failed", seen: inner.Record})
	}
	unresolved("nxdomain")
	names.Behave("servfail.test", dnsserver.Behaviour{Rcode: mdns.RcodeServerFailure})
	unresolved("servfail")
	if err := names.Set("empty.test"); err != nil {
		t.Fatal(err)
	}
	unresolved("empty")

	// Policy and references.
	local := func(name string, r refusal, more ...string) {
		r.name, r.seen = name, inner.Record
		r.objects = append(reached(name, nil, inner.Addr(), plain), more...)
		add(r)
	}
	local("no-secret", refusal{status: 500, reason: "credential_unavailable"}, bearer("no-secret", "missing"))
	local("no-key", refusal{status: 500, reason: "credential_unavailable"}, bearer("no-key", "other-key"), secret("other-key", "other", "x"))
	local("empty-key", refusal{status: 500, reason: "credential_unavailable"}, bearer("empty-key", "empty-key"), secret("empty-key", "token", ""))
	local("foreign-client", refusal{status: 403, reason: "client_not_allowed", policy: "EgressPolicy/t/foreign-client"},
		attached("EgressPolicy", "foreign-client", "clients: [{namespaces: [payments]}]"))
	local("everybody-is-named", refusal{status: 403, reason: "client_not_allowed"},
		attached("EgressPolicy", "everybody-is-named", `clients: [{namespaces: ["*"]}]`))
	requests := "requests: {methods: [POST], paths: [/v1/chat/**]}"
	local("method", refusal{path: "/v1/chat/x", status: 403, reason: "request_not_allowed", policy: "EgressPolicy/t/method"},
		attached("EgressPolicy", "method", "requests: {methods: [POST]}"))
	local("path", refusal{method: http.MethodPost, path: "/v1/files", status: 403, reason: "request_not_allowed", policy: "EgressPolicy/t/path"},
		attached("EgressPolicy", "path", requests))
	local("encoded-path", refusal{method: http.MethodPost, path: "/v1/chat/..%2ffiles", status: 400, reason: "bad_request"},
		attached("EgressPolicy", "encoded-path", requests))
	// Addresses that somebody wrote down: only what a policy opens is dialled, and metadata by no DNSPolicy.
	written := func(name, address string, opened ...string) {
		host := name + ".test"
		spec := fmt.Sprintf("hosts: [{hostname: %s, addresses: [%q]}]", host, address)
		if len(opened) > 0 {
			spec += fmt.Sprintf("\n  addresses: {allowPrivate: [%q]}", opened[0])
		}
		add(refusal{name: name, objects: []string{backend(name, host, innerPort, plain), dns(name, spec)}, status: 403, reason: "address_denied", seen: inner.Record})
	}
	written("pinned-loopback", "127.0.0.1")
	written("pinned-metadata", "169.254.169.254", "169.254.169.254/32")
	written("pinned-link-local", "169.254.1.1", "169.254.0.0/16")
	add(refusal{name: "literal-metadata", objects: []string{`apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: literal-metadata, namespace: t}
spec:
  type: Addresses
  addresses: {addresses: [169.254.169.254], hostname: literal-metadata.test}
  port: {number: 80}
  tls: {mode: None}`}, status: 403, reason: "address_denied"})
	add(refusal{name: "denied", status: 403, reason: "address_denied", policy: "DNSPolicy/t/denied", seen: inner.Record, objects: []string{
		backend("denied", "denied.test", innerPort, plain),
		dns("denied", "hosts: [{hostname: denied.test, addresses: [127.0.0.1]}]\n  addresses: {allowPrivate: [127.0.0.0/8], deny: [127.0.0.0/30]}")}})

	// One Host is sent, and it is the Backend's: nobody fronts another domain with the platform's key.
	fronting := strings.Replace(route("fronting"), "backendRefs:", "filters: [{type: URLRewrite, urlRewrite: {hostname: other.test}}]\n    backendRefs:", 1)
	add(refusal{name: "fronting", route: fronting, objects: reached("fronting", nil, inner.Addr(), plain), status: 500, seen: inner.Record})
	add(refusal{name: "wildcard", objects: []string{backend("wildcard", `"*.wild.test"`, innerPort, plain), bearer("wildcard", "wildcard-key"), secret("wildcard-key", "token", "x"),
		dns("wildcard", "hosts: [{hostname: any.wild.test, addresses: [127.0.0.1]}]\n  addresses: {allowPrivate: [127.0.0.1/32]}")},
		host: "any.wild.test", status: 500, reason: "credential_unavailable", seen: inner.Record})
	add(refusal{name: "no-backend-object", status: 500, reason: "backend_invalid"})

	f := newFolder(t)
	port := testkit.Ports(t, 1)[0]
	fine := testkit.Upstream(t, upstream.Config{Certificate: testkit.Issue(t, good, ca.Leaf{DNSNames: []string{"fine.test"}})})
	objects := append(reached("fine", nil, fine.Addr(), verified("fine.test", "good")), gatewayOn("egress", port), root("good", good), route("fine"))
	for _, r := range cases {
		if r.route == "" {
			r.route = route(r.name)
		}
		objects = append(append(objects, r.route), r.objects...)
	}
	f.write("all.yaml", objects...)
	p := run(t, f)
	get(t, port, "/fine/x").ok(t)
	for _, r := range cases {
		t.Run(r.name, func(t *testing.T) { r.check(t, port) })
	}
	t.Run("log", func(t *testing.T) {
		p.ends(t)
		for _, r := range cases {
			if line := logged(p.Out.String(), "HTTPRoute/t/"+r.name); !strings.Contains(line, `"reason":"`+r.reason+`"`) && r.status != 400 {
				t.Errorf("%s: access log has %s", r.name, line)
			}
		}
	})
	// What may have been connected to is looked at when all connections are closed: what was written has arrived.
	for _, r := range cases {
		if r.seen == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := r.seen.WaitClosed(ctx, 0)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		if n := r.seen.RequestBytes(); n != 0 || r.seen.Heads() != 0 {
			t.Errorf("%s: the destination saw %d bytes of a request", r.name, n)
		}
		if n := r.seen.Connections(); n > 0 != r.dialled {
			t.Errorf("%s: %d connections, dialled %t", r.name, n, r.dialled)
		}
	}
}

func (r *refusal) check(t *testing.T, port int) {
	method, body := http.MethodGet, ""
	if r.method != "" {
		method, body = r.method, `{"prompt":"for nobody's eyes"}`
	}
	c := client(t)
	host := fmt.Sprintf("127.0.0.1:%d", port)
	if r.host != "" { // as a client with HTTP_PROXY asks: in absolute form
		c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: host})
		host = r.host
	}
	got := send(t, c, method, fmt.Sprintf("http://%s/%s%s", host, r.name, r.path), body)
	if r.reason == "" && got.status == r.status {
		r.reason = got.Reason // which one is told is not documented
	}
	got.is(t, r.status, r.reason)
	if r.policy != "" && got.Policy != r.policy {
		t.Errorf("policy %q, not %q", got.Policy, r.policy)
	}
	if r.reason != "bad_request" && (got.Route != "HTTPRoute/t/"+r.name || got.Gateway != "t/egress") {
		t.Errorf("route %q, gateway %q", got.Route, got.Gateway)
	}
}

// resolvers is a DNSPolicy's spec that asks one server and opens a range.
func resolvers(address, opened string) string {
	spec := fmt.Sprintf("resolvers: [{address: %q, protocol: UDP}]\n  ttl: {min: 0s, max: 1s, negative: 0s, serveStale: 0s}", address)
	if opened != "" {
		spec += fmt.Sprintf("\n  addresses: {allowPrivate: [%q]}", opened)
	}
	return spec
}

// logged is the line of the access log that has the route.
func logged(log, route string) string {
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, `"route":"`+route+`"`) {
			return line
		}
	}
	return "no line"
}

// TestRebinding lets a name lead to an opened address first and to another one later: that is never dialled.
func TestRebinding(t *testing.T) {
	names := testkit.DNS(t, dnsserver.Config{})
	first := testkit.Upstream(t, upstream.Config{})
	port := portOf(t, first.Addr())
	second, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.2:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	reached := make(chan struct{})
	go func() {
		if c, err := second.Accept(); err == nil {
			_ = c.Close()
			close(reached)
		}
	}()
	point := func(addresses ...string) {
		t.Helper()
		var records []dnsserver.Record
		for _, a := range addresses {
			records = append(records, dnsserver.Address(a, 0))
		}
		if err := names.Set("api.test", records...); err != nil {
			t.Fatal(err)
		}
	}
	point("127.0.0.1")
	f := newFolder(t)
	listen := testkit.Ports(t, 1)[0]
	f.write("all.yaml", gatewayOn("egress", listen), route("api"), backend("api", "api.test", port, plain),
		dns("api", resolvers(names.Addr(), "127.0.0.1/32")))
	p := run(t, f)
	get(t, listen, "/api").ok(t)

	point("127.0.0.2")
	first.CloseConnections()
	deadline := time.Now().Add(patience)
	got := get(t, listen, "/api")
	for got.status == http.StatusOK && time.Now().Before(deadline) { // the answer of before may be used for its second
		first.CloseConnections()
		got = get(t, listen, "/api")
	}
	got.is(t, http.StatusForbidden, "address_denied")
	if got.Policy != "DNSPolicy/t/api" {
		t.Errorf("policy %q", got.Policy)
	}
	for range 20 { // flipping between lookups
		point("127.0.0.2", "127.0.0.1")
		get(t, listen, "/api")
		point("127.0.0.1")
		first.CloseConnections()
		get(t, listen, "/api")
	}
	p.ends(t)
	select {
	case <-reached:
		t.Error("an address was dialled that nobody opened")
	default:
	}
	if !strings.Contains(p.Out.String(), "127.0.0.2") {
		t.Error("the access log does not name the refused address")
	}
}
