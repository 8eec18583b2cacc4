package match_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

// TestAgainstOracle compares the table with the brute-force reading of the API on random Gateways, rules and requests,
// drawn from so few names that they collide.
func TestAgainstOracle(t *testing.T) {
	tables, requests := 4000, 60
	if testing.Short() {
		tables = 400
	}
	taken, refused, misdirected := 0, 0, 0
	for seed := range tables {
		d := draw{rand.New(rand.NewPCG(uint64(seed), 1))}
		g := d.gateway()
		rules := d.rules(g)
		table := build(t, g, rules...)
		for range requests {
			r, port, sni := d.request(), 80+d.IntN(2), d.pick("", "a.b", "x.a.b", "A.B", "c.a.b", "b", "other")
			got, want := table.Port(port).Match(r, sni), oracle(g, rules, r, port, sni)
			if got != want {
				t.Fatalf("seed %d: %s %s%s%s %q port %d SNI %q\ngot  %s\nwant %s",
					seed, r.Method, r.Authority, r.Path, r.Query, r.Header.Fields(), port, sni, describe(got), describe(want))
			}
			switch {
			case got.Misdirected:
				misdirected++
			case got.Rule == nil:
				refused++
			default:
				taken++
			}
		}
	}
	// A property test that hardly ever reaches a rule would prove nothing.
	if all := tables * requests; taken < all/5 || refused < all/20 || misdirected < all/200 {
		t.Errorf("of %d requests %d were taken, %d refused, %d misdirected", all, taken, refused, misdirected)
	}
}

func describe(r match.Result) string {
	if r.Rule == nil {
		return fmt.Sprintf("%+v", r)
	}
	return fmt.Sprintf("listener %q rule %s hostnames %q match %+v index %d prefix %q", r.Listener.Hostname, r.Rule.Name, r.Rule.Hostnames, *r.Match, r.Index, r.Prefix)
}

type draw struct{ *rand.Rand }

func (d draw) pick(from ...string) string { return from[d.IntN(len(from))] }

func (d draw) hostname() string {
	if d.IntN(3) == 0 {
		return ""
	}
	return d.pick("*.b", "*.a.b", "a.b", "x.a.b", "c.a.b", "*.C.a.b", "b", "X.b", "*.other")
}

func (d draw) gateway() *plan.Gateway {
	g := &plan.Gateway{Name: gatewayName}
	protocols := [2]plan.Protocol{plan.HTTP, plan.HTTPS}
	have := map[string]bool{}
	for i := range 1 + d.IntN(6) {
		l := &plan.Listener{Name: fmt.Sprint("l", i), Port: 80 + d.IntN(2), Hostname: d.hostname()}
		l.Protocol = protocols[l.Port-80]
		if key := fmt.Sprint(l.Port, l.Hostname); !have[key] {
			have[key] = true
			g.Listeners = append(g.Listeners, l)
		}
	}
	return g
}

func (d draw) rules(g *plan.Gateway) []*plan.Rule {
	var rules []*plan.Rule
	for range d.IntN(40) {
		route := "HTTPRoute/" + d.pick("ns/", "ns-a/", "other/") + d.pick("r", "s", "r-1")
		r := &plan.Rule{Route: route, Index: d.IntN(3)}
		r.Name = fmt.Sprint(route, "#", r.Index)
		if n := d.IntN(3); n > 0 {
			r.Created = time.Unix(int64(n), 0)
		}
		for _, l := range g.Listeners {
			if d.IntN(4) > 0 {
				r.Parents = append(r.Parents, plan.Parent{Gateway: d.pick(g.Name, g.Name, g.Name, "another/one"), Listener: l.Name})
			}
		}
		for range d.IntN(4) {
			r.Hostnames = append(r.Hostnames, d.hostname())
		}
		for range 1 + d.IntN(3) {
			r.Matches = append(r.Matches, d.match())
		}
		rules = append(rules, r)
	}
	return rules
}

func (d draw) match() plan.Match {
	var m plan.Match
	switch d.IntN(5) {
	case 0:
		m.Path = plan.ValueMatch{Type: plan.Exact, Value: d.path()}
	case 1:
		m.Path = plan.ValueMatch{Type: plan.RegularExpression, Value: d.pick("/a.*", "/a|/b", "/(a|b)+/?", ".*/ab", "")}
		m.Rank = max(0, d.IntN(6)-2) - 2
	default:
		m.Path = plan.ValueMatch{Type: plan.PathPrefix, Value: d.path()}
	}
	if d.IntN(4) == 0 {
		m.Method = d.pick("GET", "POST")
	}
	for range max(0, d.IntN(5)-2) {
		m.Headers = append(m.Headers, d.value(d.pick("x-a", "X-B", "X-a"), "1", "2", "1, 2"))
	}
	for range max(0, d.IntN(5)-2) {
		m.Query = append(m.Query, d.value(d.pick("q", "Q", "p"), "1", "a b", "a%", "2"))
	}
	return m
}

func (d draw) value(name string, values ...string) plan.ValueMatch {
	if d.IntN(4) == 0 {
		return plan.ValueMatch{Name: name, Type: plan.RegularExpression, Value: d.pick("1.*", "a.+", ".*", "2|1", "1, 2")}
	}
	return plan.ValueMatch{Name: name, Type: plan.Exact, Value: d.pick(values...)}
}

func (d draw) path() string {
	var b strings.Builder
	for range d.IntN(3) {
		b.WriteString("/" + d.pick("a", "b", "ab"))
	}
	if b.Len() == 0 || d.IntN(4) == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

func (d draw) request() *exchange.Request {
	r := &exchange.Request{Method: d.pick("GET", "POST", "PUT"), Path: d.path()}
	r.Authority = d.pick("", "b", "a.b", "x.a.b", "X.A.b", "c.a.b", "y.c.a.b", "x.b", "q.x.b", "z.other") + d.pick("", "", ".") + d.pick("", "", ":80", ":")
	switch d.IntN(20) {
	case 0:
		r.Path = "*"
	case 1:
		r.Path = ""
	case 2:
		r.Authority = d.pick("[::1]", "[::1]:80", "192.0.2.1")
	}
	for range d.IntN(4) {
		r.Header.Add(d.pick("X-A", "x-b", "Other"), d.pick("1", "2", ""))
	}
	for i := range d.IntN(4) {
		r.Query += d.pick("&", "&", "&&")
		if i == 0 {
			r.Query = "?"
		}
		r.Query += d.pick("q", "%71", "Q", "p", "o") + d.pick("=1", "=%31", "=a%20b", "=a+b", "=a%", "=a%2", "=2", "=", "", "=1=2")
	}
	return r
}
