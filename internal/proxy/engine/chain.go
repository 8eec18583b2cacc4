// Package engine makes of a plan's policies the chains of stages that requests pass, and runs them step by step. It is
// generic over policy.Kind: which policies are in a chain, what their settings merge to, mode Report, conflicts and
// failing closed are decided here, once for all kinds. proxy calls it when it builds a table and for each step.
package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// Chain is every stage that applies to a rule, or to a pair (rule, backend), by step, with the merged settings.
type Chain struct {
	Settings policy.Settings

	reports   bool              // a policy of the chain is in mode Report
	fault     *exchange.Refusal // a policy of the chain is broken: what it protects fails closed
	request   []bound[policy.RequestStage]
	body      []bound[policy.BodyStage]
	candidate []bound[policy.CandidateStage]
	attempt   []bound[policy.AttemptStage]
	address   []bound[policy.AddressStage]
	handshake []bound[policy.HandshakeStage]
	response  []bound[policy.ResponseStage]
	end       []policy.EndStage
}

// bound is a stage with the policy it comes from.
type bound[S any] struct {
	policy string
	report bool
	stage  S
}

func (c *Chain) add(name string, report bool, stage any) {
	c.reports = c.reports || report
	c.request = bind(c.request, name, report, stage)
	c.body = bind(c.body, name, report, stage)
	c.candidate = bind(c.candidate, name, report, stage)
	c.attempt = bind(c.attempt, name, report, stage)
	c.address = bind(c.address, name, report, stage)
	c.handshake = bind(c.handshake, name, report, stage)
	c.response = bind(c.response, name, report, stage)
	if s, ok := stage.(policy.EndStage); ok {
		c.end = append(c.end, s)
	}
	if s, ok := stage.(policy.Tuner); ok {
		s.Tune(&c.Settings)
	}
}

// bind adds a stage to the step whose interface it has.
func bind[S any](step []bound[S], name string, report bool, stage any) []bound[S] {
	if s, ok := stage.(S); ok {
		return append(step, bound[S]{name, report, s})
	}
	return step
}

// judge runs one step: the first refusal that is enforced, with its policy's name. What a policy in mode Report would
// have refused is noted and let pass: on the exchange, or where that is in other hands (x is nil) in ctx's notes.
func judge[S any](ctx context.Context, x *exchange.Exchange, stages []bound[S], run func(S) *exchange.Refusal) *exchange.Refusal {
	for i := range stages {
		refusal := run(stages[i].stage)
		if refusal == nil {
			continue
		}
		if refusal.Policy == "" {
			refusal.Policy = stages[i].policy
		}
		if !stages[i].report {
			return refusal
		}
		if x == nil {
			exchange.NotesOf(ctx).Add(*refusal)
		} else {
			x.Reported = append(x.Reported, *refusal)
		}
	}
	return nil
}

// Reports tells whether any policy of the chain is in mode Report.
func (c *Chain) Reports() bool { return c.reports }

// Fault is set where a policy of the chain cannot be in force.
func (c *Chain) Fault() *exchange.Refusal { return c.fault }

// Request runs the Request step.
func (c *Chain) Request(ctx context.Context, x *exchange.Exchange) *exchange.Refusal {
	if len(c.request) == 0 {
		return nil
	}
	return judge(ctx, x, c.request, func(s policy.RequestStage) *exchange.Refusal { return s.Request(ctx, x) })
}

// BodyNeed is what the Body step has to see: the greatest number of bytes, and whether any stage wants the whole body.
func (c *Chain) BodyNeed() (bytes int64, whole bool) {
	for _, b := range c.body {
		n, all := b.stage.BodyNeed()
		bytes, whole = max(bytes, n), whole || all
	}
	return bytes, whole
}

// Body runs the Body step.
func (c *Chain) Body(ctx context.Context, x *exchange.Exchange, body []byte) *exchange.Refusal {
	return judge(ctx, x, c.body, func(s policy.BodyStage) *exchange.Refusal { return s.Body(ctx, x, body) })
}

// Candidate runs the Candidate step.
func (c *Chain) Candidate(ctx context.Context, x *exchange.Exchange, candidate *policy.Candidate) *exchange.Refusal {
	if len(c.candidate) == 0 {
		return nil
	}
	return judge(ctx, x, c.candidate, func(s policy.CandidateStage) *exchange.Refusal { return s.Candidate(ctx, x, candidate) })
}

// Bars reports whether a stage of the Candidate step vetoes the backend for another reason than who asks, or for what.
func (c *Chain) Bars(ctx context.Context, x *exchange.Exchange, candidate *policy.Candidate) bool {
	for _, s := range c.candidate {
		refusal := s.stage.Candidate(ctx, x, candidate)
		if refusal != nil && !s.report && refusal.Reason != exchange.ClientNotAllowed && refusal.Reason != exchange.RequestNotAllowed {
			return true
		}
	}
	return false
}

// Attempt runs the Attempt step.
func (c *Chain) Attempt(ctx context.Context, x *exchange.Exchange, candidate *policy.Candidate, a *exchange.Attempt) *exchange.Refusal {
	if len(c.attempt) == 0 {
		return nil
	}
	return judge(ctx, x, c.attempt, func(s policy.AttemptStage) *exchange.Refusal { return s.Attempt(ctx, x, candidate, a) })
}

// Address runs the Address step. It is a policy.AddressStage, for dial.
func (c *Chain) Address(ctx context.Context, check *policy.AddressCheck) *exchange.Refusal {
	return judge(ctx, nil, c.address, func(s policy.AddressStage) *exchange.Refusal { return s.Address(ctx, check) })
}

// Handshake runs the Handshake step. It is a policy.HandshakeStage, for dial.
func (c *Chain) Handshake(ctx context.Context, b *plan.Backend, state *tls.ConnectionState) *exchange.Refusal {
	return judge(ctx, nil, c.handshake, func(s policy.HandshakeStage) *exchange.Refusal { return s.Handshake(ctx, b, state) })
}

// Response runs the Response step.
func (c *Chain) Response(ctx context.Context, x *exchange.Exchange, candidate *policy.Candidate, a *exchange.Attempt) *exchange.Refusal {
	if len(c.response) == 0 {
		return nil
	}
	return judge(ctx, x, c.response, func(s policy.ResponseStage) *exchange.Refusal { return s.Response(ctx, x, candidate, a) })
}

// End runs the End step.
func (c *Chain) End(x *exchange.Exchange) {
	for _, s := range c.end {
		s.End(x)
	}
}

// broken is the refusal for what a policy protects while the policy itself cannot be in force.
func broken(kind *policy.Kind, p *plan.Policy, why string) *exchange.Refusal {
	refusal := exchange.Refuse(cmp.Or(kind.Unresolved, exchange.ConfigurationInvalid), "the policy "+p.Name+" cannot be in force: "+strings.TrimSuffix(why, "."))
	refusal.Policy = p.Name
	return refusal
}
