package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// Config is what an Engine is made of.
type Config struct {
	Kinds      []*policy.Kind
	Kubernetes bool
}

// Engine builds chains, and keeps from table to table the stages whose policies and secrets did not change.
type Engine struct {
	config Config
	stages map[stageKey]*stage
}

// New makes an Engine. It is used by one goroutine at a time; the chains it makes, by all.
func New(c Config) *Engine { return &Engine{config: c, stages: map[stageKey]*stage{}} }

// stageKey names a stage: the kind, and the policies that its config comes from by pointer, since resources of a plan
// are immutable.
type stageKey struct {
	kind     string
	restrict bool
	policies string
}

type stage struct {
	value   any
	err     error
	from    []*plan.Policy          // held, so that no later policy can have the address that is in the key
	secrets map[string]*plan.Secret // read while it was built
	used    bool
}

// Build is one table's worth of chains.
type Build struct {
	engine  *Engine
	targets map[plan.Target][]attached
	secret  func(string) *plan.Secret
	chains  map[string]*Chain
}

type attached struct {
	policy     *plan.Policy
	conflicted bool
}

// Begin starts a table over the policies of p.
func (e *Engine) Begin(p *plan.Plan, secret func(name string) *plan.Secret) *Build {
	b := &Build{engine: e, targets: map[plan.Target][]attached{}, secret: secret, chains: map[string]*Chain{}}
	for _, s := range e.stages {
		s.used = false
	}
	for _, pol := range p.Policies {
		for _, t := range pol.Targets {
			key := plan.Target{Kind: t.Kind, Name: t.Name}
			if list := b.targets[key]; t.Conflicted {
				b.targets[key] = append(list, attached{pol, true})
			} else { // before those that gave way to it: where the first restriction stays, its own does
				b.targets[key] = slices.Insert(list, 0, attached{pol, false})
			}
		}
	}
	return b
}

// Finish forgets the stages that the table does not use.
func (b *Build) Finish() {
	for key, s := range b.engine.stages {
		if !s.used {
			delete(b.engine.stages, key)
		}
	}
}

// Scope is where a chain applies. Backend is empty for the steps before the pick.
type Scope struct {
	Class, Gateway, Listener string
	Backend                  string
	Route, Rule              string // plan names
}

// targets of the scope, from the most general to the most specific: GatewayClass, Gateway, listener, Backend, port, Route,
// rule.
func (s Scope) targets() []plan.Target {
	list := []plan.Target{
		{Kind: plan.TargetClass, Name: s.Class},
		{Kind: plan.TargetGateway, Name: s.Gateway},
		{Kind: plan.TargetListener, Name: s.Gateway + "#" + s.Listener},
	}
	if s.Backend != "" {
		whole, _, port := strings.Cut(s.Backend, ":") // a Service's policies hold for each of its ports
		list = append(list, plan.Target{Kind: plan.TargetBackend, Name: whole})
		if port {
			list = append(list, plan.Target{Kind: plan.TargetPort, Name: s.Backend})
		}
	}
	return append(list, plan.Target{Kind: plan.TargetRoute, Name: s.Route}, plan.Target{Kind: plan.TargetRule, Name: s.Rule})
}

// Targeted reports whether any policy is attached to the target itself.
func (b *Build) Targeted(kind plan.TargetKind, name string) bool {
	return len(b.targets[plan.Target{Kind: kind, Name: name}]) > 0
}

// Chain is the chain of a scope; scopes with the same policies share one.
func (b *Build) Chain(scope Scope) *Chain {
	var in []attached
	var key strings.Builder
	key.WriteString(scope.Backend)
	for _, t := range scope.targets() {
		for _, a := range b.targets[t] {
			in = append(in, a)
			fmt.Fprintf(&key, " %p %t", a.policy, a.conflicted)
		}
	}
	if chain, ok := b.chains[key.String()]; ok {
		return chain
	}
	chain := b.build(in)
	b.chains[key.String()] = chain
	return chain
}

func (b *Build) build(in []attached) *Chain {
	chain := &Chain{Settings: policy.NewSettings()}
	for _, kind := range b.engine.config.Kinds {
		var inForce []*plan.Policy
		for _, a := range counting(kind, in) {
			if a.policy.Fault != nil {
				chain.fail(broken(kind, a.policy, a.policy.Fault.Message))
				continue
			}
			if !a.conflicted {
				inForce = append(inForce, a.policy)
			}
			if kind.Restrict != nil {
				b.restrict(chain, kind, a.policy)
			}
		}
		if kind.Apply != nil {
			b.apply(chain, kind, inForce)
		}
	}
	for _, a := range in {
		if !slices.ContainsFunc(b.engine.config.Kinds, func(k *policy.Kind) bool { return k.Name == a.policy.Kind }) {
			why := "this version of the proxy does not know the kind " + a.policy.Kind // a newer controller's: it may be what protects the rest
			chain.fail(broken(&policy.Kind{Name: a.policy.Kind}, a.policy, why))
		}
	}
	return chain
}

// counting are the policies of a kind that count in a chain. One that has lost its target counts by its restrictions
// alone, hence not at all where the kind has none.
func counting(kind *policy.Kind, in []attached) []attached {
	var list []attached
	for _, a := range in {
		if a.policy.Kind == kind.Name && (!a.conflicted || kind.Restrict != nil) {
			list = append(list, a)
		}
	}
	if kind.Whole && len(list) > 1 {
		return list[len(list)-1:]
	}
	return list
}

func (c *Chain) fail(refusal *exchange.Refusal) {
	if c.fault == nil {
		c.fault = refusal
	}
}

func (b *Build) restrict(chain *Chain, kind *policy.Kind, p *plan.Policy) {
	s := b.stage(stageKey{kind.Name, true, fmt.Sprintf("%p", p)}, []*plan.Policy{p}, func(env policy.Env) (any, error) {
		env.Policy = p.Name
		return kind.Restrict(env, p.Config)
	})
	switch {
	case s.err != nil:
		chain.fail(broken(kind, p, s.err.Error()))
	case s.value != nil:
		chain.add(p.Name, p.Report, s.value)
	}
}

func (b *Build) apply(chain *Chain, kind *policy.Kind, inForce []*plan.Policy) {
	var key strings.Builder
	configs := make([]any, len(inForce))
	for i, p := range inForce {
		fmt.Fprintf(&key, " %p", p)
		configs[i] = p.Config
	}
	name := ""
	if len(inForce) > 0 {
		name = inForce[len(inForce)-1].Name
	}
	s := b.stage(stageKey{kind.Name, false, key.String()}, inForce, func(env policy.Env) (any, error) {
		env.Policy = name
		return kind.Apply(env, policy.Merge(kind.Config(), configs...))
	})
	switch {
	case s.err != nil && name != "":
		chain.fail(broken(kind, inForce[len(inForce)-1], s.err.Error()))
	case s.err != nil:
		chain.fail(exchange.Refuse(exchange.Internal, "the defaults of "+kind.Name+" cannot be in force"))
	case s.value != nil:
		chain.add(name, false, s.value)
	}
}

// stage takes a stage of the last table where nothing that it was built from has changed, else builds it.
func (b *Build) stage(key stageKey, from []*plan.Policy, build func(policy.Env) (any, error)) *stage {
	if s, ok := b.engine.stages[key]; ok && b.current(s) {
		s.used = true
		return s
	}
	s := &stage{from: from, secrets: map[string]*plan.Secret{}, used: true}
	env := policy.Env{Kubernetes: b.engine.config.Kubernetes, Secret: func(name string) *plan.Secret {
		found := b.secret(name)
		s.secrets[name] = found
		return found
	}}
	s.value, s.err = build(env)
	b.engine.stages[key] = s
	return s
}

func (b *Build) current(s *stage) bool {
	for name, secret := range s.secrets {
		if b.secret(name) != secret {
			return false
		}
	}
	return true
}
