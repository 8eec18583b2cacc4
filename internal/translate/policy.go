package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// policyResult is a policy of any kind.
type policyResult struct {
	key      string
	policy   attach.Policy
	plan     *plan.Policy // nil where it is attached to nothing
	targets  []*attach.Target
	problems []problem.Problem // of the policy as a whole; a target's are the target's
	needs    []string          // Secrets it names
	backends []string          // destinations it names
}

// derivePolicies translates the policies of all kinds.
func (g *graph) derivePolicies() {
	g.policyResults = derive.Derive(g.Graph, "policies", g.in.Policies.Collection, func(r *derive.Reader, key string, p attach.Policy) map[string]*policyResult {
		return map[string]*policyResult{key: g.translatePolicy(r, key, p)}
	})
	g.policiesByBackend = derive.NewIndex(g.policyResults, func(_ string, p *policyResult) []string { return p.backends })
	g.holders = derive.NewIndex(g.policyResults, func(_ string, p *policyResult) []string {
		var objects []string
		for _, t := range p.targets {
			if t.Attached() && !slices.Contains(objects, t.Object) {
				objects = append(objects, t.Object)
			}
		}
		return objects
	})
	g.winners = derive.NewIndex(g.policyResults, func(_ string, p *policyResult) []string {
		var objects []string
		for _, t := range p.targets {
			if t.Winning() && !slices.Contains(objects, t.Object) {
				objects = append(objects, t.Object)
			}
		}
		return objects
	})
	planned := derive.Derive(g.Graph, "plan policies", g.policyResults, func(_ *derive.Reader, key string, p *policyResult) map[string]*plan.Policy {
		if p.plan == nil {
			return nil
		}
		return map[string]*plan.Policy{key: p.plan}
	})
	g.policies = derive.NewOrdered(keep[*plan.Policy], planned)
}

func (g *graph) translatePolicy(r *derive.Reader, key string, p attach.Policy) *policyResult {
	result := &policyResult{key: key, policy: p, targets: g.in.Targets(r, g.views, key, p)}
	refs := &references{r: r, g: g, in: g.in, targets: result.targets, problems: attach.Problems{Object: key},
		from: attach.Party{Group: cmp.Or(p.Kind.Group, attach.Group), Kind: p.Kind.Name, Namespace: p.Object.GetNamespace(), Name: p.Object.GetName()}}
	planned := &plan.Policy{
		Name: key, Kind: p.Kind.Name, Created: p.Object.GetCreationTimestamp().Time,
		Report: p.Kind.Enforce != nil && !p.Kind.Enforce(p.Object),
	}
	if p.Unread == "" {
		planned.Config = p.Kind.Translate(refs, p.Object)
	} else {
		planned.Config = p.Kind.Config()
		refs.Invalid("spec", p.Unread, attach.Mend)
	}
	for _, t := range result.targets {
		if t.Attached() {
			planned.Targets = append(planned.Targets, t.Plan)
		}
	}
	if blocking := refs.blocking(p.Kind.Partial); len(blocking) > 0 {
		first := blocking[0]
		planned.Fault = &plan.Fault{Reason: first.Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(key), first.Field, first.Message)}
	} else {
		g.effect(r, p, planned.Config, result.targets)
	}
	result.problems = refs.problems.List
	if len(planned.Targets) > 0 {
		result.plan, result.needs, result.backends = planned, refs.needs, refs.backends
	}
	return result
}

// effect warns where an accepted policy can have no effect on a target.
func (g *graph) effect(r *derive.Reader, p attach.Policy, config any, targets []*attach.Target) {
	if p.Kind.Effective == nil {
		return
	}
	for _, t := range targets {
		if !t.Winning() {
			continue
		}
		var destination *plan.Backend
		if t.Plan.Kind == plan.TargetBackend || t.Plan.Kind == plan.TargetPort {
			destination = g.planned(r, t.Plan.Name)
		}
		if why := p.Kind.Effective(config, destination); why != "" {
			t.List.Warn(attach.Effective, attach.NoEffect, t.Field, why, "")
		}
	}
}

// idle warns of the destinations that a policy of a Gateway has no effect on, of those that its routes reach.
func (g *graph) idle(r *derive.Reader, p *policyResult, t *attach.Target, gateways []string) *problem.Problem {
	if p.policy.Kind.Idle == nil || p.plan == nil || p.plan.Fault != nil || !t.Winning() {
		return nil
	}
	var names []string
	why := ""
	for _, gateway := range gateways {
		uses := derive.Select(r, g.usesByGateway, gateway)
		if t.Plan.Kind == plan.TargetListener {
			uses = derive.Select(r, g.usesByListener, t.Plan.Name)
		}
		for _, use := range uses {
			for _, name := range use.Backends {
				if strings.HasPrefix(name, "Service/") && !strings.Contains(name, ":") { // it is there with its port too
					continue
				}
				if text := p.policy.Kind.Idle(p.plan.Config, g.configs(r, name)); text != "" && !slices.Contains(names, attach.Words(name)) {
					names, why = append(names, attach.Words(name)), text
				}
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	list := attach.Problems{Object: p.key}
	list.Warn(attach.Effective, attach.NoEffect, t.Field, "has no effect on "+some(names)+": "+why, "")
	return &list.List[0]
}

// some are the first of many names.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// configs are those of the policies on a destination. A Service's stand for each of its ports.
func (g *graph) configs(r *derive.Reader, backend string) (list []any) {
	object, _, _ := strings.Cut(backend, ":")
	for _, p := range derive.Select(r, g.holders, object) {
		if p.plan != nil {
			list = append(list, p.plan.Config)
		}
	}
	return list
}

// concerned are the Gateways that a target concerns, as namespace/name.
func (g *graph) concerned(r *derive.Reader, t *attach.Target) []string {
	switch t.Plan.Kind {
	case plan.TargetClass:
		var gateways []string
		for _, v := range derive.Select(r, g.viewsByClass, t.Plan.Name) {
			gateways = append(gateways, v.Name)
		}
		return gateways
	case plan.TargetGateway, plan.TargetListener:
		return []string{attach.GatewayOf(t.Plan.Name)}
	case plan.TargetRoute, plan.TargetRule:
		if use, ok := derive.Get(r, g.uses, t.Object); ok {
			return use.Gateways
		}
	case plan.TargetBackend, plan.TargetPort:
		return g.reaching(r, t.Plan.Name)
	}
	return nil
}

// judge is the verdict on a policy: an entry for each Gateway that it concerns. A target that concerns none, because it
// does not exist or no route leads there, is its own entry: nothing that is wrong stays unsaid.
func (p *policyResult) judge(g *graph, r *derive.Reader, key string) *attach.Verdict {
	type entry struct {
		gwapiv1.PolicyAncestorStatus
		problems []problem.Problem
	}
	v := &attach.Verdict{Problems: slices.Clone(p.problems)}
	var entries []*entry
	byGateway := map[string]*entry{}
	for _, t := range p.targets {
		v.Problems = append(v.Problems, t.List.List...)
		gateways, own := g.concerned(r, t), t.List.List
		if idle := g.idle(r, p, t, gateways); idle != nil {
			own = append(slices.Clone(own), *idle)
			v.Problems = append(v.Problems, *idle)
		}
		if len(gateways) == 0 {
			namespace := p.policy.Object.GetNamespace()
			if t.Plan.Kind == plan.TargetClass || t.Ref.Kind == "GatewayClass" {
				namespace = ""
			}
			entries = append(entries, &entry{attach.Ancestor(string(t.Ref.Group), string(t.Ref.Kind), namespace, string(t.Ref.Name), nil), own})
			continue
		}
		for _, gateway := range gateways {
			if byGateway[gateway] == nil {
				byGateway[gateway] = &entry{attach.GatewayAncestor(gateway, nil), nil}
				entries = append(entries, byGateway[gateway])
			}
			byGateway[gateway].problems = append(byGateway[gateway].problems, own...)
		}
		if p.plan != nil && !attach.Served(p.problems) {
			v.Degrades = append(v.Degrades, gateways...)
		}
	}
	slices.Sort(v.Degrades)
	v.Degrades = slices.Compact(v.Degrades)
	var ours []gwapiv1.PolicyAncestorStatus
	for _, e := range entries {
		e.Conditions = p.conditions(e.problems)
		ours = append(ours, e.PolicyAncestorStatus)
	}
	v.Status = &attach.Status{Object: key, Ancestors: attach.Ancestors(p.policy.Object.PolicyStatus().Ancestors, ours)}
	return v
}

// conditions are those of one entry.
func (p *policyResult) conditions(own []problem.Problem) []metav1.Condition {
	c := attach.Conditions{Generation: p.policy.Object.GetGeneration()}
	c.Judge(attach.Accepted, string(gwapiv1.PolicyReasonAccepted), own, p.problems)
	c.Judge(attach.ResolvedRefs, string(gwapiv1.RouteReasonResolvedRefs), p.problems)
	if len(attach.About(attach.Effective, own, p.problems)) > 0 {
		c.Judge(attach.Effective, "", own, p.problems)
	}
	return c.List
}
