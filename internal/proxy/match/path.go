package match

import (
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// paths are the candidates of one hostname, by path. Every list is in the order of precedence.
type paths struct {
	exact       map[string][]*candidate
	expressions []*candidate            // of rank 0 and above
	prefixes    map[string][]*candidate // without trailing slash
	lengths     []int                   // of the prefixes, each once, longest first
	late        []*candidate            // expressions of a rank below 0
	root        []*candidate            // of the prefix "/"
}

func (p *paths) add(c *candidate) {
	switch c.match.Path.Type {
	case plan.Exact:
		if p.exact == nil {
			p.exact = make(map[string][]*candidate)
		}
		p.exact[c.match.Path.Value] = append(p.exact[c.match.Path.Value], c)
	case plan.RegularExpression:
		if c.match.Rank < 0 {
			p.late = append(p.late, c)
		} else {
			p.expressions = append(p.expressions, c)
		}
	default:
		p.addPrefix(strings.TrimSuffix(c.match.Path.Value, "/"), c)
	}
}

func (p *paths) addPrefix(prefix string, c *candidate) {
	if prefix == "" {
		p.root = append(p.root, c)
		return
	}
	if p.prefixes == nil {
		p.prefixes = make(map[string][]*candidate)
	}
	p.prefixes[prefix] = append(p.prefixes[prefix], c)
}

// finish sorts what add collected.
func (p *paths) finish() {
	p.lengths = lengthsOf(p.prefixes)
	for _, list := range p.exact {
		slices.SortFunc(list, precedence)
	}
	for _, list := range p.prefixes {
		slices.SortFunc(list, precedence)
	}
	slices.SortFunc(p.expressions, precedence)
	slices.SortFunc(p.late, precedence)
	slices.SortFunc(p.root, precedence)
}

// find is the candidate of the highest precedence that takes the request, or nil. Prefixes are looked up by the lengths
// that there are, where the path has a segment's end: a path of many segments costs no more than the configuration has
// different lengths.
func (p *paths) find(r *exchange.Request) *candidate {
	if c := first(p.exact[r.Path], r); c != nil {
		return c
	}
	if c := firstExpression(p.expressions, r); c != nil {
		return c
	}
	for _, n := range p.lengths {
		if n > len(r.Path) || n < len(r.Path) && r.Path[n] != '/' {
			continue
		}
		if c := first(p.prefixes[r.Path[:n]], r); c != nil {
			return c
		}
	}
	if c := firstExpression(p.late, r); c != nil {
		return c
	}
	return first(p.root, r)
}

func firstExpression(list []*candidate, r *exchange.Request) *candidate {
	for _, c := range list {
		if c.path.MatchString(r.Path) && c.holds(r) {
			return c
		}
	}
	return nil
}

func first(list []*candidate, r *exchange.Request) *candidate {
	for _, c := range list {
		if c.holds(r) {
			return c
		}
	}
	return nil
}
