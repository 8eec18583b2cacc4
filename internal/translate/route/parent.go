package route

import (
	"fmt"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Parent is a parentRef that is ours to judge.
type Parent struct {
	Ref        gwapiv1.ParentReference
	Field      string
	Attachment attach.Attachment
	Problems   []problem.Problem
}

// Attached is a route with what each parentRef comes to by itself, before routes of the two kinds are held against each
// other.
type Attached struct {
	Route   *attach.Route
	Parents []Parent
}

// Attach judges the parentRefs of a route. A Gateway of another controller's is none of ours; one that does not exist is
// the user's slip standalone, and on Kubernetes perhaps another controller's. A route that could not be read attaches to none:
// nobody knows which requests are its.
func Attach(r *derive.Reader, in *attach.Inputs, gateways *derive.Collection[*attach.Gateway], key string, route *attach.Route) map[string]*Attached {
	a := &Attached{Route: route}
	illegible := in.Illegible(r, key)
	for i, ref := range route.Common.ParentRefs {
		if attach.Or(ref.Group, gwapiv1.GroupName) != gwapiv1.GroupName || attach.Or(ref.Kind, "Gateway") != "Gateway" {
			continue
		}
		name := attach.Or(ref.Namespace, route.GetNamespace()) + "/" + string(ref.Name)
		problems := attach.Problems{Object: key}
		p := Parent{Ref: ref, Field: fmt.Sprintf("spec.parentRefs[%d]", i)}
		if g, ours := derive.Get(r, gateways, name); ours && illegible != "" {
			problems.Add(attach.Accepted, string(gwapiv1.RouteReasonUnsupportedValue), "spec", illegible, attach.Mend)
		} else if ours {
			p.Attachment = in.Parent(r, &problems, p.Field, route, ref, g)
		} else if _, foreign := derive.Get(r, in.Gateways.Collection, "Gateway/"+name); foreign || in.Kubernetes {
			continue
		} else {
			problems.Add(attach.Accepted, string(gwapiv1.RouteReasonNoMatchingParent), p.Field, fmt.Sprintf("Gateway %s does not exist", name),
				"name a Gateway that exists; one of another namespace needs parentRefs.namespace")
		}
		p.Problems = problems.List
		a.Parents = append(a.Parents, p)
	}
	return map[string]*Attached{key: a}
}

// settle takes from the parentRefs what routes of the other kind hold.
func settle(r *derive.Reader, losses *derive.Collection[*Loss], key string, parents []Parent) []Parent {
	settled := make([]Parent, len(parents))
	for i, p := range parents {
		if len(p.Attachment.Listeners) > 0 {
			if loss, lost := derive.Get(r, losses, lossName(key, p.Field)); lost {
				problems := attach.Problems{Object: key}
				problems.Add(attach.Accepted, "HostnameConflict", p.Field,
					fmt.Sprintf("%s precedes it (%s) and has hostnames in common with it on listener %s of Gateway %s, and no two kinds of routes share a hostname there",
						attach.Words(loss.Winner), loss.Why, loss.Listener, p.Attachment.Gateway),
					"write other hostnames, or name a listener of its own by sectionName")
				p.Problems = append(p.Problems[:len(p.Problems):len(p.Problems)], problems.List...)
				p.Attachment = attach.Attachment{Gateway: p.Attachment.Gateway}
			}
		}
		settled[i] = p
	}
	return settled
}

// connect gives the rules their parents, and notes what the route uses.
func (t *Translated) connect(backends []string) {
	var parents []plan.Parent
	accepted := len(attach.About(attach.Accepted, t.Problems)) == 0
	for _, p := range t.Parents {
		parents = add(parents, p.Attachment.Planned...)
		for _, l := range p.Attachment.Listeners {
			if accepted {
				t.Use.Listeners = add(t.Use.Listeners, l.Gateway+"#"+l.Listener)
			}
			t.Use.Gateways = add(t.Use.Gateways, l.Gateway)
		}
	}
	if len(t.Use.Gateways) > 0 {
		t.Use.Backends = backends
	}
	if len(parents) == 0 {
		t.Rules = nil
	}
	for _, rule := range t.Rules {
		rule.Parents = parents
	}
}
