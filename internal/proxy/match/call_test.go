package match_test

import (
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// TestCalls is the precedence of GRPCRouteRule.matches: the most characters of the service, then of the method, then most
// header matches, then the oldest.
func TestCalls(t *testing.T) {
	header := plan.ValueMatch{Name: "tenant", Type: plan.Exact, Value: "blue"}
	call := func(kind plan.MatchType, value string, rank int, headers ...plan.ValueMatch) plan.Match {
		m := path(kind, value)
		m.Method, m.Rank, m.Headers = "POST", rank, headers
		return m
	}
	all := []string{""}
	old := rule("old", all, nil, call(plan.PathPrefix, "/tie", 0))
	old.Created = time.Unix(1, 0)
	young := rule("an-younger", all, nil, call(plan.PathPrefix, "/tie", 0))
	young.Created = time.Unix(2, 0)
	table := build(t, listeners(""), young, old,
		rule("all", all, nil, call(plan.PathPrefix, "/", 0)),
		rule("all-blue", all, nil, call(plan.PathPrefix, "/", 0, header)),
		rule("method-expression", all, nil, call(plan.RegularExpression, "/[^/]+/(?:Get.*)", -4)),
		rule("method", all, nil, call(plan.RegularExpression, "/[^/]+/GetOne", -3)),
		rule("service-expression", all, nil, call(plan.RegularExpression, `/(?:acme\..*)/[^/]+`, -2)),
		rule("both-expressions", all, nil, call(plan.RegularExpression, `/(?:acme\..*)/(?:Get.*)`, -1)),
		rule("both-expressions-blue", all, nil, call(plan.RegularExpression, `/(?:acme\..*)/(?:GetT.*)`, -1, header)),
		rule("service", all, nil, call(plan.PathPrefix, "/acme.Chat", 0)),
		rule("service-blue", all, nil, call(plan.PathPrefix, "/acme.Chat", 0, header)),
		rule("exact", all, nil, call(plan.Exact, "/acme.Chat/GetOne", 0)),
	)
	f := func(method, path, tenant, want string) {
		t.Helper()
		r := &exchange.Request{Method: method, Authority: "any.test", Path: path}
		if tenant != "" {
			r.Header.Add("tenant", tenant)
		}
		if got := routeOf(table.Port(80).Match(r, "")); got != want {
			t.Errorf("%s %s %s: %s, want %s", method, path, tenant, got, want)
		}
	}
	f("POST", "/acme.Chat/GetOne", "", "exact")
	f("POST", "/acme.Chat/GetOne", "blue", "exact")
	f("POST", "/acme.Chat/GetTwo", "", "service")
	f("POST", "/acme.Chat/GetTwo", "blue", "service-blue")
	f("POST", "/acme.ChatRoom/GetTwo", "", "both-expressions")
	f("POST", "/acme.Other/GetTwo", "blue", "both-expressions-blue")
	f("POST", "/acme.Other/Put", "blue", "service-expression")
	f("POST", "/else.Other/GetOne", "blue", "method")
	f("POST", "/else.Other/GetTwo", "blue", "method-expression")
	f("POST", "/else.Other/Put", "blue", "all-blue")
	f("POST", "/else.Other/Put", "", "all")
	f("POST", "/tie/Put", "", "old")
	f("GET", "/acme.Chat/GetOne", "", "-")
}
