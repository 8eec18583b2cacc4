package route

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

func hostnames(spec []gwapiv1.Hostname) []string {
	var list []string
	for _, h := range spec {
		if name := strings.ToLower(string(h)); !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// anything is what a rule without matches matches.
var anything = plan.ValueMatch{Type: plan.PathPrefix, Value: "/"}

// conditions are those of a rule.
func (b *builder) conditions(field string, rule *attach.Rule) []plan.Match {
	if b.route.Kind == attach.KindGRPCRoute {
		return b.calls(field, rule.Calls)
	}
	return b.matches(field, rule.Matches)
}

// matches are the conditions of a rule of an HTTPRoute. One that cannot be compiled is left out of the plan, so that the rule, which
// answers 500, takes all the traffic it might have meant.
func (b *builder) matches(field string, spec []gwapiv1.HTTPRouteMatch) []plan.Match {
	if len(spec) == 0 {
		return []plan.Match{{Path: anything}}
	}
	list := make([]plan.Match, 0, len(spec))
	for i, m := range spec {
		field := fmt.Sprintf("%s.matches[%d]", field, i)
		match := plan.Match{Path: b.path(field+".path", m.Path), Method: attach.Or(m.Method, "")}
		for j, h := range m.Headers {
			match.Headers = b.value(match.Headers, fmt.Sprintf("%s.headers[%d]", field, j), string(h.Name), attach.Or(h.Type, string(plan.Exact)), h.Value, exchange.EqualFold)
		}
		for j, q := range m.QueryParams {
			match.Query = b.value(match.Query, fmt.Sprintf("%s.queryParams[%d]", field, j), string(q.Name), attach.Or(q.Type, string(plan.Exact)), q.Value,
				func(x, y string) bool { return x == y })
		}
		list = append(list, match)
	}
	return list
}

func (b *builder) path(field string, spec *gwapiv1.HTTPPathMatch) plan.ValueMatch {
	if spec == nil {
		return anything
	}
	match := plan.ValueMatch{Type: plan.MatchType(attach.Or(spec.Type, string(plan.PathPrefix))), Value: attach.Or(spec.Value, "/")}
	switch match.Type {
	case plan.Exact, plan.PathPrefix:
		if !strings.HasPrefix(match.Value, "/") {
			b.refuse(field+".value", "a path begins with a slash", "write one before it")
			return anything
		}
	case plan.RegularExpression:
		if !b.compiles(field+".value", match.Value) {
			return anything
		}
	default:
		b.refuse(field+".type", fmt.Sprintf("type %s is not supported", match.Type), "write Exact, PathPrefix or RegularExpression")
		return anything
	}
	return match
}

// value adds a condition on a header field or query parameter; of several on one name the first counts (Gateway API,
// HTTPHeaderMatch.name).
func (b *builder) value(list []plan.ValueMatch, field, name, kind, value string, same func(x, y string) bool) []plan.ValueMatch {
	if slices.ContainsFunc(list, func(m plan.ValueMatch) bool { return same(m.Name, name) }) {
		return list
	}
	switch plan.MatchType(kind) {
	case plan.Exact:
	case plan.RegularExpression:
		if !b.compiles(field+".value", value) {
			return list
		}
	default:
		b.refuse(field+".type", fmt.Sprintf("type %s is not supported", kind), "write Exact or RegularExpression")
		return list
	}
	return append(list, plan.ValueMatch{Name: name, Type: plan.MatchType(kind), Value: value})
}

func (b *builder) compiles(field, expression string) bool {
	err := compile(expression)
	if err != nil {
		b.refuse(field, "not a regular expression: "+err.Error(), "write it in RE2 syntax")
	}
	return err == nil
}

// compile compiles an expression as proxies do: as it is, and for a whole value, which may nest too deeply where it alone does not.
func compile(expression string) error {
	if _, err := regexp.Compile(expression); err != nil {
		return err
	}
	_, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	return err
}
