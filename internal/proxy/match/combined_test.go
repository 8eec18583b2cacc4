package match_test

import (
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// TestMethod: HTTPRouteMatch.method, and that methods have their case (RFC 9110, section 9.1).
func TestMethod(t *testing.T) {
	f := func(method, asked string, want bool) {
		t.Helper()
		m := prefix("/")
		m.Method = method
		r := request("h.test/")
		r.Method = asked
		if got := takes(t, m, r); got != want {
			t.Errorf("%q takes %q: %t", method, asked, got)
		}
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"} {
		f(method, method, true)
		f("", method, true)
		f(method, "QUERY", false)
	}
	f("GET", "HEAD", false)
	f("GET", "get", false)
	f("GET", "GETX", false)
	f("GET", "GE", false)
	f("", "QUERY", true)
}

// TestConditionsOfAMatchAreANDed: HTTPRouteMatch, headers and queryParams.
func TestConditionsOfAMatchAreANDed(t *testing.T) {
	m := prefix("/foo")
	m.Method = "POST"
	m.Headers = []plan.ValueMatch{{Name: "version", Type: plan.Exact, Value: "v1"}, {Name: "tier", Type: plan.RegularExpression, Value: "gold|silver"}}
	m.Query = []plan.ValueMatch{{Name: "a", Type: plan.Exact, Value: "1"}, {Name: "b", Type: plan.RegularExpression, Value: "[0-9]+"}}
	f := func(want bool, method, target string, fields ...string) {
		t.Helper()
		r := request(target, fields...)
		r.Method = method
		if got := takes(t, m, r); got != want {
			t.Errorf("takes %s %s %q: %t", method, target, fields, got)
		}
	}
	f(true, "POST", "h.test/foo?a=1&b=22", "version: v1", "tier: gold")
	f(true, "POST", "h.test/foo/bar?b=22&c&a=1", "TIER: silver", "Other: x", "Version: v1")
	f(false, "GET", "h.test/foo?a=1&b=22", "version: v1", "tier: gold")
	f(false, "POST", "h.test/bar?a=1&b=22", "version: v1", "tier: gold")
	f(false, "POST", "h.test/foo?a=1&b=22", "version: v1")
	f(false, "POST", "h.test/foo?a=1&b=22", "tier: gold")
	f(false, "POST", "h.test/foo?a=1&b=22", "version: v2", "tier: gold")
	f(false, "POST", "h.test/foo?a=1&b=22", "version: v1", "tier: bronze")
	f(false, "POST", "h.test/foo?a=1", "version: v1", "tier: gold")
	f(false, "POST", "h.test/foo?b=22", "version: v1", "tier: gold")
	f(false, "POST", "h.test/foo?a=1&b=x", "version: v1", "tier: gold")
	f(false, "POST", "h.test/foo", "version: v1", "tier: gold", "a: 1", "b: 22")
	f(false, "POST", "h.test/foo?a=1&b=22&version=v1&tier=gold")
}

// TestMatchesOfARuleAreORed: HTTPRouteRule.matches, with its own example.
func TestMatchesOfARuleAreORed(t *testing.T) {
	first, second := prefix("/foo"), prefix("/v2/foo")
	first.Headers = []plan.ValueMatch{{Name: "version", Type: plan.Exact, Value: "v2"}}
	table := build(t, listeners(""), rule("r", []string{""}, nil, first, second))
	f := func(want int, target string, fields ...string) {
		t.Helper()
		got := table.Port(80).Match(request(target, fields...), "")
		index := -1
		for i := 0; got.Rule != nil && i < len(got.Rule.Matches); i++ {
			if got.Match == &got.Rule.Matches[i] {
				index = i
			}
		}
		if index != want {
			t.Errorf("%s %q: match %d, want %d", target, fields, index, want)
		}
	}
	f(0, "h.test/foo", "version: v2")
	f(1, "h.test/v2/foo")
	f(1, "h.test/v2/foo", "version: v2")
	f(-1, "h.test/foo")
	f(-1, "h.test/v2", "version: v2")
}

// TestOnlyTheFirstOfEquivalentNamesCounts: HTTPHeaderMatch.name without case, HTTPQueryParamMatch.name with it.
func TestOnlyTheFirstOfEquivalentNamesCounts(t *testing.T) {
	m := prefix("/")
	m.Headers = []plan.ValueMatch{{Name: "foo", Type: plan.Exact, Value: "1"}, {Name: "Foo", Type: plan.Exact, Value: "2"}}
	f := func(want bool, target string, fields ...string) {
		t.Helper()
		if got := takes(t, m, request(target, fields...)); got != want {
			t.Errorf("takes %s %q: %t", target, fields, got)
		}
	}
	f(true, "h.test/", "FOO: 1")
	f(false, "h.test/", "Foo: 2")
	m = prefix("/")
	m.Query = []plan.ValueMatch{{Name: "foo", Type: plan.Exact, Value: "1"}, {Name: "Foo", Type: plan.Exact, Value: "2"}, {Name: "foo", Type: plan.Exact, Value: "3"}}
	f(true, "h.test/?foo=1&Foo=2")
	f(false, "h.test/?foo=1")
	f(false, "h.test/?Foo=2")
}
