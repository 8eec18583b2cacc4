package match_test

import (
	"slices"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

func TestApplyHeaders(t *testing.T) {
	f := func(m *plan.HeaderModifier, want ...exchange.Field) {
		t.Helper()
		for name, apply := range map[string]func(*exchange.Header, *plan.HeaderModifier){
			"request": match.ApplyRequestHeaders, "response": match.ApplyResponseHeaders,
		} {
			var h exchange.Header
			h.Add("Host", "h.test")
			h.Add("X-A", "1")
			h.Add("x-a", "2")
			h.Add("X-B", "3")
			apply(&h, m)
			if !slices.Equal(h.Fields(), want) {
				t.Errorf("%s %+v: %q", name, m, h.Fields())
			}
		}
	}
	host, a1, a2, b := exchange.Field{Name: "Host", Value: "h.test"}, exchange.Field{Name: "X-A", Value: "1"}, exchange.Field{Name: "x-a", Value: "2"}, exchange.Field{Name: "X-B", Value: "3"}
	set := func(name, value string) []plan.HeaderValue { return []plan.HeaderValue{{Name: name, Value: value}} }
	f(nil, host, a1, a2, b)
	f(&plan.HeaderModifier{Set: set("x-A", "9")}, host, exchange.Field{Name: "x-A", Value: "9"}, b)
	f(&plan.HeaderModifier{Set: set("x-new", "9")}, host, a1, a2, b, exchange.Field{Name: "x-new", Value: "9"})
	f(&plan.HeaderModifier{Add: set("x-a", "9")}, host, a1, a2, b, exchange.Field{Name: "x-a", Value: "9"})
	f(&plan.HeaderModifier{Remove: []string{"X-a", "absent"}}, host, b)
	f(&plan.HeaderModifier{Set: set("x", "1"), Add: set("x", "2"), Remove: []string{"x"}}, host, a1, a2, b)
	f(&plan.HeaderModifier{Set: set("host", "evil.test"), Add: set("Host", "evil.test"), Remove: []string{"HOST"}}, host, a1, a2, b)
	f(&plan.HeaderModifier{Set: set("x-a", "1\r\nevil: 1"), Add: set("x a", "1")}, host, a1, a2, b)
}

func TestForbiddenName(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := match.ForbiddenName(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
	for _, name := range []string{
		"", ":authority", "a b", "a:b", "ä", "a\r\n", "content-length", "Transfer-Encoding", "TRAILER", "te", "Upgrade", "connection",
		"Keep-Alive", "Host", "http2-settings", "Ebbgate-Hop", "ebbgate-", "Proxy-Authorization", "proxy-connection",
	} {
		f(name, true)
	}
	for _, name := range []string{"X-A", "authorization", "content-type", "ebbgate", "Proxy", "Via", "x_y.z~!", "Hostname", "Set-Cookie"} {
		f(name, false)
	}
}

func TestRewritePath(t *testing.T) {
	f := func(path, prefix, replacement, want string) {
		t.Helper()
		if got := match.RewritePath(path, &plan.PathModifier{Prefix: &replacement}, prefix); got != want {
			t.Errorf("%s: %s to %q is %s, want %s", path, prefix, replacement, got, want)
		}
	}
	// HTTPPathModifier.replacePrefixMatch's own table.
	f("/foo/bar", "/foo", "/xyz", "/xyz/bar")
	f("/foo/bar", "/foo", "/xyz/", "/xyz/bar")
	f("/foo/bar", "/foo/", "/xyz", "/xyz/bar")
	f("/foo/bar", "/foo/", "/xyz/", "/xyz/bar")
	f("/foo", "/foo", "/xyz", "/xyz")
	f("/foo/", "/foo", "/xyz", "/xyz/")
	f("/foo/bar", "/foo", "", "/bar")
	f("/foo/", "/foo", "", "/")
	f("/foo", "/foo", "", "/")
	f("/foo/", "/foo", "/", "/")
	f("/foo", "/foo", "/", "/")

	f("/foo/bar", "/foo", "/", "/bar")
	f("/foo", "/foo/", "/xyz", "/xyz")
	f("/bar", "/", "/xyz", "/xyz/bar")
	f("/", "/", "/xyz", "/xyz/")
	f("/", "/", "", "/")
	f("/foo/bar", "/foo", "xyz", "/xyz/bar")
	f("/food", "/foo", "/xyz", "/food")   // no whole segment
	f("/foo/bar", "", "/xyz", "/foo/bar") // no prefix matched
	f("/foo/bar", "/o", "/xyz", "/foo/bar")
	f("*", "/", "/xyz", "/xyz/")
	f("*", "", "/xyz", "/")

	for full, want := range map[string]string{"/xyz": "/xyz", "xyz": "/xyz", "": "/", "/a/": "/a/"} {
		if got := match.RewritePath("/foo", &plan.PathModifier{Full: &full}, "/foo"); got != want {
			t.Errorf("full %q: %s", full, got)
		}
	}
	if got := match.RewritePath("*", nil, ""); got != "*" {
		t.Errorf("no modifier: %s", got)
	}
}

func TestLocation(t *testing.T) {
	f := func(target, scheme string, port int, redirect plan.Redirect, want string) {
		t.Helper()
		if got := match.Location(request(target), scheme, port, &redirect, "/foo"); got != want {
			t.Errorf("%s %s:%d %+v: %s, want %s", target, scheme, port, redirect, got, want)
		}
	}
	full, prefix := "/full", "/bar"
	f("h.test/foo?q=1", "http", 80, plan.Redirect{}, "http://h.test/foo?q=1")
	f("h.test:1234/foo", "http", 80, plan.Redirect{}, "http://h.test/foo")
	f("h.test/foo", "http", 8080, plan.Redirect{}, "http://h.test:8080/foo")
	f("h.test/foo", "https", 443, plan.Redirect{}, "https://h.test/foo")
	f("h.test/foo", "https", 8443, plan.Redirect{}, "https://h.test:8443/foo")
	f("h.test/foo", "http", 443, plan.Redirect{}, "http://h.test:443/foo")
	f("h.test:8080/foo", "http", 8080, plan.Redirect{Scheme: "https"}, "https://h.test/foo")
	f("h.test/foo", "https", 8443, plan.Redirect{Scheme: "http"}, "http://h.test/foo")
	f("h.test/foo", "http", 8080, plan.Redirect{Scheme: "http"}, "http://h.test/foo")
	f("h.test/foo", "http", 8080, plan.Redirect{Scheme: "gopher"}, "gopher://h.test:8080/foo")
	f("h.test/foo", "http", 80, plan.Redirect{Scheme: "https", Port: 443}, "https://h.test/foo")
	f("h.test/foo", "http", 80, plan.Redirect{Scheme: "https", Port: 8443}, "https://h.test:8443/foo")
	f("h.test/foo", "http", 8080, plan.Redirect{Port: 80}, "http://h.test/foo")
	f("h.test/foo", "https", 443, plan.Redirect{Port: 80}, "https://h.test:80/foo")
	f("h.test:99/foo", "http", 80, plan.Redirect{Hostname: "example.org"}, "http://example.org/foo")
	f("[2001:db8::1]:99/foo", "http", 81, plan.Redirect{}, "http://[2001:db8::1]:81/foo")
	f("h.test/foo/x?q=1", "http", 80, plan.Redirect{Path: &plan.PathModifier{Prefix: &prefix}}, "http://h.test/bar/x?q=1")
	f("h.test/foo?q=1", "http", 80, plan.Redirect{Path: &plan.PathModifier{Full: &full}}, "http://h.test/full?q=1")
	f("/foo?q=1", "http", 80, plan.Redirect{Scheme: "https"}, "/foo?q=1")
	f("//evil.test/foo", "http", 80, plan.Redirect{}, "/.//evil.test/foo")
	f("/foo", "http", 80, plan.Redirect{Hostname: "example.org"}, "http://example.org/foo")

	star := &exchange.Request{Method: "OPTIONS", Authority: "h.test", Path: "*"}
	if got := match.Location(star, "http", 80, &plan.Redirect{}, ""); got != "http://h.test/" {
		t.Errorf("OPTIONS *: %s", got)
	}
}
