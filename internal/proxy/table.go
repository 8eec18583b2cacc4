package proxy

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/cors"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/engine"
	"github.com/ebbgate/ebbgate/internal/proxy/health"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
	"github.com/ebbgate/ebbgate/internal/proxy/pick"
)

// table is what is served: built whole from a plan, then only read.
type table struct {
	plan    *plan.Plan
	ports   map[string]*port // by address bound
	targets map[targetKey]*dial.Target
	checks  []health.Check
	health  map[healthKey]*health.Backend
}

// release lets go of what the table held, once another has taken its place.
func (t *table) release() {
	for _, target := range t.targets {
		target.Release()
	}
}

// port is one socket's share of the table.
type port struct {
	gateway *gateway
	number  int
	match   *match.Port
	tls     *accept.TLS // nil: plain text
}

type gateway struct {
	plan     *plan.Gateway
	identity *identify.Identifier
	name     string             // what other gateways know it by
	via      [3]string          // what Via says of a request, by its version
	rules    map[string][]*rule // by listener; indexed as match.Result says
	retries  *budget            // of all its backends
	unsent   *budget
	budgets  []*budget // its backends'
}

// rule is a plan.Rule ready to serve.
type rule struct {
	plan       *plan.Rule
	label      string // its name, else its index: what logs call it
	chain      *engine.Chain
	fault      *exchange.Refusal
	redirect   *plan.Redirect
	rewrite    *plan.Rewrite
	cors       *cors.CORS
	mirrors    []mirror
	filters    filters
	tiers      []pick.Weights
	candidates []*candidate
	timeout    time.Duration // of the whole exchange; 0: none
}

// filters are the header modifiers of a rule or of one of its backends.
type filters struct{ request, response []*plan.HeaderModifier }

// candidate is a backend of a rule ready to be dialled.
type candidate struct {
	backend *plan.Backend
	fault   *exchange.Refusal
	chain   *engine.Chain
	filters filters
	target  *dial.Target
	parent  *parent // the gateway that it is reached through; nil: it is reached itself

	persistence *persistence
	budget      *budget
	health      *health.Backend
	service     bool   // a Service of the cluster
	authority   string // Host sent; empty: the client's
	nameless    string // Host sent where the client (HTTP/1.0) named none
	wildcard    bool
}

// builder makes one table.
type builder struct {
	server   *Server
	plan     *plan.Plan
	secrets  map[string]*plan.Secret
	backends map[string]*plan.Backend
	chains   *engine.Build
	secure   map[string]*secured
	tokens   map[string]*identify.Verifier
	tls      map[tlsKey]tlsResult
	targets  map[targetKey]*dial.Target
	budgets  map[budgetKey]*budget
	health   map[healthKey]*health.Backend
	checks   map[healthKey]health.Check
	problems []error
}

type targetKey struct {
	gateway string
	backend *plan.Backend
	chain   *engine.Chain

	protocol plan.Protocol
	through  *dial.Target
}

type budgetKey struct {
	gateway, backend string
	setting          policy.Budget
}

type healthKey struct{ gateway, backend string }

func (s *Server) build(p *plan.Plan) (*table, []error) {
	b := &builder{
		server: s, plan: p, secrets: map[string]*plan.Secret{}, backends: map[string]*plan.Backend{},
		tls: map[tlsKey]tlsResult{}, targets: map[targetKey]*dial.Target{}, secure: map[string]*secured{}, tokens: map[string]*identify.Verifier{},
		budgets: map[budgetKey]*budget{}, health: map[healthKey]*health.Backend{}, checks: map[healthKey]health.Check{},
	}
	for _, secret := range p.Secrets {
		b.secrets[secret.Name] = secret
	}
	for _, backend := range p.Backends {
		b.backends[backend.Name] = backend
	}
	b.chains = s.engine.Begin(p, b.secret)
	t := &table{plan: p, ports: map[string]*port{}}
	for _, g := range p.Gateways {
		b.gateway(t, g)
	}
	b.chains.Finish()
	t.health = b.health
	t.checks = slices.Collect(maps.Values(b.checks))
	t.targets, s.secure, s.budgets, s.health, s.tokens = b.targets, b.secure, b.budgets, b.health, b.tokens
	return t, b.problems
}

func (b *builder) secret(name string) *plan.Secret { return b.secrets[name] }

func (b *builder) fail(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf(format, args...))
}

func (b *builder) gateway(t *table, g *plan.Gateway) {
	identity, err := identify.New(g, b.server.config.Kubernetes, b.server.config.Pods, b.verifier(g))
	if err != nil {
		b.fail("gateway %s: %w", g.Name, err)
		return
	}
	built := &gateway{plan: g, identity: identity, name: b.server.hopName(g), rules: map[string][]*rule{}}
	built.via = via(built.name)
	matches, problems := match.New(g, b.plan.Rules)
	b.problems = append(b.problems, problems...)
	var shared []*rule
	for _, l := range g.Listeners {
		if b.chains.Targeted(plan.TargetListener, g.Name+"#"+l.Name) {
			built.rules[l.Name] = b.rules(g, l.Name)
			continue
		}
		if shared == nil {
			shared = b.rules(g, "")
		}
		built.rules[l.Name] = shared
	}
	scope := engine.Scope{Class: g.Class, Gateway: g.Name}
	built.retries = b.budget(g.Name, "", b.chains.Chain(scope).Settings.Retry.Budget)
	built.unsent = b.budget(g.Name, "", unsentBudget)
	for key, budget := range b.budgets {
		if key.gateway == g.Name && key.backend != "" {
			built.budgets = append(built.budgets, budget)
		}
	}
	for number := range numbers(g) {
		p := &port{gateway: built, number: number, match: matches.Port(number), tls: b.listenerTLS(g, number)}
		for _, address := range b.bound(g) {
			t.ports[net.JoinHostPort(address, strconv.Itoa(number))] = p
		}
	}
}

// verifier is that of a Gateway's tokens, kept with what it has verified while its source stays the same; nil where tokens
// name nobody.
func (b *builder) verifier(g *plan.Gateway) *identify.Verifier {
	if g.Token == nil {
		return nil
	}
	v := b.server.tokens[g.Name]
	if v == nil || !v.Same(g.Token) {
		var err error
		if v, err = identify.NewVerifier(g.Token, b.server.config.Pods); err != nil {
			b.fail("gateway %s: %w", g.Name, err)
		}
	}
	b.tokens[g.Name] = v
	return v
}

// via is what Via says of requests (RFC 9110, section 7.6.3), by the version in which they came.
func via(name string) (list [3]string) {
	list[exchange.HTTP11], list[exchange.HTTP10], list[exchange.HTTP2] = "1.1 "+name, "1.0 "+name, "2 "+name
	return list
}

func numbers(g *plan.Gateway) map[int]bool {
	ports := map[int]bool{}
	for _, l := range g.Listeners {
		ports[l.Port] = true
	}
	return ports
}

// bound are the addresses that a Gateway's listeners bind: on Kubernetes all that the Pod has, of either family, since it is
// the Service that decides who reaches them; elsewhere what is written.
func (b *builder) bound(g *plan.Gateway) []string {
	switch {
	case len(g.Addresses) > 0:
		return g.Addresses
	case b.server.config.Kubernetes:
		return []string{""}
	}
	return []string{"127.0.0.1"}
}

// rules are the plan's rules as they are on one listener; those that are not attached to the gateway are nil.
func (b *builder) rules(g *plan.Gateway, listener string) []*rule {
	list := make([]*rule, len(b.plan.Rules))
	for i, r := range b.plan.Rules {
		if slices.ContainsFunc(r.Parents, func(p plan.Parent) bool { return p.Gateway == g.Name }) {
			list[i] = b.rule(g, listener, r)
		}
	}
	return list
}

func (b *builder) rule(g *plan.Gateway, listener string, r *plan.Rule) *rule {
	scope := engine.Scope{Class: g.Class, Gateway: g.Name, Listener: listener, Route: r.Route, Rule: r.Name}
	built := &rule{plan: r, label: r.RuleName, chain: b.chains.Chain(scope), filters: modifiers(r.Filters)}
	if built.label == "" {
		built.label = strconv.Itoa(r.Index)
	}
	built.timeout = stated(r.Timeouts.Request, built.chain.Settings.Timeouts.Request)
	if built.fault = built.chain.Fault(); r.Fault != nil {
		built.fault = exchange.Refuse(ruleReason(r.Fault), r.Fault.Message)
	}
	for _, f := range r.Filters {
		if f.Redirect != nil {
			built.redirect = f.Redirect
		}
		if f.Rewrite != nil {
			built.rewrite = f.Rewrite
		}
		if f.CORS != nil {
			built.cors = cors.New(f.CORS)
		}
	}
	built.mirrors = b.mirrors(scope, r)
	var weights, ranks []int
	for _, ref := range r.Backends {
		scope.Backend = ref.Backend
		c := b.candidate(scope, r, &ref)
		priority := 0
		if c.chain != nil {
			priority = c.chain.Settings.Priority
		}
		weights, ranks = append(weights, ref.Weight), append(ranks, tier(built.chain.Settings.Tiers, ref.Backend, priority))
		built.candidates = append(built.candidates, c)
	}
	built.tiers = pick.Tiers(weights, ranks)
	return built
}

// ruleReason is why a rule that cannot be served is refused.
func ruleReason(f *plan.Fault) exchange.Reason {
	if f.Reason == "NoBackend" {
		return exchange.NoBackend
	}
	return exchange.ConfigurationInvalid
}

// stated is a route's own timeout where it has one, negative being none, else the policy's.
func stated(own, policys time.Duration) time.Duration {
	if own != 0 {
		return max(own, 0)
	}
	return policys
}

func modifiers(list []plan.Filter) (f filters) {
	for _, filter := range list {
		if filter.RequestHeaders != nil {
			f.request = append(f.request, filter.RequestHeaders)
		}
		if filter.ResponseHeaders != nil {
			f.response = append(f.response, filter.ResponseHeaders)
		}
	}
	return f
}

// ready reports whether the candidate may be drawn while there are others.
func (c *candidate) ready() bool { return c.health.Admits() && !c.target.Full() }

func (b *builder) candidate(scope engine.Scope, r *plan.Rule, ref *plan.RuleBackend) *candidate {
	backend := b.backends[ref.Backend]
	switch {
	case ref.Fault != nil:
		return &candidate{fault: exchange.Refuse(exchange.BackendInvalid, ref.Fault.Message)}
	case backend == nil:
		return &candidate{fault: exchange.Refuse(exchange.BackendInvalid, "the backend "+ref.Backend+" is not there")}
	}
	c := &candidate{backend: backend, chain: b.chains.Chain(scope), filters: modifiers(ref.Filters), service: backend.Origin == plan.Endpoints}
	c.persistence = persistent(r, backend.Name, c.chain.Settings.Session)
	c.budget = b.budget(scope.Gateway, backend.Name, c.chain.Settings.Retry.Budget)
	c.wildcard = strings.HasPrefix(backend.Hostname, "*.")
	if !c.wildcard {
		c.authority = authority(backend.Hostname, backend)
	}
	c.nameless = inCluster(backend.Name)
	if backend.Fault != nil {
		c.fault = exchange.Refuse(exchange.BackendInvalid, backend.Fault.Message)
		return c
	}
	if c.fault = c.chain.Fault(); c.fault != nil {
		return c
	}
	if c.parent, c.fault = b.parent(scope, c); c.fault != nil {
		return c
	}
	setting := c.chain.Settings.Health
	if c.parent != nil {
		setting = c.parent.chain.Settings.Health
	}
	c.health = b.healthOf(scope.Gateway, backend.Name, setting)
	if c.target, c.fault = b.way(scope.Gateway, c, ref.Protocol); c.fault == nil {
		b.check(scope.Gateway, r, c)
	}
	return c
}

// reach prepares the target of a backend, through a parent that opens tunnels where there is one.
func (b *builder) reach(gateway string, c *candidate, protocol plan.Protocol, through *dial.Target) (*dial.Target, *exchange.Refusal) {
	settings, fault, err := b.upstreamTLS(gateway, c)
	if fault != nil {
		return nil, fault
	}
	var target *dial.Target
	if err == nil {
		target, err = b.target(gateway, c, protocol, settings, through)
	}
	if err != nil {
		b.fail("backend %s: %w", c.backend.Name, err)
		return nil, exchange.Refuse(exchange.BackendInvalid, "the backend "+c.backend.Name+" cannot be used as it is configured")
	}
	return target, nil
}

// authority is the Host that a backend of a name is sent: with its port where that is not the scheme's own.
func authority(hostname string, b *plan.Backend) string {
	if hostname == "" || b.TLS != nil && b.Port == 443 || b.TLS == nil && b.Port == 80 {
		return hostname
	}
	return hostname + ":" + strconv.Itoa(b.Port)
}

// inCluster is the name of a Service within its cluster.
func inCluster(backend string) string {
	_, rest, _ := strings.Cut(backend, "/")
	namespace, rest, _ := strings.Cut(rest, "/")
	name, _, _ := strings.Cut(rest, ":")
	return name + "." + namespace + ".svc"
}

// budget is the one of a backend's retries, kept from table to table while its setting stays.
func (b *builder) budget(gateway, backend string, setting policy.Budget) *budget {
	key := budgetKey{gateway, backend, setting}
	if b.budgets[key] == nil {
		if b.budgets[key] = b.server.budgets[key]; b.budgets[key] == nil {
			b.budgets[key] = newBudget(setting)
		}
	}
	return b.budgets[key]
}

// healthOf is a backend's, kept from table to table.
func (b *builder) healthOf(gateway, backend string, setting policy.Health) *health.Backend {
	key := healthKey{gateway, backend}
	h := b.health[key]
	if h == nil {
		if h = b.server.health[key]; h == nil {
			h = health.New(health.Config{Setting: setting, Told: b.server.tell(gateway, backend)})
		}
		b.health[key] = h
		h.Set(setting)
	}
	return h
}

func (b *builder) target(gateway string, c *candidate, protocol plan.Protocol, settings *dial.TLS, through *dial.Target) (*dial.Target, error) {
	key := targetKey{gateway, c.backend, c.chain, protocol, through}
	if t, ok := b.targets[key]; ok {
		return t, nil
	}
	config := dial.TargetConfig{
		Gateway: gateway, Backend: c.backend, Hostname: c.backend.Hostname, Protocol: protocol, TLS: settings, Settings: &c.chain.Settings,
		Address: []policy.AddressStage{c.chain}, Handshake: []policy.HandshakeStage{c.chain},
		Through: through,
	}
	if through == nil { // else it is the parent's addresses that are dialled
		config.Health = b.healthOf(gateway, c.backend.Name, c.chain.Settings.Health)
	}
	t, err := b.server.dialer.Prepare(config)
	if err != nil {
		return nil, err
	}
	b.targets[key] = t
	return t, nil
}
