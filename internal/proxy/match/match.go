// Package match answers which rule takes a request, and holds the filters that are pure functions of a rule and a
// request: header modifiers, path rewrites, the Location of a redirect. It opens nothing, refuses nothing and renders
// nothing: proxy builds a Table for each Gateway of a plan, asks it once a request, and acts on the answer.
//
// # Which listener
//
// Of a port's listeners the one with the most specific hostname takes the request: the exact one, else the longest
// wildcard, else the one without hostname. Hosts compare without case, port and trailing dot. A request never falls to
// a less specific listener (listener isolation, GatewaySpec.listeners). On HTTPS the listener is chosen by SNI, and the
// authority must choose the same one: else there is no rule, and where another listener would have taken the authority
// the result is Misdirected (RFC 9110, section 15.5.20). A request without a host is for listeners and routes without
// hostname alone, and a host longer than a DNS name can be (RFC 1035, section 2.3.4) is for nobody.
//
// # Which rule
//
// HTTPRouteSpec.hostnames speaks of precedence among the rules that match: so rules of routes with an exact hostname
// come first, then those with a wildcard, the longest first, then those without hostname, and where none of one level
// takes the request the next level is asked. What counts is the hostname that the route wrote, not its intersection
// with the listener's. "*.example.com" stands for one label or more, never for example.com itself.
//
// Within a level HTTPRouteRule.matches rules: exact path, regular expression, longest path prefix, method, most
// header matches, most query matches, oldest route, namespace/name, order of rules, order of matches. The place of regular
// expressions is ours to choose; of one rank they are alike, whatever their length. They are RE2 and must match the whole
// value; a path is matched as it came, escaped and without query.
//
// A call of gRPC is matched by its path, /service/method. GRPCRouteRule.matches counts the characters of the service, then
// those of the method, then header matches: so the exact path of both comes first, then the prefix of a service, then
// expressions by their rank (Match.Rank), then the prefix "/". No level has rules of both kinds of routes: translate
// gives a hostname to one kind alone (GRPCRouteSpec.hostnames).
//
// A path prefix counts whole segments, its trailing slash ignored; the prefix "/" takes every request, so also
// "OPTIONS *" and CONNECT, which have no path. A field that came several times is compared as its combined value
// (RFC 9110, section 5.3), of a repeated query parameter the first value counts. In queries percent-escapes are decoded,
// an invalid one stands for itself, and "+" is a plus.
//
// # What it costs
//
// A look-up allocates nothing and locks nothing, and its cost does not grow with the number of routes, only with those
// that share host and path and differ in the rest. Two things allocate, the value they must put together first: a
// regular expression on a field that came several times, and one on a query value with escapes.
package match

import (
	"fmt"
	"slices"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// Table is one Gateway's listeners with the rules attached to them. It is immutable.
type Table struct{ ports map[int]*Port }

// Port is what one socket serves: all of a Gateway's listeners on one port.
type Port struct {
	secure    bool // its listeners terminate TLS
	listeners hosts[listener]
}

// listener is one listener and what its routes make of the hosts it takes.
type listener struct {
	plan   *plan.Listener
	routes hosts[paths]
}

// Result is who takes a request.
type Result struct {
	Listener    *plan.Listener // nil where no listener takes the request
	Rule        *plan.Rule     // nil where no rule takes it: 404, or 421 if Misdirected
	Index       int            // of Rule in the rules given to New; -1 without one
	Match       *plan.Match    // the rule's match that held
	Prefix      string         // the path prefix that matched, as the rule wrote it; empty for other path matches
	Misdirected bool           // the authority is another TLS listener's than the one that the SNI chose
}

// New builds the table of a Gateway. Rules that are not attached to it are ignored. The errors name what is left out:
// rules whose match cannot be compiled (that match never holds) and listeners that clash with an earlier one.
// Translate refuses both before.
func New(gateway *plan.Gateway, rules []*plan.Rule) (*Table, []error) {
	t := &Table{ports: make(map[int]*Port)}
	byName := make(map[string]*listener, len(gateway.Listeners))
	var problems []error
	for _, l := range gateway.Listeners {
		built, err := t.listen(l)
		if err != nil {
			problems = append(problems, fmt.Errorf("gateway %s: listener %s: %w", gateway.Name, l.Name, err))
			continue
		}
		byName[l.Name] = built
	}
	c := newCompiler()
	for i, rule := range rules {
		attached := parents(rule, gateway.Name, byName)
		if len(attached) == 0 {
			continue
		}
		candidates, errs := c.rule(rule, i)
		problems = append(problems, errs...)
		hostnames := patterns(rule.Hostnames)
		for _, l := range attached {
			l.add(hostnames, candidates)
		}
	}
	for _, p := range t.ports {
		p.finish()
	}
	return t, problems
}

// Port is what the socket on the port serves; nil where the Gateway has no listener there. A nil Port matches nothing.
func (t *Table) Port(port int) *Port { return t.ports[port] }

// Match finds the rule that takes the request. The SNI is that of the connection, empty without TLS.
func (p *Port) Match(r *exchange.Request, sni string) Result {
	result := Result{Index: -1}
	if p == nil {
		return result
	}
	var hostBytes, nameBytes [maxHost]byte
	host, ok := fold(hostname(r.Authority), &hostBytes)
	var wanted *listener
	if ok {
		wanted = p.listeners.best(host)
	}
	chosen := wanted
	if p.secure {
		chosen = nil
		if name, ok := fold(sni, &nameBytes); ok {
			chosen = p.listeners.best(name)
		}
	}
	if chosen == nil {
		return result
	}
	result.Listener = chosen.plan
	if chosen != wanted {
		result.Misdirected = wanted != nil
		return result
	}
	if c := chosen.find(host, r); c != nil {
		result.Rule, result.Index, result.Match, result.Prefix = c.rule, c.index, c.match, c.prefix
	}
	return result
}

func (l *listener) find(host []byte, r *exchange.Request) *candidate {
	for step := 0; ; {
		var level *paths
		if level, step = l.routes.next(host, step); level == nil {
			return nil
		}
		if c := level.find(r); c != nil {
			return c
		}
	}
}

// listen adds a listener to its port.
func (t *Table) listen(l *plan.Listener) (*listener, error) {
	secure := l.Protocol == plan.HTTPS
	port := t.ports[l.Port]
	if port == nil {
		port = &Port{secure: secure}
		t.ports[l.Port] = port
	}
	if port.secure != secure {
		return nil, fmt.Errorf("port %d has listeners of another protocol", l.Port)
	}
	built := port.listeners.at(pattern(l.Hostname))
	if built.plan != nil {
		return nil, fmt.Errorf("port %d: listener %s has the same hostname", l.Port, built.plan.Name)
	}
	built.plan = l
	return built, nil
}

// add hangs a rule's candidates under those of its hostnames that intersect the listener's. Of the others no request
// could reach them here.
func (l *listener) add(hostnames []string, candidates []*candidate) {
	own := pattern(l.plan.Hostname)
	for _, h := range hostnames {
		if !intersect(own, h) {
			continue
		}
		level := l.routes.at(h)
		for _, c := range candidates {
			level.add(c)
		}
	}
}

func (p *Port) finish() {
	p.listeners.finish()
	for l := range p.listeners.all() {
		l.routes.finish()
		for level := range l.routes.all() {
			level.finish()
		}
	}
}

// parents are the Gateway's listeners that the rule is attached to, each once.
func parents(rule *plan.Rule, gateway string, byName map[string]*listener) []*listener {
	var attached []*listener
	for _, parent := range rule.Parents {
		if parent.Gateway != gateway {
			continue
		}
		if l := byName[parent.Listener]; l != nil && !slices.Contains(attached, l) {
			attached = append(attached, l)
		}
	}
	return attached
}
