package match_test

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
)

// The oracle answers what match answers, straight from the text of the API: it looks at every listener, every rule and
// every match, and shares no code with the table.

// contender is a match that holds, with what decides between those.
type contender struct {
	rule                                                                       *plan.Rule
	index, match                                                               int
	exactHost, hostLength, pathKind, pathLength, rank, method, headers, params int
}

func oracle(g *plan.Gateway, rules []*plan.Rule, r *exchange.Request, port int, sni string) match.Result {
	host := plainHost(r.Authority)
	wanted := oracleListener(g, port, host)
	chosen := wanted
	if isSecure(g, port) {
		chosen = oracleListener(g, port, plainHost(sni))
	}
	result := match.Result{Index: -1, Listener: chosen}
	if chosen != wanted {
		result.Misdirected = chosen != nil && wanted != nil
		return result
	}
	if chosen == nil {
		return result
	}
	var all []contender
	for i, rule := range rules {
		if slices.Contains(rule.Parents, plan.Parent{Gateway: g.Name, Listener: chosen.Name}) {
			all = append(all, oracleRule(rule, i, r, host)...)
		}
	}
	if len(all) == 0 {
		return result
	}
	best := slices.MinFunc(all, before)
	result.Rule, result.Index, result.Match = best.rule, best.index, &best.rule.Matches[best.match]
	if result.Match.Path.Type == plan.PathPrefix {
		result.Prefix = result.Match.Path.Value
	}
	return result
}

func before(a, b contender) int {
	return cmp.Or(
		b.exactHost-a.exactHost, b.hostLength-a.hostLength,
		b.pathKind-a.pathKind, b.pathLength-a.pathLength, b.rank-a.rank, b.method-a.method, b.headers-a.headers, b.params-a.params,
		a.rule.Created.Compare(b.rule.Created),
		strings.Compare(strings.TrimPrefix(a.rule.Route, "HTTPRoute/"), strings.TrimPrefix(b.rule.Route, "HTTPRoute/")),
		a.rule.Index-b.rule.Index, a.match-b.match, a.index-b.index,
	)
}

func oracleRule(rule *plan.Rule, index int, r *exchange.Request, host string) []contender {
	hostnames := rule.Hostnames
	if len(hostnames) == 0 {
		hostnames = []string{""}
	}
	var all []contender
	for _, h := range hostnames {
		if !hostHolds(h, host) {
			continue
		}
		for i := range rule.Matches {
			c := contender{rule: rule, index: index, match: i}
			if c.fill(&rule.Matches[i], r) {
				c.hostLength = len(h)
				if h != "" && h[0] != '*' {
					c.exactHost = len(h)
				}
				all = append(all, c)
			}
		}
	}
	return all
}

func (c *contender) fill(m *plan.Match, r *exchange.Request) bool {
	switch c.rank = m.Rank; {
	case m.Path.Type == plan.Exact:
		c.pathKind, c.rank = 4, 0
	case m.Path.Type == plan.RegularExpression && m.Rank >= 0:
		c.pathKind = 3
	case m.Path.Type == plan.RegularExpression:
		c.pathKind = 1
	case m.Path.Value != "/":
		c.pathKind, c.pathLength = 2, len(strings.TrimSuffix(m.Path.Value, "/"))
	}
	if m.Method != "" {
		c.method = 1
		if m.Method != r.Method {
			return false
		}
	}
	return pathHolds(m.Path, r.Path) && c.headersHold(m, r) && c.paramsHold(m, r)
}

func (c *contender) headersHold(m *plan.Match, r *exchange.Request) bool {
	seen := map[string]bool{}
	for _, h := range m.Headers {
		name := strings.ToLower(h.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		values := r.Header.Values(h.Name)
		if len(values) == 0 || !valueHolds(h, strings.Join(values, ", ")) {
			return false
		}
	}
	c.headers = len(seen)
	return true
}

func (c *contender) paramsHold(m *plan.Match, r *exchange.Request) bool {
	seen := map[string]bool{}
	for _, q := range m.Query {
		if seen[q.Name] {
			continue
		}
		seen[q.Name] = true
		i := slices.IndexFunc(params(r.Query), func(p [2]string) bool { return p[0] == q.Name })
		if i < 0 || !valueHolds(q, params(r.Query)[i][1]) {
			return false
		}
	}
	c.params = len(seen)
	return true
}

func params(query string) [][2]string {
	var list [][2]string
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		list = append(list, [2]string{unescape(name), unescape(value)})
	}
	return list
}

var badEscape = regexp.MustCompile(`%(?:[^0-9a-fA-F]|$|[0-9a-fA-F](?:[^0-9a-fA-F]|$))`)

// unescape keeps invalid escapes by escaping their percent sign, for net/url refuses them.
func unescape(s string) string {
	for badEscape.MatchString(s) {
		at := badEscape.FindStringIndex(s)[0]
		s = s[:at] + "%25" + s[at+1:]
	}
	plain, err := url.PathUnescape(s)
	if err != nil {
		panic(err)
	}
	return plain
}

func valueHolds(m plan.ValueMatch, value string) bool {
	if m.Type == plan.RegularExpression {
		return wholly(m.Value, value)
	}
	return m.Value == value
}

// wholly reports a full match: the leftmost-longest one is the whole.
func wholly(expression, value string) bool {
	re := regexp.MustCompile(expression)
	re.Longest()
	at := re.FindStringIndex(value)
	return at != nil && at[0] == 0 && at[1] == len(value)
}

func pathHolds(m plan.ValueMatch, path string) bool {
	switch m.Type {
	case plan.Exact:
		return path == m.Value
	case plan.RegularExpression:
		return wholly(m.Value, path)
	}
	if m.Value == "/" {
		return true
	}
	want := strings.Split(strings.TrimSuffix(m.Value, "/"), "/")
	have := strings.Split(path, "/")
	return len(have) >= len(want) && slices.Equal(have[:len(want)], want)
}

func plainHost(authority string) string {
	if !strings.HasSuffix(authority, "]") {
		if at := strings.LastIndex(authority, ":"); at >= 0 {
			authority = authority[:at]
		}
	}
	return strings.ToLower(strings.TrimSuffix(authority, "."))
}

func hostHolds(pattern, host string) bool {
	pattern = strings.ToLower(pattern)
	if strings.HasPrefix(pattern, "*.") {
		label, ok := strings.CutSuffix(host, pattern[1:])
		return ok && label != ""
	}
	return pattern == "" || pattern == host
}

func isSecure(g *plan.Gateway, port int) bool {
	return slices.ContainsFunc(g.Listeners, func(l *plan.Listener) bool { return l.Port == port && l.Protocol == plan.HTTPS })
}

func oracleListener(g *plan.Gateway, port int, host string) *plan.Listener {
	var best *plan.Listener
	rank := func(l *plan.Listener) int {
		if l.Hostname == "" || l.Hostname[0] == '*' {
			return len(l.Hostname)
		}
		return 1000
	}
	for _, l := range g.Listeners {
		if l.Port == port && hostHolds(l.Hostname, host) && (best == nil || rank(l) > rank(best)) {
			best = l
		}
	}
	return best
}
