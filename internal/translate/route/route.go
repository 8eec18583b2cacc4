// Package route translates HTTPRoutes and GRPCRoutes: each rule becomes a rule of the plan, attached to the listeners that
// the route's parentRefs allow. What it cannot serve as written it keeps in the plan with a fault, so that no other route
// takes the traffic. It knows nothing of policies. translate calls it.
package route

import (
	"slices"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Translated is a route.
type Translated struct {
	Route    *attach.Route
	Rules    []*plan.Rule
	Parents  []Parent
	Problems []problem.Problem // of the route itself; a parent's are the parent's
	Use      Use
}

// Use is what others need to know of a route: where it is attached, and what it uses.
type Use struct {
	Gateways  []string // namespace/name; attached, were it served or not
	Listeners []string // namespace/gateway#listener; counted as attached routes
	Backends  []string // plan names; of a Service both with its port and without
}

// ByBackend finds uses by the backends.
func ByBackend(_ string, u *Use) []string { return u.Backends }

// UsesByGateway finds uses by the Gateways.
func UsesByGateway(_ string, u *Use) []string { return u.Gateways }

// ByListener finds uses by the listeners.
func ByListener(_ string, u *Use) []string { return u.Listeners }

// Translate makes the rules of a route.
func Translate(r *derive.Reader, in *attach.Inputs, losses *derive.Collection[*Loss], key string, a *Attached) map[string]*Translated {
	t := &Translated{Route: a.Route, Parents: settle(r, losses, key, a.Parents)}
	b := &builder{r: r, in: in, route: a.Route, problems: attach.Problems{Object: key}}
	if len(t.Parents) == 0 && (in.Kubernetes || len(a.Route.Common.ParentRefs) > 0) {
		return map[string]*Translated{key: t} // another controller's, or nobody's
	}
	if scope := a.Route.Common.UseDefaultGateways; scope != "" && scope != gwapiv1.GatewayDefaultScopeNone && !in.Kubernetes {
		b.unbuilt("spec.useDefaultGateways") // on Kubernetes it speaks of other controllers' Gateways, for no default one is ours
	}
	if len(t.Parents) == 0 {
		b.problems.Warn("", "NoParent", "spec.parentRefs", "the route names no Gateway, and nothing serves it", "name one")
		t.Problems = b.problems.List
		return map[string]*Translated{key: t}
	}
	for i := range a.Route.Rules {
		t.Rules = append(t.Rules, b.rule(key, i))
	}
	b.sessionNames()
	t.Problems = b.problems.List
	t.fault(key)
	t.connect(b.backends)
	slices.Sort(t.Use.Gateways)
	return map[string]*Translated{key: t}
}

// Rules are the plan's rules of a route.
func Rules(t *Translated) map[string]*plan.Rule {
	rules := make(map[string]*plan.Rule, len(t.Rules))
	for _, rule := range t.Rules {
		rules[rule.Name] = rule
	}
	return rules
}

// Judge is the verdict on a route that has policies on it.
func Judge(key string, t *Translated, policies []string) *attach.Verdict {
	v := &attach.Verdict{Problems: slices.Clone(t.Problems), Status: &attach.Status{Object: key}}
	for _, entry := range t.Route.Parents {
		if entry.ControllerName != attach.Controller {
			v.Status.Parents = append(v.Status.Parents, entry)
		}
	}
	for _, p := range t.Parents {
		conditions := attach.Conditions{Generation: t.Route.GetGeneration()}
		conditions.Judge(attach.Accepted, string(gwapiv1.RouteReasonAccepted), p.Problems, t.Problems)
		conditions.Judge(attach.ResolvedRefs, string(gwapiv1.RouteReasonResolvedRefs), t.Problems)
		partial(&conditions, t)
		limits(&conditions, t)
		conditions.Affected(policies)
		v.Status.Parents = append(v.Status.Parents, gwapiv1.RouteParentStatus{ParentRef: p.Ref, ControllerName: attach.Controller, Conditions: conditions.List})
		v.Problems = append(v.Problems, p.Problems...)
	}
	if !attach.Served(t.Problems) {
		v.Degrades = t.Use.Gateways
	}
	return v
}
