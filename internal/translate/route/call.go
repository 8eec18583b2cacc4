package route

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// The ranks of conditions on a call's path that are expressions. All of them come after those that name a service
// exactly, whose paths are exact or prefixes: GRPCRouteRule.matches counts the characters of the service first, then
// those of the method. An expression counts for less than any exact text, and all expressions for the same.
const (
	rankServiceAndMethod = -1 - iota // expressions both
	rankService                      // an expression, any method
	rankExactMethod                  // of any service
	rankMethod                       // an expression, of any service
)

// post is the method of every call.
const post = string(gwapiv1.HTTPMethodPost)

// oneSegment matches a service or method, whatever it is.
const oneSegment = "[^/]+"

// calls are the conditions of a GRPCRoute's rule: a call is a POST to /service/method (gRPC over HTTP2, Requests).
func (b *builder) calls(field string, spec []gwapiv1.GRPCRouteMatch) []plan.Match {
	if len(spec) == 0 {
		return []plan.Match{{Path: anything, Method: post}}
	}
	list := make([]plan.Match, 0, len(spec))
	for i, m := range spec {
		field := fmt.Sprintf("%s.matches[%d]", field, i)
		match := plan.Match{Method: post}
		match.Path, match.Rank = b.call(field+".method", m.Method)
		for j, h := range m.Headers {
			match.Headers = b.value(match.Headers, fmt.Sprintf("%s.headers[%d]", field, j), string(h.Name), attach.Or(h.Type, string(plan.Exact)), h.Value, exchange.EqualFold)
		}
		list = append(list, match)
	}
	return list
}

// call is the path of the calls that a condition on service and method holds for, and its rank among expressions.
func (b *builder) call(field string, spec *gwapiv1.GRPCMethodMatch) (plan.ValueMatch, int) {
	if spec == nil {
		return anything, 0
	}
	service, method := attach.Or(spec.Service, ""), attach.Or(spec.Method, "")
	kind := plan.MatchType(attach.Or(spec.Type, string(plan.Exact)))
	switch {
	case service == "" && method == "":
		return anything, 0
	case kind == plan.RegularExpression:
		return b.callExpression(field, service, method)
	case kind != plan.Exact:
		b.refuse(field+".type", fmt.Sprintf("type %s is not supported", kind), "write Exact or RegularExpression")
		return anything, 0
	case method == "":
		return plan.ValueMatch{Type: plan.PathPrefix, Value: "/" + service}, 0
	case service == "":
		return plan.ValueMatch{Type: plan.RegularExpression, Value: "/" + oneSegment + "/" + regexp.QuoteMeta(method)}, rankExactMethod
	}
	return plan.ValueMatch{Type: plan.Exact, Value: "/" + service + "/" + method}, 0
}

func (b *builder) callExpression(field, service, method string) (plan.ValueMatch, int) {
	serviceText, ok := b.segment(field+".service", service)
	methodText, alsoOK := b.segment(field+".method", method)
	if !ok || !alsoOK {
		return anything, 0
	}
	path := "/" + serviceText + "/" + methodText
	if !b.compiles(field, path) { // two that are fine may be too large together
		return anything, 0
	}
	rank := rankServiceAndMethod
	switch {
	case method == "":
		rank = rankService
	case service == "":
		rank = rankMethod
	}
	return plan.ValueMatch{Type: plan.RegularExpression, Value: path}, rank
}

// segment is an expression for a whole segment of a path, from one for a whole service or method.
func (b *builder) segment(field, expression string) (string, bool) {
	if expression == "" {
		return oneSegment, true
	}
	if !b.compiles(field, expression) {
		return "", false
	}
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return expression, false // it compiled, so it parses
	}
	return "(?:" + unanchored(parsed).String() + ")", true
}

// unanchored takes the anchors off the ends of every alternative. They say nothing where the whole value must match, and
// within a path they would never hold.
func unanchored(e *syntax.Regexp) *syntax.Regexp {
	switch e.Op {
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case syntax.OpAlternate:
		for i, alternative := range e.Sub {
			e.Sub[i] = unanchored(alternative)
		}
	case syntax.OpCapture:
		e.Sub[0] = unanchored(e.Sub[0])
	case syntax.OpConcat:
		last := len(e.Sub) - 1
		switch e.Sub[0].Op {
		case syntax.OpBeginText, syntax.OpBeginLine:
			e.Sub[0] = unanchored(e.Sub[0])
		}
		switch e.Sub[last].Op {
		case syntax.OpEndText, syntax.OpEndLine:
			e.Sub[last] = unanchored(e.Sub[last])
		}
	}
	return e
}
