package distribute

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// Part is what one Gateway needs of a plan: itself, the rules attached to it, the backends that these may use with their
// parents, the policies that are on any of these, and the Secrets that all of them name. A reference that has a fault leads
// nowhere. Of each kind the resources are sorted by name. A Gateway that the plan has not needs nothing.
func Part(p *plan.Plan, gateway string) *plan.Plan { return index(p).part(gateway) }

// indexed is a plan with what finds its resources.
type indexed struct {
	gateways map[string]*plan.Gateway
	rules    map[string][]*plan.Rule // by Gateway
	backends map[string]*plan.Backend
	policies map[plan.Target][]*plan.Policy
	secrets  map[string]*plan.Secret
}

func index(p *plan.Plan) *indexed {
	ix := &indexed{
		map[string]*plan.Gateway{}, map[string][]*plan.Rule{}, map[string]*plan.Backend{}, map[plan.Target][]*plan.Policy{}, map[string]*plan.Secret{},
	}
	for _, g := range p.Gateways {
		ix.gateways[g.Name] = g
	}
	for _, r := range p.Rules {
		of := map[string]bool{}
		for _, parent := range r.Parents {
			if !of[parent.Gateway] {
				of[parent.Gateway] = true
				ix.rules[parent.Gateway] = append(ix.rules[parent.Gateway], r)
			}
		}
	}
	for _, b := range p.Backends {
		ix.backends[b.Name] = b
	}
	for _, policy := range p.Policies {
		for _, t := range policy.Targets {
			t.Conflicted = false
			ix.policies[t] = append(ix.policies[t], policy)
		}
	}
	for _, s := range p.Secrets {
		ix.secrets[s.Name] = s
	}
	return ix
}

// gathering is a Part in the making.
type gathering struct {
	*indexed
	backends map[string]*plan.Backend
	policies map[string]*plan.Policy
	secrets  map[string]*plan.Secret
	parents  []string // backends that a policy leads to; theirs lead no further, as there is one parent on a way
}

func (ix *indexed) part(name string) *plan.Plan {
	g := ix.gateways[name]
	if g == nil {
		return &plan.Plan{}
	}
	in := &gathering{indexed: ix, backends: map[string]*plan.Backend{}, policies: map[string]*plan.Policy{}, secrets: map[string]*plan.Secret{}}
	in.gateway(g)
	attached := ix.rules[name]
	for _, r := range attached {
		in.rule(r)
	}
	parents := in.parents
	for _, name := range parents {
		in.backend(name)
	}
	return &plan.Plan{
		Gateways: []*plan.Gateway{g},
		Rules:    slices.SortedFunc(slices.Values(attached), func(a, b *plan.Rule) int { return cmp.Compare(a.Name, b.Name) }),
		Backends: sorted(in.backends), Policies: sorted(in.policies), Secrets: sorted(in.secrets),
	}
}

func sorted[R any](by map[string]R) []R {
	list := make([]R, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, by[name])
	}
	return list
}

func (in *gathering) gateway(g *plan.Gateway) {
	in.on(plan.TargetClass, g.Class)
	in.on(plan.TargetGateway, g.Name)
	in.secret(g.ClientCertificate)
	for _, source := range g.SPIFFE {
		in.secret(source.Bundle)
	}
	for _, l := range g.Listeners {
		in.on(plan.TargetListener, g.Name+"#"+l.Name)
		in.secret(l.Certificates...)
		if l.Clients != nil {
			in.secret(l.Clients.Roots...)
		}
	}
}

func (in *gathering) rule(r *plan.Rule) {
	in.on(plan.TargetRoute, r.Route)
	in.on(plan.TargetRule, r.Name)
	in.mirrors(r.Filters)
	for _, b := range r.Backends {
		if b.Fault == nil {
			in.backend(b.Backend)
		}
		in.mirrors(b.Filters)
	}
}

func (in *gathering) mirrors(filters []plan.Filter) {
	for _, f := range filters {
		if f.Mirror != nil && f.Mirror.Fault == nil {
			in.backend(f.Mirror.Backend)
		}
	}
}

func (in *gathering) backend(name string) {
	b := in.indexed.backends[name]
	if b == nil || in.backends[name] != nil {
		return
	}
	in.backends[name] = b
	if b.Fault == nil && b.TLS != nil {
		in.secret(b.TLS.Roots...)
		in.secret(b.TLS.ClientCertificate)
	}
	whole, _, port := strings.Cut(name, ":")
	if in.on(plan.TargetBackend, whole); port {
		in.on(plan.TargetPort, name)
	}
}

// on takes the policies of a target.
func (in *gathering) on(target plan.TargetKind, name string) {
	for _, p := range in.indexed.policies[plan.Target{Kind: target, Name: name}] {
		if in.policies[p.Name] != nil {
			continue
		}
		in.policies[p.Name] = p
		if p.Fault == nil {
			named := names{}
			named.read(reflect.ValueOf(p.Config), "")
			in.secret(named["secret"]...)
			in.parents = append(in.parents, named["backend"]...)
		}
	}
}

func (in *gathering) secret(list ...string) {
	for _, name := range list {
		if s := in.indexed.secrets[name]; s != nil {
			in.secrets[name] = s
		}
	}
}

// names are those that a config holds in fields with the tag `plan`, by the tag.
type names map[string][]string

func (n names) read(v reflect.Value, tag string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			n.read(v.Elem(), tag)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				n.read(v.Field(i), f.Tag.Get("plan"))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			n.read(v.Index(i), tag)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			n.read(v.MapIndex(key), tag)
		}
	case reflect.String:
		if tag != "" {
			n[tag] = append(n[tag], v.String())
		}
	}
}
