// Package route translates HTTPRoutes: each rule becomes a rule of the plan, attached to the listeners that the route's
// parentRefs allow. What it cannot serve as written it keeps in the plan with a fault, so that no other route takes the
// traffic. It knows nothing of policies. translate calls it.
package route

import (
	"fmt"
	"slices"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Translated is a route.
type Translated struct {
	Route    *gwapiv1.HTTPRoute
	Rules    []*plan.Rule
	Parents  []Parent
	Problems []problem.Problem // of the route itself; a parent's are the parent's
	Use      Use
}

// Parent is a parentRef that is ours to judge.
type Parent struct {
	Ref        gwapiv1.ParentReference
	Attachment attach.Attachment
	Problems   []problem.Problem
}

// Use is what others need to know of a route: where it is attached, and what it uses.
type Use struct {
	Gateways  []string // namespace/name; attached, were it served or not
	Listeners []string // namespace/gateway#listener; counted as attached routes
	Backends  []string // plan names; of a Service both with its port and without
}

// ByBackend finds uses by the backends.
func ByBackend(_ string, u *Use) []string { return u.Backends }

// ByListener finds uses by the listeners.
func ByListener(_ string, u *Use) []string { return u.Listeners }

// Translate makes the rules of a route.
func Translate(r *derive.Reader, in *attach.Inputs, gateways *derive.Collection[*attach.Gateway], key string, route *gwapiv1.HTTPRoute) map[string]*Translated {
	t := &Translated{Route: route}
	t.attach(r, in, gateways, key)
	if len(t.Parents) == 0 { // another controller's, or nobody's
		t.orphan(in, key)
		return map[string]*Translated{key: t}
	}
	b := &builder{r: r, in: in, route: route, problems: attach.Problems{Object: key}}
	for i := range route.Spec.Rules {
		t.Rules = append(t.Rules, b.rule(key, i))
	}
	t.Problems = b.problems.List
	if refused := attach.About(attach.Accepted, t.Problems); len(refused) > 0 {
		fault := &plan.Fault{Reason: refused[0].Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(key), refused[0].Field, refused[0].Message)}
		for _, rule := range t.Rules {
			rule.Fault = fault
		}
	}
	t.connect(b.backends)
	return map[string]*Translated{key: t}
}

// attach judges the parentRefs. A Gateway of another controller's is none of ours; one that does not exist is the
// user's slip standalone, and on Kubernetes perhaps another controller's.
func (t *Translated) attach(r *derive.Reader, in *attach.Inputs, gateways *derive.Collection[*attach.Gateway], key string) {
	for i, ref := range t.Route.Spec.ParentRefs {
		if attach.Or(ref.Group, gwapiv1.GroupName) != gwapiv1.GroupName || attach.Or(ref.Kind, "Gateway") != "Gateway" {
			continue
		}
		name := attach.Or(ref.Namespace, t.Route.Namespace) + "/" + string(ref.Name)
		problems := attach.Problems{Object: key}
		field := fmt.Sprintf("spec.parentRefs[%d]", i)
		p := Parent{Ref: ref}
		if g, ours := derive.Get(r, gateways, name); ours {
			p.Attachment = in.Parent(r, &problems, field, t.Route, ref, g)
		} else if _, foreign := derive.Get(r, in.Gateways.Collection, "Gateway/"+name); foreign || in.Kubernetes {
			continue
		} else {
			problems.Add(attach.Accepted, string(gwapiv1.RouteReasonNoMatchingParent), field, fmt.Sprintf("Gateway %s does not exist", name),
				"name a Gateway that exists; one of another namespace needs parentRefs.namespace")
		}
		p.Problems = problems.List
		t.Parents = append(t.Parents, p)
	}
}

// orphan warns of a route that nobody serves. On Kubernetes routes without Gateways are others' business.
func (t *Translated) orphan(in *attach.Inputs, key string) {
	if in.Kubernetes || len(t.Route.Spec.ParentRefs) > 0 {
		return
	}
	problems := attach.Problems{Object: key}
	problems.Warn("", "NoParent", "spec.parentRefs", "the route names no Gateway, and nothing serves it", "name one")
	t.Problems = problems.List
}

// connect gives the rules their parents, and notes what the route uses.
func (t *Translated) connect(backends []string) {
	var parents []plan.Parent
	accepted := len(attach.About(attach.Accepted, t.Problems)) == 0
	for _, p := range t.Parents {
		for _, parent := range p.Attachment.Planned {
			if !slices.Contains(parents, parent) {
				parents = append(parents, parent)
			}
		}
		for _, l := range p.Attachment.Listeners {
			if name := l.Gateway + "#" + l.Listener; accepted && !slices.Contains(t.Use.Listeners, name) {
				t.Use.Listeners = append(t.Use.Listeners, name)
			}
			if !slices.Contains(t.Use.Gateways, l.Gateway) {
				t.Use.Gateways = append(t.Use.Gateways, l.Gateway)
			}
		}
	}
	if len(t.Use.Gateways) > 0 {
		t.Use.Backends = backends
	}
	slices.Sort(t.Use.Gateways)
	if len(parents) == 0 {
		t.Rules = nil
	}
	for _, rule := range t.Rules {
		rule.Parents = parents
	}
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
	for _, entry := range t.Route.Status.Parents {
		if entry.ControllerName != attach.Controller {
			v.Status.Parents = append(v.Status.Parents, entry)
		}
	}
	for _, p := range t.Parents {
		conditions := attach.Conditions{Generation: t.Route.Generation}
		conditions.Judge(attach.Accepted, string(gwapiv1.RouteReasonAccepted), p.Problems, t.Problems)
		conditions.Judge(attach.ResolvedRefs, string(gwapiv1.RouteReasonResolvedRefs), t.Problems)
		conditions.Affected(policies)
		v.Status.Parents = append(v.Status.Parents, gwapiv1.RouteParentStatus{ParentRef: p.Ref, ControllerName: attach.Controller, Conditions: conditions.List})
		v.Problems = append(v.Problems, p.Problems...)
	}
	if !attach.Served(t.Problems) {
		v.Degrades = t.Use.Gateways
	}
	return v
}
