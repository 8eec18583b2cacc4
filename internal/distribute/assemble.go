package distribute

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// maxHeld bounds how many resources a generation may comprise.
const maxHeld = 1 << 20

// entry is a resource as the proxy holds it.
type entry struct {
	version string // what was sent last
	good    any    // the newest content that could be read; nil where none could
	closed  any    // without a good one: what fails closed in its place; may be nil
	err     error  // the version sent last cannot be read
	open    bool   // and that may leave something unprotected: no generation with it is taken

	// unread are a policy's targets that the version which cannot be read has and the good one has not: they fail closed.
	unread []plan.Target
}

// holding is what a proxy holds: the generation in force, and what has come of the next.
type holding struct {
	configs func(kind string) any
	held    map[string]*entry
	draft   map[string]*entry // nil for what is removed
	faulty  map[any]any       // by rule or backend: the copy with a fault that stands in for it
}

func newHolding(configs func(kind string) any) *holding {
	return &holding{configs: configs, held: map[string]*entry{}, draft: map[string]*entry{}, faulty: map[any]any{}}
}

// versions are what the proxy has, for the first request of a connection. What could not be read has a version that no
// content has, so that it comes again.
func (h *holding) versions() map[string]string {
	versions := make(map[string]string, len(h.held))
	for name, e := range h.held {
		if versions[name] = e.version; e.err != nil {
			versions[name] = ""
		}
	}
	return versions
}

// drop forgets what has come of a generation that broke off.
func (h *holding) drop() { h.draft = map[string]*entry{} }

// add takes a message; end is the generation's manifest where it is the last. An error is no matter of one resource: the
// stream is of no use.
func (h *holding) add(m *discoveryv3.DeltaDiscoveryResponse) (end *manifest, err error) {
	if m.GetTypeUrl() != typeURL {
		return nil, fmt.Errorf("message of the type %q", cut(m.GetTypeUrl()))
	}
	for _, r := range m.GetResources() {
		if end != nil {
			return nil, errors.New("a generation goes on behind its end")
		}
		if r.GetName() == generationName {
			end = new(manifest)
			if r.GetResource().GetTypeUrl() != generationType || json.Unmarshal(r.GetResource().GetValue(), end) != nil {
				return nil, errors.New("the end of a generation cannot be read")
			}
			continue
		}
		if err := h.take(r); err != nil {
			return nil, err
		}
	}
	for _, name := range m.GetRemovedResources() {
		if _, _, ok := kindOf(name); !ok {
			return nil, fmt.Errorf("removal of %q, which names nothing", cut(name))
		}
		h.draft[name] = nil
	}
	if len(h.draft) > maxHeld {
		return nil, errors.New("a generation has too many resources")
	}
	return end, nil
}

func (h *holding) take(r *discoveryv3.Resource) error {
	name := r.GetName()
	k, planName, ok := kindOf(name)
	if !ok {
		// A kind of resource that a newer controller knows could be what protects the rest.
		h.draft[name] = &entry{version: r.GetVersion(), err: errors.New("this version of the proxy does not know its kind"), open: true}
		return nil
	}
	if r.GetResource().GetTypeUrl() != forms[k].typeURL {
		return fmt.Errorf("resource %q is of the type %q", cut(name), cut(r.GetResource().GetTypeUrl()))
	}
	last := h.held[name]
	if newer, ok := h.draft[name]; ok { // of a generation that could not be taken
		last = newer
	}
	payload := r.GetResource().GetValue()
	resource, err := decode(k, planName, payload, h.configs)
	e := &entry{version: r.GetVersion(), good: resource, err: err}
	h.draft[name] = e
	if err == nil {
		return nil
	}
	if last != nil {
		e.good = last.good
	}
	e.closed = closed(k, planName, payload, err)
	switch k {
	case gateways:
		e.open = e.good == nil
	case rules:
		e.open = e.good == nil && e.closed == nil
	case policies: // of which not even the targets can be read: nobody knows what it was to protect
		e.open = e.closed == nil
		e.unread = unread(e)
	case backends, secrets: // what names one that is absent answers 500
	}
	return nil
}

// unread are the targets of a policy's substitute that its good version does not cover.
func unread(e *entry) []plan.Target {
	substitute, ok := e.closed.(*plan.Policy)
	if !ok {
		return nil
	}
	good, _ := e.good.(*plan.Policy)
	var list []plan.Target
	for _, t := range substitute.Targets {
		t.Conflicted = false
		covered := good != nil && slices.ContainsFunc(good.Targets, func(o plan.Target) bool { return o.Kind == t.Kind && o.Name == t.Name })
		if !covered {
			list = append(list, t)
		}
	}
	return list
}

// finish makes a plan of what is held and drafted, and holds it from now on. The plan is nil where the generation cannot be
// taken: what was held stays, and the draft waits for what mends it. The rejections are those of all that the generation
// comprises. An error means that something is missing.
func (h *holding) finish(end *manifest) (p *plan.Plan, rejections []Rejection, err error) {
	next := maps.Clone(h.held)
	for name, e := range h.draft {
		if next[name] = e; e == nil {
			delete(next, name)
		}
	}
	names := slices.Sorted(maps.Keys(next))
	items := make([]*item, len(names))
	taken := true
	for i, name := range names {
		e := next[name]
		items[i] = &item{name: name, version: e.version}
		if isSecret(name) {
			items[i].version = ""
		}
		if e.err != nil {
			rejections = append(rejections, Rejection{Resource: name, Message: e.err.Error()})
			taken = taken && !e.open
		}
	}
	if len(items) != end.Resources || digest(items) != end.Digest {
		return nil, nil, fmt.Errorf("the generation is not whole: %d resources are here, it comprises %d", len(items), end.Resources)
	}
	if !taken {
		return nil, rejections, nil
	}
	h.held, h.draft = next, map[string]*entry{}
	return h.plan(names), rejections, nil
}

// plan is what is held, sorted by name as it is where it was translated.
func (h *holding) plan(names []string) *plan.Plan {
	p := &plan.Plan{}
	var unread []plan.Target
	for _, name := range names {
		e := h.held[name]
		unread = append(unread, e.unread...)
		resource := e.good
		if resource == nil {
			resource = e.closed
		}
		switch r := resource.(type) {
		case *plan.Gateway:
			p.Gateways = append(p.Gateways, r)
		case *plan.Rule:
			p.Rules = append(p.Rules, r)
		case *plan.Backend:
			p.Backends = append(p.Backends, r)
		case *plan.Policy:
			p.Policies = append(p.Policies, r)
		case *plan.Secret:
			p.Secrets = append(p.Secrets, r)
		}
	}
	h.close(p, unread)
	return p
}

// close puts a fault on every rule and backend that one of the targets concerns.
func (h *holding) close(p *plan.Plan, targets []plan.Target) {
	fault := &plan.Fault{Reason: "Rejected", Message: "the proxy cannot read a policy that concerns this"}
	faulty := map[any]any{}
	defer func() { h.faulty = faulty }()
	for i, r := range p.Rules {
		if r.Fault == nil && slices.ContainsFunc(targets, func(t plan.Target) bool { return concernsRule(t, r) }) {
			p.Rules[i] = substitute(faulty, h.faulty, r, func(c *plan.Rule) { c.Fault = fault })
		}
	}
	for i, b := range p.Backends {
		if b.Fault == nil && slices.ContainsFunc(targets, func(t plan.Target) bool { return concernsBackend(t, b) }) {
			p.Backends[i] = substitute(faulty, h.faulty, b, func(c *plan.Backend) { c.Fault = fault })
		}
	}
}

// substitute is the changed copy of a resource: the same while the resource is.
func substitute[R any](now, last map[any]any, resource *R, change func(*R)) *R {
	kept, ok := last[resource].(*R)
	if !ok {
		c := *resource
		change(&c)
		kept = &c
	}
	now[resource] = kept
	return kept
}

// concernsRule reports whether a target is the rule, its route, or something around it: all rules here are of one Gateway.
func concernsRule(t plan.Target, r *plan.Rule) bool {
	switch t.Kind {
	case plan.TargetBackend, plan.TargetPort:
		return false
	case plan.TargetRoute:
		return t.Name == r.Route
	case plan.TargetRule:
		return t.Name == r.Name
	case plan.TargetGateway:
		return slices.ContainsFunc(r.Parents, func(p plan.Parent) bool { return p.Gateway == t.Name })
	case plan.TargetListener:
		return slices.ContainsFunc(r.Parents, func(p plan.Parent) bool { return strings.HasPrefix(t.Name, p.Gateway+"#") })
	default: // a class, or what we do not know
		return true
	}
}

func concernsBackend(t plan.Target, b *plan.Backend) bool {
	whole, _, _ := strings.Cut(b.Name, ":")
	return t.Kind == plan.TargetBackend && t.Name == whole || t.Kind == plan.TargetPort && t.Name == b.Name
}
