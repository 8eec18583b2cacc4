package match_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

const gatewayName = "ai/egress"

// listeners builds a Gateway's plain listeners on port 80, each named after its hostname.
func listeners(hostnames ...string) *plan.Gateway {
	g := &plan.Gateway{Name: gatewayName}
	for _, h := range hostnames {
		g.Listeners = append(g.Listeners, &plan.Listener{Name: "l-" + h, Port: 80, Protocol: plan.HTTP, Hostname: h})
	}
	return g
}

func secure(g *plan.Gateway) *plan.Gateway {
	for _, l := range g.Listeners {
		l.Port, l.Protocol = 443, plan.HTTPS
	}
	return g
}

// rule is a rule of a route of that name, attached to the listeners whose hostnames are given.
func rule(name string, attached, hostnames []string, matches ...plan.Match) *plan.Rule {
	r := &plan.Rule{Name: "HTTPRoute/ai/" + name + "#0", Route: "HTTPRoute/ai/" + name, Hostnames: hostnames, Matches: matches}
	for _, l := range attached {
		r.Parents = append(r.Parents, plan.Parent{Gateway: gatewayName, Listener: "l-" + l})
	}
	return r
}

func prefix(value string) plan.Match { return path(plan.PathPrefix, value) }

func path(kind plan.MatchType, value string) plan.Match {
	return plan.Match{Path: plan.ValueMatch{Type: kind, Value: value}}
}

func build(t testing.TB, g *plan.Gateway, rules ...*plan.Rule) *match.Table {
	t.Helper()
	table, errs := match.New(g, rules)
	for _, err := range errs {
		t.Fatal(err)
	}
	return table
}

// request is a GET of a target such as "example.com/path?query" with header fields "name: value".
func request(target string, fields ...string) *exchange.Request {
	slash := strings.IndexByte(target, '/')
	r := &exchange.Request{Method: "GET", Scheme: "http", Authority: target[:slash], Path: target[slash:]}
	if q := strings.IndexByte(r.Path, '?'); q >= 0 {
		r.Path, r.Query = r.Path[:q], r.Path[q:]
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// routeOf is the name of the route that took the request, "-" without one.
func routeOf(result match.Result) string {
	if result.Rule == nil {
		return "-"
	}
	return strings.TrimPrefix(result.Rule.Route, "HTTPRoute/ai/")
}

func TestListenerIsMostSpecificHostname(t *testing.T) {
	all := []string{"", "*.example.com", "*.foo.example.com", "abc.foo.example.com"}
	table := build(t, listeners(all...),
		rule("empty", all[:1], nil, prefix("/empty")), rule("wild", all[1:2], nil, prefix("/wild")),
		rule("foo", all[2:3], nil, prefix("/foo")), rule("abc", all[3:], nil, prefix("/abc")))
	f := func(target, listener, route string) {
		t.Helper()
		got := table.Port(80).Match(request(target), "")
		if got.Listener == nil || got.Listener.Hostname != listener || routeOf(got) != route {
			t.Errorf("%s: listener %+v, route %s; want %q, %s", target, got.Listener, routeOf(got), listener, route)
		}
	}
	f("bar.com/empty", "", "empty")
	f("bar.com/wild", "", "-")
	f("bar.com/abc", "", "-")
	f("/empty", "", "empty")
	f("example.com/empty", "", "empty")
	f(".example.com/empty", "", "empty") // the wildcard stands for a label
	f("bar.example.com/empty", "*.example.com", "-")
	f("bar.example.com/wild", "*.example.com", "wild")
	f("BAR.Example.COM.:8080/wild", "*.example.com", "wild")
	f("bar.foo.example.com/empty", "*.foo.example.com", "-")
	f("bar.foo.example.com/wild", "*.foo.example.com", "-")
	f("bar.foo.example.com/foo", "*.foo.example.com", "foo")
	f("x.abc.foo.example.com/foo", "*.foo.example.com", "foo")
	f("abc.foo.example.com/foo", "abc.foo.example.com", "-")
	f("abc.foo.example.com:1/abc", "abc.foo.example.com", "abc")
	f("[2001:db8::1]:80/empty", "", "empty")
	f("192.0.2.1:80/empty", "", "empty")
}

// TestListenerHostnames is conformance's HTTPRouteListenerHostnameMatching.
func TestListenerHostnames(t *testing.T) {
	all := []string{"bar.com", "foo.bar.com", "*.bar.com"}
	table := build(t, listeners(all...), rule("v1", all[:1], nil, prefix("/")),
		rule("v2", all[1:2], nil, prefix("/")), rule("v3", all[2:], nil, prefix("/")))
	f := func(host, route string) {
		t.Helper()
		if got := table.Port(80).Match(request(host+"/"), ""); routeOf(got) != route {
			t.Errorf("%s: %s, want %s", host, routeOf(got), route)
		}
	}
	f("bar.com", "v1")
	f("foo.bar.com", "v2")
	f("baz.bar.com", "v3")
	f("boo.bar.com", "v3")
	f("multiple.prefixes.bar.com", "v3")
	f("multiple.prefixes.foo.bar.com", "v3")
	f("foo.com", "-")
	f("no.matching.host", "-")
	f("", "-")
	f(strings.Repeat("a.", 130)+"bar.com", "-")
}

// TestRouteHostnames is conformance's HTTPRouteHostnameIntersection.
func TestRouteHostnames(t *testing.T) {
	all := []string{"very.specific.com", "*.wildcard.io", "*.anotherwildcard.io"}
	table := build(t, listeners(all...),
		rule("s1", all, []string{"non.matching.com", "*.nonmatchingwildcard.io", "Very.Specific.com"}, prefix("/s1")),
		rule("s2", all, []string{"non.matching.com", "wildcard.io", "foo.wildcard.io", "bar.wildcard.io", "foo.bar.wildcard.io"}, prefix("/s2")),
		rule("s3", all, []string{"non.matching.com", "*.specific.com"}, prefix("/s3")),
		rule("s4", all, []string{"*.anotherwildcard.io"}, prefix("/s4")),
		rule("s5", all, []string{"specific.but.wrong.com", "wildcard.io"}, prefix("/s5")))
	f := func(target, route string) {
		t.Helper()
		if got := table.Port(80).Match(request(target), ""); routeOf(got) != route {
			t.Errorf("%s: %s, want %s", target, routeOf(got), route)
		}
	}
	f("very.specific.com/s1", "s1")
	f("very.specific.com:1234/s1", "s1")
	f("non.matching.com/s1", "-")
	f("foo.nonmatchingwildcard.io/s1", "-")
	f("foo.wildcard.io/s1", "-")
	f("very.specific.com/non-matching-prefix", "-")
	f("foo.wildcard.io/s2", "s2")
	f("bar.wildcard.io/s2", "s2")
	f("foo.bar.wildcard.io/s2", "s2")
	f("wildcard.io/s2", "-")
	f("very.specific.com/s2", "-")
	f("very.specific.com/s3", "s3")
	f("foo.specific.com/s3", "-")
	f("foo.anotherwildcard.io/s4", "s4")
	f("foo.bar.anotherwildcard.io/s4", "s4")
	f("anotherwildcard.io/s4", "-")
	f("specific.but.wrong.com/s5", "-")
	f("wildcard.io/s5", "-")
}

// TestAcrossRoutes is conformance's HTTPRouteMatchingAcrossRoutes.
func TestAcrossRoutes(t *testing.T) {
	version := func(v string) plan.Match {
		m := prefix("/")
		m.Headers = []plan.ValueMatch{{Name: "version", Type: plan.Exact, Value: v}}
		return m
	}
	table := build(t, listeners(""),
		rule("v1", []string{""}, []string{"example.com", "example.net"}, prefix("/"), version("one")),
		rule("v2", []string{""}, []string{"example.com"}, prefix("/v2"), version("two")))
	f := func(route, target string, fields ...string) {
		t.Helper()
		if got := table.Port(80).Match(request(target, fields...), ""); routeOf(got) != route {
			t.Errorf("%s: %s, want %s", target, routeOf(got), route)
		}
	}
	f("v1", "example.com/")
	f("v1", "example.com/example")
	f("v1", "example.net/example")
	f("v1", "example.com/example", "Version: one")
	f("v2", "example.com/v2")
	f("v1", "example.net/v2")
	f("v2", "example.com/v2/example")
	f("v2", "example.com/", "Version: two")
	f("-", "example.org/")
}

func TestMoreSpecificHostnameFirst(t *testing.T) {
	table := build(t, listeners(""),
		rule("none", []string{""}, nil, path(plan.Exact, "/a"), prefix("/c")),
		rule("short", []string{""}, []string{"*.test"}, path(plan.Exact, "/a"), prefix("/b")),
		rule("long", []string{""}, []string{"*.x.test"}, prefix("/a"), prefix("/d")),
		rule("exact", []string{""}, []string{"y.x.test"}, prefix("/d")))
	f := func(target, route string) {
		t.Helper()
		if got := table.Port(80).Match(request(target), ""); routeOf(got) != route {
			t.Errorf("%s: %s, want %s", target, routeOf(got), route)
		}
	}
	f("y.x.test/d", "exact") // same path: the exact hostname wins
	f("y.x.test/a", "long")  // though the others' match is exact
	f("y.x.test/b", "short")
	f("y.x.test/c", "none") // every level above had no rule for it
	f("z.test/a", "short")
	f("test/a", "none")
	f("/a", "none") // no host
	f("/b", "-")
}

func TestTLSListenerBySNI(t *testing.T) {
	all := []string{"", "second-example.org", "*.wildcard.org", "fourth.wildcard.org"}
	table := build(t, secure(listeners(all...)), rule("r0", all[:1], []string{"example.org"}, prefix("/")), rule("r1", all[1:2], nil, prefix("/")),
		rule("r2", all[2:3], nil, prefix("/")), rule("r3", all[3:], nil, prefix("/")))
	f := func(sni, host, listener, route string, misdirected bool) {
		t.Helper()
		got := table.Port(443).Match(request(host+"/"), sni)
		if got.Listener.Hostname != listener || routeOf(got) != route || got.Misdirected != misdirected {
			t.Errorf("SNI %q, host %q: listener %q, route %s, misdirected %t", sni, host, got.Listener.Hostname, routeOf(got), got.Misdirected)
		}
	}
	f("example.org", "example.org", "", "r0", false)
	f("example.org", "second-example.org", "", "-", true)
	f("example.org", "unknown.org", "", "-", false)
	f("unknown.org", "example.org", "", "r0", false)
	f("", "example.org", "", "r0", false)
	f("Second-Example.org", "second-example.org:443", "second-example.org", "r1", false)
	f("second-example.org", "example.org", "second-example.org", "-", true)
	f("third.wildcard.org", "third.wildcard.org", "*.wildcard.org", "r2", false)
	f("third.wildcard.org", "fifth.wildcard.org", "*.wildcard.org", "r2", false)
	f("third.wildcard.org", "fourth.wildcard.org", "*.wildcard.org", "-", true)
	f("fourth.wildcard.org", "fifth.wildcard.org", "fourth.wildcard.org", "-", true)
	f("fourth.wildcard.org", strings.Repeat("a", 300), "fourth.wildcard.org", "-", false)

	alone := build(t, secure(listeners("a.test")), rule("a", []string{"a.test"}, nil, prefix("/"))).Port(443)
	if got := alone.Match(request("b.test/"), "a.test"); got.Rule != nil || got.Misdirected || got.Listener == nil {
		t.Errorf("an authority of nobody's: %+v", got)
	}
	if got := alone.Match(request("a.test/"), ""); got.Rule != nil || got.Listener != nil {
		t.Errorf("no SNI: %+v", got)
	}
	if got := alone.Match(request("a.test/"), strings.Repeat("a", 300)); got.Rule != nil || got.Listener != nil {
		t.Errorf("overlong SNI: %+v", got)
	}
}

func TestResultNamesRule(t *testing.T) {
	other := rule("other", []string{""}, nil, prefix("/"))
	other.Parents[0].Gateway = "ai/another"
	taken := rule("taken", []string{"", "", "unknown"}, nil, path(plan.Exact, "/x"), prefix("/foo/"))
	table := build(t, listeners(""), other, taken)
	got := table.Port(80).Match(request("h.test/foo/bar"), "")
	if got.Rule != taken || got.Index != 1 || got.Match != &taken.Matches[1] || got.Prefix != "/foo/" {
		t.Errorf("got %+v", got)
	}
	if got := table.Port(80).Match(request("h.test/x"), ""); got.Prefix != "" || got.Match != &taken.Matches[0] {
		t.Errorf("exact: %+v", got)
	}
	if got := table.Port(80).Match(request("h.test/"), ""); got.Rule != nil || got.Index != -1 || got.Listener == nil {
		t.Errorf("no rule: %+v", got)
	}
	if got := table.Port(81).Match(request("h.test/x"), ""); got != (match.Result{Index: -1}) {
		t.Errorf("no port: %+v", got)
	}
}

func TestOldestRouteWinsTie(t *testing.T) {
	at := func(r *plan.Rule, second int64, index int) *plan.Rule {
		r.Created, r.Index = time.Unix(second, 0), index
		return r
	}
	f := func(want string, rules ...*plan.Rule) {
		t.Helper()
		got := build(t, listeners(""), rules...).Port(80).Match(request("h.test/"), "")
		if routeOf(got) != want {
			t.Errorf("got %s, want %s", routeOf(got), want)
		}
	}
	all, here := prefix("/"), []string{""}
	f("b", at(rule("a", here, nil, all), 2, 0), at(rule("b", here, nil, all), 1, 0))
	f("a", at(rule("b", here, nil, all), 1, 0), at(rule("a", here, nil, all), 1, 1))
	grpc := at(rule("z", here, nil, all), 1, 0)
	grpc.Route = "GRPCRoute/ai/z"
	f("a", grpc, at(rule("a", here, nil, all), 1, 0)) // the kind is no part of namespace/name
	first := at(rule("a", here, nil, all, all), 1, 0)
	got := build(t, listeners(""), at(rule("a", here, nil, all), 1, 1), first).Port(80).Match(request("h.test/"), "")
	if got.Rule != first || got.Match != &first.Matches[0] {
		t.Errorf("order of rules and matches: %+v", got)
	}
}
