package egress

import (
	"context"
	"fmt"
	"slices"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// Disputed is the region of a destination whose policies state different ones. No region is spelled so, hence no list
// of regions holds it.
const Disputed = "?"

// restriction is one EgressPolicy's restrictions at work. Every one of a chain has its own and all must pass.
type restriction struct {
	config *Config
	paths  []pattern
	parent *policy.Parent
}

func restrict(_ policy.Env, config any) (any, error) {
	c := config.(*Config)
	if !c.restricts() {
		return nil, nil
	}
	s := &restriction{config: c}
	for _, text := range c.Paths {
		p, err := newPattern(text)
		if err != nil {
			return nil, fmt.Errorf("spec.requests.paths: %w", err)
		}
		s.paths = append(s.paths, p)
	}
	if c.through() {
		s.parent = &policy.Parent{Backend: c.Parent, Form: c.Form}
	}
	return s, nil
}

// Tune tells the parent, the region, and that the policy says who may spend a credential. Policies come from the most
// general to the most specific, and the first parent stays.
func (s *restriction) Tune(t *policy.Settings) {
	if t.Parent == nil {
		t.Parent = s.parent
	}
	if s.config.Clients != nil {
		t.ClientsNamed = true
	}
	switch region := s.config.Region; {
	case region == "":
	case t.Region != "" && t.Region != region:
		t.Region = Disputed
	default:
		t.Region = region
	}
}

// Candidate vetoes the backend for a client that is not named and for a request that is not among those listed.
func (s *restriction) Candidate(_ context.Context, x *exchange.Exchange, c *policy.Candidate) *exchange.Refusal {
	switch {
	case s.config.Clients != nil && !s.config.Clients.Names(&x.Client):
		return refuse(exchange.ClientNotAllowed, "the client "+x.Client.String()+", known by "+x.Client.Source.String()+", may not use this destination", "spec.clients")
	case s.config.Methods != nil && !slices.Contains(s.config.Methods, x.Request.Method):
		return refuse(exchange.RequestNotAllowed, "the method may not be used towards this destination", "spec.requests.methods")
	case s.config.Paths != nil && !s.matches(c.Path):
		return refuse(exchange.RequestNotAllowed, "the path may not be asked of this destination", "spec.requests.paths")
	}
	return nil
}

func (s *restriction) matches(path string) bool {
	for i := range s.paths {
		if s.paths[i].match(path) {
			return true
		}
	}
	return false
}

func refuse(reason exchange.Reason, detail, field string) *exchange.Refusal {
	refusal := exchange.Refuse(reason, detail)
	refusal.Field = field
	return refusal
}

// setting is what the EgressPolicies of a chain come to.
type setting struct{ config *Config }

func apply(_ policy.Env, config any) (any, error) {
	c := config.(*Config)
	if !c.states() {
		return nil, nil
	}
	return &setting{c}, nil
}

// Tune lays what is written over the defaults.
func (s *setting) Tune(t *policy.Settings) {
	c := s.config
	lay(&t.Priority, c.Priority)
	if c.Tiers != nil {
		t.Tiers = c.Tiers
	}
	lay(&t.Timeouts.Connect, c.Timeouts.Connect)
	lay(&t.Timeouts.FirstByte, c.Timeouts.FirstByte)
	lay(&t.Timeouts.StreamIdle, c.Timeouts.StreamIdle)
	lay(&t.Timeouts.Request, c.Timeouts.Request)
	lay(&t.Connections.Max, c.Connections.Max)
	lay(&t.Connections.Pending, c.Connections.Pending)
	lay(&t.Connections.Wait, c.Connections.Wait)
	lay(&t.Connections.Idle, c.Connections.Idle)
	c.Retry.lay(&t.Retry)
	c.Health.lay(&t.Health)
}

// lay sets the place to what is written.
func lay[T any](place, written *T) {
	if written != nil {
		*place = *written
	}
}
