package proxy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/engine"
	"github.com/ebbgate/ebbgate/internal/proxy/hop"
)

// maxDepth is how many gateways a request may have passed when it comes here.
const maxDepth = 4

// hopName is what a Gateway is called in Via and Ebbgate-Hop. Without a written one no two may have the same, of this
// process or of another: a request of either would be taken for one that comes round.
func (s *Server) hopName(g *plan.Gateway) string {
	sum := sha256.Sum256([]byte(s.config.ID + "/" + g.Name))
	return cmp.Or(g.HopName, "ebbgate-"+hex.EncodeToString(sum[:8]))
}

// passed judges the way up to here: what a trusted gateway says of it must be readable, and it must have an end.
func (j *journey) passed(unreadable error) *exchange.Refusal {
	switch {
	case unreadable != nil:
		refusal := exchange.Refuse(exchange.BadRequest, "what the gateway before this one says of the request cannot be read")
		refusal.Log = words(unreadable)
		return refusal
	case hop.Passed(&j.x.Request.Header, j.port.gateway.name):
		return exchange.Refuse(exchange.LoopDetected, "the request has passed this gateway before, as its Via says")
	case j.x.Hop.Depth > maxDepth:
		return exchange.Refuse(exchange.LoopDetected, "the request has passed more gateways than any chain should have")
	}
	return nil
}

// parent is the gateway that a candidate is reached through, or is (API: EgressPolicy, Parent mode).
type parent struct {
	backend  *plan.Backend
	chain    *engine.Chain
	settings policy.Settings // the chain's, with the region and the clients of the candidate
	form     policy.Form
}

// parent is a candidate's; nil where it is reached itself, as Services always are. Of a parent that has one itself, that
// one is no matter: there is one on the way. What is wrong with the parent closes the candidate.
func (b *builder) parent(scope engine.Scope, c *candidate) (*parent, *exchange.Refusal) {
	way := c.chain.Settings.Parent
	if way == nil || c.service {
		return nil, nil
	}
	p := &parent{backend: c.backend, chain: c.chain, form: policy.FormOrigin}
	if way.Backend != "" && way.Backend != c.backend.Name {
		p.form = cmp.Or(way.Form, p.form)
		if fault := b.parentFault(c, way.Backend, p.form); fault != nil {
			return nil, fault
		}
		scope.Backend = way.Backend
		p.backend, p.chain = b.backends[way.Backend], b.chains.Chain(scope)
		if fault := p.chain.Fault(); fault != nil {
			return nil, fault
		}
	}
	p.settings = p.chain.Settings
	p.settings.Region = c.chain.Settings.Region
	p.settings.ClientsNamed = p.settings.ClientsNamed || c.chain.Settings.ClientsNamed
	return p, nil
}

func (b *builder) parentFault(c *candidate, name string, form policy.Form) *exchange.Refusal {
	refuse := func(text string) *exchange.Refusal { return exchange.Refuse(exchange.BackendInvalid, text) }
	switch p := b.backends[name]; {
	case p == nil:
		return refuse("the parent " + name + " of the backend " + c.backend.Name + " is not there")
	case p.Fault != nil:
		return refuse(p.Fault.Message)
	case strings.HasPrefix(p.Hostname, "*."):
		return refuse("the parent " + name + " has a wildcard for a hostname and cannot be dialled")
	case form != policy.FormOrigin && c.backend.Hostname == "":
		return refuse("the backend " + c.backend.Name + " has no hostname that the parent " + name + " could be asked for")
	}
	return nil
}

// way prepares the target of a candidate: itself, its parent, or itself in a tunnel through its parent.
func (b *builder) way(gateway string, c *candidate, protocol plan.Protocol) (*dial.Target, *exchange.Refusal) {
	if c.parent == nil {
		return b.reach(gateway, c, protocol, nil)
	}
	near := &candidate{backend: c.parent.backend, chain: c.parent.chain}
	if c.parent.form == policy.FormConnect {
		hub, fault := b.reach(gateway, near, plan.HTTP11, nil)
		if fault != nil {
			return nil, fault
		}
		return b.reach(gateway, c, protocol, hub)
	}
	target, fault := b.reach(gateway, near, protocol, nil)
	if fault == nil && c.parent.form == policy.FormAbsolute && c.scheme() == "https" && target.TLS == nil {
		fault = exchange.Refuse(exchange.BackendInvalid, "the backend "+c.backend.Name+" is reached by https, and form Absolute would send it to the parent "+
			c.parent.backend.Name+" in the clear: give the parent TLS, or write form: Connect")
	}
	return target, fault
}

// scheme is that of the backend's URL.
func (c *candidate) scheme() string {
	if c.backend.TLS != nil || c.chain.Settings.TLS != nil {
		return "https"
	}
	return "http"
}

// asIs reports whether the client's own authority and path are sent: the parent matches and rewrites.
func (c *candidate) asIs() bool { return c.parent != nil && c.parent.form == policy.FormOrigin }

// reports tells whether any policy on the way is in mode Report.
func (c *candidate) reports() bool {
	return c.chain.Reports() || c.parent != nil && c.parent.chain.Reports()
}

// vet asks the Candidate stages of a backend, and those of its parent.
func (j *journey) vet(ctx context.Context, c *candidate, judged *policy.Candidate) *exchange.Refusal {
	refusal := c.chain.Candidate(ctx, j.x, judged)
	if refusal != nil || c.parent == nil || c.parent.chain == c.chain {
		return refusal
	}
	return c.parent.chain.Candidate(ctx, j.x, j.asked(c.parent, judged))
}

// asked is what a parent is asked, for the policies of its chain: its own name is dialled, the rest is the backend's.
func (j *journey) asked(p *parent, judged *policy.Candidate) *policy.Candidate {
	j.near = *judged
	j.near.Backend, j.near.Hostname, j.near.Settings = p.backend, p.backend.Hostname, &p.settings
	return &j.near
}

// credential is whose Attempt and Response stages act: those of whoever reads the request, the parent or the destination.
func (j *journey) credential(c *candidate) (*engine.Chain, *policy.Candidate) {
	if c.asIs() {
		return c.parent.chain, j.asked(c.parent, &j.judged)
	}
	return c.chain, &j.judged
}

// target is what is dialled.
func (j *journey) target(c *candidate) (*dial.Target, error) {
	if c.parent != nil && c.parent.form == policy.FormConnect {
		return c.target.Tunnel(j.judged.Hostname, j.told)
	}
	return c.target.Host(j.judged.Hostname)
}

// tell writes what a parent is told beside the request: for whom it is, and where data may go. A tunnel carries many
// requests, so that the parent is told nothing of one alone.
func (j *journey) tell(c *candidate, a *exchange.Attempt) *exchange.Refusal {
	if c.parent == nil {
		return nil
	}
	a.Parent = c.parent.backend.Name
	client := &j.x.Client
	message := hop.Message{
		Hop:       exchange.Hop{Name: j.port.gateway.name, Depth: j.x.Hop.Depth + 1, Attempt: 1, Regions: united(j.x.Hop.Regions, c.chain.Settings.Regions, c.parent.chain.Settings.Regions)},
		Namespace: client.Namespace, ServiceAccount: client.ServiceAccount,
	}
	if client.Foreign { // what our own cluster is called the parent says
		message.Cluster = client.Cluster
	}
	if c.parent.form != policy.FormConnect {
		most, _ := j.retries(&c.chain.Settings.Retry)
		message.Attempt, message.Retries = len(j.x.Attempts), max(most-j.repeats, 0)
	}
	value, err := message.String()
	if err != nil {
		refusal := exchange.Refuse(exchange.ConfigurationInvalid, "the parent cannot be told where data may go")
		refusal.Log = words(err)
		return refusal
	}
	switch c.parent.form {
	case policy.FormConnect:
		j.told = value
		return nil
	case policy.FormAbsolute:
		a.Scheme = c.scheme()
	case policy.FormOrigin:
	}
	a.Header.Add(hop.Name, value)
	return nil
}

// united are the lists of all, each once: every one of them holds.
func united(said [][]string, more ...[][]string) [][]string {
	all := slices.Clip(said)
	for _, lists := range more {
		for _, list := range lists {
			if !slices.ContainsFunc(all, func(have []string) bool { return slices.Equal(have, list) }) {
				all = append(all, list)
			}
		}
	}
	return all
}
