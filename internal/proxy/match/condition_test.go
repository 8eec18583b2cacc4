package match_test

import (
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

// takes reports whether a rule with the one match takes the request.
func takes(t *testing.T, m plan.Match, r *exchange.Request) bool {
	t.Helper()
	table := build(t, listeners(""), rule("r", []string{""}, nil, m))
	return table.Port(80).Match(r, "").Rule != nil
}

func TestPath(t *testing.T) {
	f := func(kind plan.MatchType, value, target string, want bool) {
		t.Helper()
		r := request("h.test/")
		r.Path = target
		if got := takes(t, path(kind, value), r); got != want {
			t.Errorf("%s %q takes %q: %t", kind, value, target, got)
		}
	}
	f(plan.PathPrefix, "/abc", "/abc", true)
	f(plan.PathPrefix, "/abc", "/abc/", true)
	f(plan.PathPrefix, "/abc", "/abc/def", true)
	f(plan.PathPrefix, "/abc", "/abcd", false)
	f(plan.PathPrefix, "/abc", "/ab", false)
	f(plan.PathPrefix, "/abc", "/Abc", false)
	f(plan.PathPrefix, "/abc/", "/abc", true)
	f(plan.PathPrefix, "/abc/", "/abc/def", true)
	f(plan.PathPrefix, "/abc/", "/abcd", false)
	f(plan.PathPrefix, "/", "/", true)
	f(plan.PathPrefix, "/", "/anything", true)
	f(plan.PathPrefix, "/", "*", true)
	f(plan.PathPrefix, "/", "", true)
	f("", "", "/anything", true)
	f(plan.PathPrefix, "/abc", "*", false)
	f(plan.Exact, "/abc", "/abc", true)
	f(plan.Exact, "/abc", "/abc/", false)
	f(plan.Exact, "/abc", "/Abc", false)
	f(plan.Exact, "/abc/", "/abc", false)
	f(plan.RegularExpression, "/v[0-9]+", "/v12", true)
	f(plan.RegularExpression, "/v[0-9]+", "/v12/x", false)
	f(plan.RegularExpression, "/v[0-9]+", "/x/v12", false)
	f(plan.RegularExpression, "/a|/b", "/ab", false) // the whole of an alternative
	f(plan.RegularExpression, "/a$", "/a\n", false)
}

func TestHeader(t *testing.T) {
	f := func(kind plan.MatchType, value string, want bool, fields ...string) {
		t.Helper()
		m := prefix("/")
		m.Headers = []plan.ValueMatch{{Name: "X-Color", Type: kind, Value: value}, {Name: "x-color", Type: plan.Exact, Value: "ignored"}}
		if got := takes(t, m, request("h.test/", fields...)); got != want {
			t.Errorf("%s %q takes %q: %t", kind, value, fields, got)
		}
	}
	f(plan.Exact, "red", true, "x-color: red")
	f("", "red", true, "X-COLOR: red")
	f(plan.Exact, "red", false, "X-Color: Red")
	f(plan.Exact, "red", false, "X-Color: redder")
	f(plan.Exact, "redder", false, "X-Color: red")
	f(plan.Exact, "red", false)
	f(plan.Exact, "", false)
	f(plan.Exact, "", true, "X-Color: ")
	f(plan.Exact, "red", false, "X-Color: red", "X-Color: blue")
	f(plan.Exact, "red, blue", true, "X-Color: red", "Other: x", "x-color: blue")
	f(plan.Exact, "red,blue", false, "X-Color: red", "X-Color: blue")
	f(plan.Exact, "red, blue", true, "X-Color: red, blue")
	f(plan.Exact, "red, blue, ", true, "X-Color: red", "X-Color: blue", "X-Color: ")
	f(plan.Exact, "red", false, "X-Color: red", "X-Color: ")
	f(plan.RegularExpression, "re.", true, "X-Color: red")
	f(plan.RegularExpression, "re", false, "X-Color: red")
	f(plan.RegularExpression, ".*", false)
	f(plan.RegularExpression, "red", false, "X-Color: red", "X-Color: blue")
	f(plan.RegularExpression, "red, b.*", true, "X-Color: red", "X-Color: blue")
}

func TestQuery(t *testing.T) {
	f := func(kind plan.MatchType, value, query string, want bool) {
		t.Helper()
		m := prefix("/")
		m.Query = []plan.ValueMatch{{Name: "animal", Type: kind, Value: value}, {Name: "animal", Type: plan.Exact, Value: "ignored"}}
		if got := takes(t, m, request("h.test/"+query)); got != want {
			t.Errorf("%s %q takes %q: %t", kind, value, query, got)
		}
	}
	f(plan.Exact, "whale", "?animal=whale", true)
	f(plan.Exact, "whale", "?ANIMAL=whale", false)
	f(plan.Exact, "whale", "?animal=Whale", false)
	f(plan.Exact, "whale", "?animal=whaledolphin", false)
	f(plan.Exact, "whale", "?a=b&&animal=whale&c", true)
	f(plan.Exact, "whale", "?animal=whale&animal=dog", true)
	f(plan.Exact, "whale", "?animal=dog&animal=whale", false)
	f(plan.Exact, "whale", "?%61nimal=wh%61le", true)
	f(plan.Exact, "whale", "?animal=whale%2", false)
	f(plan.Exact, "100%", "?animal=100%", true)
	f(plan.Exact, "100%zz", "?animal=100%zz", true)
	f(plan.Exact, "a&b=ü", "?animal=a%26b%3D%c3%BC", true)
	f(plan.Exact, "a b", "?animal=a%20b", true)
	f(plan.Exact, "a+b", "?animal=a+b", true)
	f(plan.Exact, "a b", "?animal=a+b", false)
	f(plan.Exact, "whale", "?animal", false)
	f(plan.Exact, "whale", "", false)
	f(plan.Exact, "", "?animal", true)
	f(plan.RegularExpression, "w.*e", "?animal=wh%61le", true)
	f(plan.RegularExpression, "w.*l", "?animal=whale", false)
	f(plan.RegularExpression, ".*", "?other=whale", false)
}

func TestPrecedenceOfMatches(t *testing.T) {
	with := func(m plan.Match, method string, headers, query int) plan.Match {
		m.Method = method
		for i := range headers {
			m.Headers = append(m.Headers, plan.ValueMatch{Name: "h" + string(rune('0'+i)), Type: plan.Exact, Value: "1"})
		}
		for i := range query {
			m.Query = append(m.Query, plan.ValueMatch{Name: "q" + string(rune('0'+i)), Type: plan.Exact, Value: "1"})
		}
		return m
	}
	r := request("h.test/a/b?q0=1&q1=1", "h0: 1", "h1: 1")
	f := func(better, worse plan.Match) {
		t.Helper()
		table := build(t, listeners(""), rule("a", []string{""}, nil, worse), rule("b", []string{""}, nil, better))
		if got := routeOf(table.Port(80).Match(r, "")); got != "b" {
			t.Errorf("%+v lost to %+v: %s", better, worse, got)
		}
	}
	f(path(plan.Exact, "/a/b"), with(path(plan.RegularExpression, "/a/b"), "GET", 2, 2))
	f(path(plan.RegularExpression, ".*"), with(prefix("/a/b"), "GET", 2, 2))
	f(prefix("/a/b"), with(prefix("/a"), "GET", 2, 2))
	f(prefix("/a"), with(prefix("/"), "GET", 2, 2))
	f(with(prefix("/a"), "GET", 0, 0), with(prefix("/a"), "", 2, 2))
	f(with(prefix("/a"), "", 2, 0), with(prefix("/a"), "", 1, 2))
	f(with(prefix("/a"), "", 1, 2), with(prefix("/a/"), "", 1, 1))
	f(with(path(plan.RegularExpression, "/a.*"), "GET", 0, 0), path(plan.RegularExpression, "/a/b"))
	same := with(prefix("/a"), "", 1, 0)
	same.Headers = append(same.Headers, same.Headers[0], same.Headers[0]) // repeated names are no more matches
	f(with(prefix("/a"), "", 2, 0), same)
}

func TestWhatCannotBeCompiledNeverMatches(t *testing.T) {
	f := func(bad plan.Match, want string) {
		t.Helper()
		table, errs := match.New(listeners(""), []*plan.Rule{rule("r", []string{""}, nil, bad, prefix("/good"))})
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), "rule HTTPRoute/ai/r#0: match 0: "+want) {
			t.Fatalf("errors %q, want %q", errs, want)
		}
		if got := table.Port(80).Match(request("h.test/a", "x: a"), ""); got.Rule != nil {
			t.Errorf("%+v took the request", bad)
		}
		if got := table.Port(80).Match(request("h.test/good"), ""); got.Rule == nil {
			t.Errorf("the rule's other match is lost")
		}
	}
	header, query := prefix("/a"), prefix("/a")
	header.Headers = []plan.ValueMatch{{Name: "x", Type: plan.RegularExpression, Value: "("}}
	query.Query = []plan.ValueMatch{{Name: "x", Type: "Glob", Value: "*"}}
	f(path(plan.RegularExpression, "/a)(.*"), "path: compile expression")
	f(path("Glob", "/*"), `path: unknown match type "Glob"`)
	f(header, "header x: compile expression")
	f(query, `query parameter x: unknown match type "Glob"`)
}

func TestClashingListenersAreLeftOut(t *testing.T) {
	g := listeners("a.test", "A.test.")
	g.Listeners = append(g.Listeners, &plan.Listener{Name: "tls", Port: 80, Protocol: plan.HTTPS, Hostname: "b.test"})
	table, errs := match.New(g, []*plan.Rule{rule("r", []string{"a.test"}, nil, prefix("/")), rule("lost", []string{"A.test."}, nil, prefix("/x"))})
	if len(errs) != 2 {
		t.Fatalf("errors: %q", errs)
	}
	if got := table.Port(80).Match(request("a.test/x"), ""); routeOf(got) != "r" || got.Listener != g.Listeners[0] {
		t.Errorf("got %+v", got)
	}
	if got := table.Port(80).Match(request("b.test/"), "b.test"); got.Listener != nil {
		t.Errorf("the TLS listener on a plain port: %+v", got)
	}
}
