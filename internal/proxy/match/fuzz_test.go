package match_test

import (
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

// FuzzMatch feeds arbitrary bytes to a table that uses every kind of match. Whatever the oracle makes of them, the table makes too.
func FuzzMatch(f *testing.F) {
	f.Add("x.a.b:80", "/a/b", "?q=%31&p", "1", "a.b")
	f.Add("[::1", "*", "?%&%=%%%2", "", "")
	f.Add("..a.b.", "//", "&&=", ",", ":")
	g := listeners("", "*.b", "x.a.b")
	for _, h := range []string{"", "*.b"} {
		g.Listeners = append(g.Listeners, &plan.Listener{Name: "s-" + h, Port: 443, Protocol: plan.HTTPS, Hostname: h})
	}
	m := prefix("/a")
	m.Headers = []plan.ValueMatch{{Name: "x-a", Type: plan.Exact, Value: "1, 1"}}
	m.Query = []plan.ValueMatch{{Name: "q", Type: plan.Exact, Value: "1"}, {Name: "p", Type: plan.RegularExpression, Value: "a*"}}
	rules := []*plan.Rule{
		rule("r", []string{"", "*.b", "x.a.b"}, []string{"*.a.b", "x.a.b"}, m, path(plan.Exact, "/a/b"), path(plan.RegularExpression, "/[a-c]/.*")),
		rule("s", []string{"", "*.b"}, nil, prefix("/a/"), prefix("/")),
	}
	for _, r := range rules {
		r.Parents = append(r.Parents, plan.Parent{Gateway: gatewayName, Listener: "s-"}, plan.Parent{Gateway: gatewayName, Listener: "s-*.b"})
	}
	table := build(f, g, rules...)
	replacement := "/xyz"
	f.Fuzz(func(t *testing.T, host, target, query, value, sni string) {
		r := &exchange.Request{Method: "GET", Authority: host, Path: target, Query: query}
		r.Header.Add("X-A", value)
		r.Header.Add("x-a", value)
		for _, port := range []int{80, 443} {
			got := table.Port(port).Match(r, sni)
			if plainASCII(host) && plainASCII(sni) {
				if want := oracle(g, rules, r, port, sni); got != want {
					t.Fatalf("port %d: got %+v, want %+v", port, got, want)
				}
			}
			modifier := &plan.PathModifier{Prefix: &replacement}
			if path := match.RewritePath(target, modifier, got.Prefix); !strings.HasPrefix(path, "/") {
				t.Fatalf("rewritten to %q", path)
			}
			location := match.Location(r, "http", port, &plan.Redirect{Path: modifier}, got.Prefix)
			if strings.HasPrefix(location, "//") {
				t.Fatalf("location %q", location)
			}
		}
	})
}

// plainASCII excludes what the oracle reads otherwise than a host is read: case beyond ASCII, brackets out of place,
// names too long, a port in the SNI.
func plainASCII(host string) bool {
	return len(host) < 250 && !strings.ContainsAny(host, "[]:") &&
		!strings.ContainsFunc(host, func(c rune) bool { return c >= 0x80 })
}
