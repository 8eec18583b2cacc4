package match_test

import (
	"fmt"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

// layouts are the ways in which many routes can share a listener, each with a request for the middle one of n.
var layouts = []struct {
	name    string
	rule    func(i int) *plan.Rule
	request func(i int) *exchange.Request
}{
	{"hosts", func(i int) *plan.Rule {
		return rule(fmt.Sprint("r", i), []string{""}, []string{fmt.Sprintf("h%d.example.com", i)}, prefix("/"))
	}, func(i int) *exchange.Request { return request(fmt.Sprintf("h%d.example.com:8080/v1/chat", i)) }},
	{"wildcards", func(i int) *plan.Rule {
		return rule(fmt.Sprint("r", i), []string{""}, []string{fmt.Sprintf("*.h%d.example.com", i)}, prefix("/"))
	}, func(i int) *exchange.Request { return request(fmt.Sprintf("A.h%d.Example.com/v1/chat", i)) }},
	{"prefixes", func(i int) *plan.Rule {
		return rule(fmt.Sprint("r", i), []string{""}, nil, prefix(fmt.Sprintf("/team/%d", i)))
	}, func(i int) *exchange.Request {
		return request(fmt.Sprintf("egress.test/team/%d/v1/chat/completions?a=b", i))
	}},
	{"conditions", func(i int) *plan.Rule {
		m := path(plan.Exact, fmt.Sprintf("/team/%d", i))
		m.Method = "GET"
		m.Headers = []plan.ValueMatch{{Name: "x-model", Type: plan.Exact, Value: "small, large"}, {Name: "x-tier", Type: plan.RegularExpression, Value: "gold|silver"}}
		m.Query = []plan.ValueMatch{{Name: "stream", Type: plan.Exact, Value: "a b"}, {Name: "v", Type: plan.RegularExpression, Value: "[0-9]+"}}
		return rule(fmt.Sprint("r", i), []string{""}, []string{"*.test"}, m)
	}, func(i int) *exchange.Request {
		return request(fmt.Sprintf("egress.test/team/%d?x=1&%%73tream=a%%20b&v=17", i), "Accept: */*", "X-Model: small", "X-Model: large", "X-Tier: gold")
	}},
}

func routes(n int, one func(i int) *plan.Rule) []*plan.Rule {
	rules := []*plan.Rule{}
	for i := range n {
		rules = append(rules, one(i))
	}
	return rules
}

func BenchmarkMatch(b *testing.B) {
	for _, l := range layouts {
		for _, n := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", l.name, n), func(b *testing.B) {
				port := build(b, listeners(""), routes(n, l.rule)...).Port(80)
				r := l.request(n / 2)
				b.ReportAllocs()
				for b.Loop() {
					if port.Match(r, "").Index != n/2 {
						b.Fatal("the wrong rule")
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, l := range layouts {
		b.Run(l.name+"/10000", func(b *testing.B) {
			g, rules := listeners(""), routes(10_000, l.rule)
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := match.New(g, rules); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	for _, l := range layouts {
		const n = 100
		f := func(port *match.Port, sni string, r *exchange.Request, want int) {
			t.Helper()
			got := -2
			if allocs := testing.AllocsPerRun(100, func() { got = port.Match(r, sni).Index }); allocs != 0 || got != want {
				t.Errorf("%s: %v allocations, rule %d, want %d", l.name, allocs, got, want)
			}
		}
		plain := build(t, listeners("", "*.test", "exact.test"), routes(n, l.rule)...).Port(80)
		tls := build(t, secure(listeners("")), routes(n, l.rule)...).Port(443)
		nobody := request("nobody.invalid/nowhere?a=b")
		if l.name != "prefixes" && l.name != "conditions" { // their hosts are in another listener of the plain port
			f(plain, "", l.request(n/2), n/2)
		}
		f(plain, "", nobody, -1)
		f(tls, "Some.Name", l.request(n/2), n/2)
		f(tls, "", nobody, -1)
	}
}
