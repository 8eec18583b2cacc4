package translate

import (
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
	"github.com/ebbgate/ebbgate/internal/translate/backend"
	"github.com/ebbgate/ebbgate/internal/translate/gateway"
	"github.com/ebbgate/ebbgate/internal/translate/route"
)

// verdicts maps a verdict's object to it.
func verdicts(key string, v *attach.Verdict) map[string]*attach.Verdict {
	if v == nil {
		return nil
	}
	return map[string]*attach.Verdict{key: v}
}

// deriveVerdicts judges every object once everything that its status tells of is translated. Gateways come last: they
// tell whether anything on them is broken.
func (g *graph) deriveVerdicts(stamp stamp) {
	policies := derive.Derive(g.Graph, "policy statuses", g.policyResults, func(r *derive.Reader, key string, p *policyResult) map[string]*attach.Verdict {
		return verdicts(key, p.judge(g, r, key))
	})
	routes := derive.Derive(g.Graph, "route statuses", g.routes, func(r *derive.Reader, key string, t *route.Translated) map[string]*attach.Verdict {
		return verdicts(key, route.Judge(key, t, g.affecting(r, key)))
	})
	judge := func(r *derive.Reader, key string, t *backend.Translated) map[string]*attach.Verdict {
		return verdicts(key, backend.Judge(r, g.in, t, g.reaching(r, key), g.affecting(r, key)))
	}
	backends := derive.Derive(g.Graph, "backend statuses", g.destinations, judge)
	standard := derive.Derive(g.Graph, "xbackend statuses", g.standard, judge)
	services := derive.Derive(g.Graph, "service problems", g.services, func(_ *derive.Reader, key string, p *backend.Ports) map[string]*attach.Verdict {
		return verdicts(key, p.Verdict)
	})
	classes := derive.Derive(g.Graph, "class statuses", g.in.Classes.Collection, func(r *derive.Reader, key string, class *gwapiv1.GatewayClass) map[string]*attach.Verdict {
		return verdicts(key, gateway.JudgeClass(r, g.in, key, class, g.affecting(r, key)))
	})
	others := derive.Derive(g.Graph, "others", g.in.Others.Collection, func(_ *derive.Reader, key string, _ source.Object) map[string]*attach.Verdict {
		return verdicts(key, unbuilt(key))
	})
	classesByParameters := derive.NewIndex(g.in.Classes.Collection, gateway.ClassByParameters)
	byParameters := derive.NewIndex(g.checked, gateway.ByParameters)
	parameters := derive.Derive(g.Graph, "parameters statuses", g.in.Parameters.Collection, func(r *derive.Reader, key string, p *v1alpha1.GatewayParameters) map[string]*attach.Verdict {
		var gateways, classes []string
		for _, class := range derive.Select(r, classesByParameters, key) {
			classes = append(classes, class.Name)
		}
		for _, c := range derive.Select(r, byParameters, key) {
			gateways = append(gateways, c.Name)
		}
		return verdicts(key, gateway.JudgeParameters(r, g.in, key, p, gateways, classes))
	})
	broken := []*derive.Index[*attach.Verdict]{
		derive.NewIndex(routes, attach.Broken), derive.NewIndex(backends, attach.Broken), derive.NewIndex(standard, attach.Broken), derive.NewIndex(policies, attach.Broken),
	}
	gateways := derive.Derive(g.Graph, "gateway statuses", g.checked, func(r *derive.Reader, key string, c *gateway.Checked) map[string]*attach.Verdict {
		b, ours := derive.Get(r, g.bound, key)
		if !ours {
			return verdicts(key, gateway.Warned(c))
		}
		s := gateway.Surroundings{
			Policies: g.affecting(r, key),
			Routes:   func(listener string) int { return derive.Count(r, g.usesByListener, c.Name+"#"+listener) },
		}
		if g.in.Kubernetes {
			if s.Fleet, _ = derive.Get(r, g.in.Fleets.Collection, key); s.Fleet == nil {
				s.Fleet = &attach.Fleet{Message: "nothing runs of it yet"}
			}
		}
		for _, index := range broken {
			for _, v := range derive.Select(r, index, c.Name) {
				s.Broken = append(s.Broken, v.Status.Object)
			}
		}
		return verdicts(key, gateway.Judge(key, b, s))
	})
	g.verdicts = derive.NewOrdered(stamp, policies, routes, backends, standard, services, classes, parameters, gateways, others)
}

// UnsupportedKind is the reason of the problem of an object of a kind that this version does not read.
const UnsupportedKind = "UnsupportedKind"

// unbuilt says of an object that nothing here reads it: whoever wrote it relies on it.
func unbuilt(key string) *attach.Verdict {
	kind, _, _ := strings.Cut(key, "/")
	problems := attach.Problems{Object: key}
	problems.Add("", UnsupportedKind, "kind", kind+" is not supported in this version and has no effect", "remove the object")
	return &attach.Verdict{Problems: problems.List}
}

// affecting are the policies that hold an object, or a section of it, as their target.
func (g *graph) affecting(r *derive.Reader, key string) []string {
	var names []string
	for _, p := range derive.Select(r, g.winners, key) {
		names = append(names, p.key)
	}
	return slices.Compact(names)
}
