package proxy

import (
	"context"
	"slices"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/pick"
)

// tier is where a rule puts a backend: as its own tiers list it, the unlisted last; without them by its priority.
func tier(listed [][]string, backend string, priority int) int {
	for i, names := range listed {
		if slices.Contains(names, backend) {
			return i
		}
	}
	if len(listed) > 0 {
		return len(listed)
	}
	return priority
}

// choose draws the candidate to go to: of the best tier that has one which is healthy, allowed and has room. Where there
// is none such in any tier, health and room do not count. It is -1 where policy vetoed all, or all have been tried; the
// refusal is then the first veto.
func (j *journey) choose(ctx context.Context, first bool) (int, *exchange.Refusal) {
	var vetoed *exchange.Refusal
	take := func(i int, force bool) pick.Answer {
		c := j.rule.candidates[i]
		switch {
		case c.fault != nil && first:
			return pick.Taken // keeps its weight, and answers for itself
		case c.fault != nil || slices.Contains(j.tried, i):
			return pick.Refused
		case !force && !c.ready():
			return pick.Spared
		}
		refusal := j.permitted(ctx, c)
		if refusal == nil {
			return pick.Taken
		}
		j.veto(c, refusal)
		if vetoed == nil {
			vetoed = refusal
		}
		return pick.Refused
	}
	if first {
		if i := j.remembered(); i >= 0 && take(i, false) == pick.Taken {
			return i, nil
		}
	}
	return pick.Choose(j.rule.tiers, take), vetoed
}

// permitted asks policy whether the request may go to the candidate. What would be sent stays in judged.
func (j *journey) permitted(ctx context.Context, c *candidate) *exchange.Refusal {
	j.judged = j.candidate(c)
	return j.vet(ctx, c, &j.judged)
}

// veto notes for the logs whom policy took out of the draw, once.
func (j *journey) veto(c *candidate, r *exchange.Refusal) {
	if slices.ContainsFunc(j.x.Vetoed, func(v exchange.Veto) bool { return v.Backend == c.backend.Name }) {
		return
	}
	j.x.Vetoed = append(j.x.Vetoed, exchange.Veto{
		Backend: c.backend.Name, Region: c.chain.Settings.Region, Reason: r.Reason, Policy: r.Policy, Field: r.Field,
	})
}

// pick is the backend that the request is sent to first.
func (j *journey) pick(ctx context.Context) (*candidate, *exchange.Refusal) {
	i, vetoed := j.choose(ctx, true)
	switch {
	case i < 0 && vetoed != nil:
		return nil, vetoed
	case i < 0:
		return nil, exchange.Refuse(exchange.NoBackend, "the rule has no backend with a weight")
	}
	j.tried = append(j.tried, i)
	c := j.rule.candidates[i]
	if c.fault == nil {
		return c, nil
	}
	if c.backend != nil {
		j.x.Backend = c.backend.Name
	}
	return nil, copyOf(c.fault)
}

// untried draws one of the rule's backends that has not been asked and may be.
func (j *journey) untried(ctx context.Context) *candidate {
	i, _ := j.choose(ctx, false)
	if i < 0 {
		return nil
	}
	j.tried = append(j.tried, i)
	return j.rule.candidates[i]
}
