package match

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// candidate is one match of one rule, compiled. Its path is compared by whoever holds it.
type candidate struct {
	rule    *plan.Rule
	index   int // of the rule in those given to New
	order   int // of the match in the rule
	match   *plan.Match
	prefix  string
	path    *regexp.Regexp // for a path that is a regular expression
	headers []condition
	query   []condition
}

// condition is a named value's comparison: with the expression where there is one, else with the exact value.
type condition struct {
	name, exact string
	expression  *regexp.Regexp
}

// precedence orders candidates of one hostname and one path, or of one hostname and expressions for paths, as
// HTTPRouteRule.matches and GRPCRouteRule.matches demand.
func precedence(a, b *candidate) int {
	return cmp.Or(
		cmp.Compare(b.match.Rank, a.match.Rank),
		cmp.Compare(methods(b), methods(a)),
		cmp.Compare(len(b.headers), len(a.headers)),
		cmp.Compare(len(b.query), len(a.query)),
		a.rule.Created.Compare(b.rule.Created),
		strings.Compare(route(a.rule), route(b.rule)),
		strings.Compare(a.rule.Route, b.rule.Route),
		cmp.Compare(a.rule.Index, b.rule.Index),
		cmp.Compare(a.order, b.order),
		cmp.Compare(a.index, b.index),
	)
}

func methods(c *candidate) int { return min(len(c.match.Method), 1) }

// route is the "namespace/name" of a rule's "Kind/namespace/name".
func route(r *plan.Rule) string {
	_, name, _ := strings.Cut(r.Route, "/")
	return name
}

// holds reports whether everything but the path does.
func (c *candidate) holds(r *exchange.Request) bool {
	if c.match.Method != "" && c.match.Method != r.Method {
		return false
	}
	for i := range c.headers {
		if !c.headers[i].inHeader(&r.Header) {
			return false
		}
	}
	for i := range c.query {
		if !c.query[i].inQuery(r.Query) {
			return false
		}
	}
	return true
}

// inHeader compares the field's combined value. An exact one is compared field by field, so that nothing is joined.
func (c *condition) inHeader(h *exchange.Header) bool {
	if c.expression != nil {
		return h.Has(c.name) && c.expression.MatchString(h.Get(c.name))
	}
	rest, present := c.exact, false
	var ok bool
	for _, f := range h.Fields() {
		if !exchange.EqualFold(f.Name, c.name) {
			continue
		}
		if present {
			if rest, ok = strings.CutPrefix(rest, ", "); !ok {
				return false
			}
		}
		if rest, ok = strings.CutPrefix(rest, f.Value); !ok {
			return false
		}
		present = true
	}
	return present && rest == ""
}

// compiler makes candidates of rules. Rules often share an expression: each is compiled once.
type compiler struct{ expressions map[string]*regexp.Regexp }

func newCompiler() *compiler { return &compiler{expressions: make(map[string]*regexp.Regexp)} }

// rule compiles a rule's matches. What cannot be compiled is left out: a match that lost a condition would take more
// than its author meant.
func (c *compiler) rule(rule *plan.Rule, index int) ([]*candidate, []error) {
	candidates := make([]*candidate, 0, len(rule.Matches))
	var problems []error
	for i := range rule.Matches {
		built := &candidate{rule: rule, index: index, order: i, match: &rule.Matches[i]}
		if err := c.match(built); err != nil {
			problems = append(problems, fmt.Errorf("rule %s: match %d: %w", rule.Name, i, err))
			continue
		}
		candidates = append(candidates, built)
	}
	return candidates, problems
}

func (c *compiler) match(built *candidate) error {
	path := built.match.Path
	var err error
	switch path.Type {
	case plan.Exact:
	case plan.RegularExpression:
		if built.path, err = c.expression(path.Value); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	case plan.PathPrefix, "": // the API's default is the prefix "/"
		built.prefix = cmp.Or(path.Value, "/")
	default:
		return fmt.Errorf("path: unknown match type %q", path.Type)
	}
	if built.headers, err = c.conditions(built.match.Headers, exchange.EqualFold); err != nil {
		return fmt.Errorf("header %w", err)
	}
	same := func(a, b string) bool { return a == b }
	if built.query, err = c.conditions(built.match.Query, same); err != nil {
		return fmt.Errorf("query parameter %w", err)
	}
	return nil
}

// conditions compiles named matches. Of several with one name the first alone counts (HTTPHeaderMatch.name).
func (c *compiler) conditions(matches []plan.ValueMatch, same func(a, b string) bool) ([]condition, error) {
	var list []condition
next:
	for _, m := range matches {
		for i := range list {
			if same(list[i].name, m.Name) {
				continue next
			}
		}
		built := condition{name: m.Name, exact: m.Value}
		var err error
		switch m.Type {
		case plan.Exact, "": // the API's default
		case plan.RegularExpression:
			if built.expression, err = c.expression(m.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
		default:
			return nil, fmt.Errorf("%s: unknown match type %q", m.Name, m.Type)
		}
		list = append(list, built)
	}
	return list, nil
}

// expression compiles a regular expression that must match a whole value. It is compiled as written first: "a)(b" is
// none, but between brackets of ours it would be.
func (c *compiler) expression(text string) (*regexp.Regexp, error) {
	if known := c.expressions[text]; known != nil {
		return known, nil
	}
	if _, err := regexp.Compile(text); err != nil {
		return nil, fmt.Errorf("compile expression: %w", err)
	}
	whole, err := regexp.Compile(`\A(?:` + text + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("compile expression: %w", err)
	}
	c.expressions[text] = whole
	return whole, nil
}
