package proxy

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// staleTries is how often a request that met a dying pooled connection is given another, beside all retries.
const staleTries = 3

const maxBackoff = 10 * time.Second

// outcome is what an attempt came to that did not simply succeed.
type outcome struct {
	final    bool         // policy refused, the client is at fault, or its time is over
	class    policy.Class // what it proves; zero: nothing is wrong
	silent   bool         // no byte of an answer came
	alone    bool         // a stream ended, and its connection lives
	hopeless bool         // the same backend would fail in the same way
	answered bool         // an answer is at hand for the client
	coded    bool         // its status is one of the route's retry codes
	spent    bool         // it might be repeated, but for the retry budget that a policy has written
}

// place is where a request may be sent again.
type place uint8

const (
	nowhere place = iota
	same          // to the same backend
	other         // to another backend of the rule
)

// again is the one place that decides whether a request is sent again, and to which backend: nil for no. It waits for
// the backoff.
func (j *journey) again(ctx context.Context, c *candidate, a *exchange.Attempt) *candidate {
	o := &j.outcome
	if o.final || o.class == 0 || !j.replayable() {
		return nil
	}
	tries := staleTries
	if o.alone { // refused by a far side that is there and busy: once, as gRPC's own clients do
		tries = 1
	}
	if a.Reused && o.stale(idempotent(j.x.Request.Method)) && j.stale < tries && j.claim() {
		j.stale++
		return c
	}
	attempts, backoff := j.retries(&c.chain.Settings.Retry)
	if j.repeats >= attempts {
		return nil
	}
	next, wait := j.next(ctx, c, backoff)
	if next == nil {
		return nil
	}
	if !j.affords(c, next) {
		a.Detail = strings.TrimPrefix(a.Detail+"; not sent again: the budget of retries is used up", "; ")
		return nil
	}
	if !j.claim() {
		return nil
	}
	j.repeats++
	j.doubled = j.doubled || o.class > policy.Rejected && !idempotent(j.x.Request.Method) && !(next == c && c.keyed(j))
	if wait > 0 && !pause(ctx, wait) {
		j.outcome.final = true
		return nil
	}
	return next
}

// affords takes the repetition from the budgets that bound it. What a user wrote for a backend bounds all; a route's own
// retry yields to that alone. What was never sent has a budget of its own, and one that goes to another backend repeats no
// work there: the gateway's alone bounds it.
func (j *journey) affords(c, next *candidate) bool {
	g, b := j.port.gateway, next.budget
	switch {
	case b.setting.Written:
		taken := b.take(b.requests.sum(b.now()))
		j.outcome.spent = !taken
		return taken
	case j.rule.plan.Retry != nil:
		return true
	case j.outcome.class == policy.Unsent:
		return g.unsent.take(g.requests())
	}
	return (next != c || b.take(b.requests.sum(b.now()))) && g.retries.take(g.requests())
}

// stale reports whether a pooled connection died under a request that may go on another (RFC 9110, section 9.2.2).
func (o *outcome) stale(idempotent bool) bool {
	return !o.hopeless && (o.class == policy.Unsent || o.class == policy.Reset && o.silent && !o.alone && idempotent)
}

// spent answers in the place of a repetition that the retry budget does not let happen (XBackendTrafficPolicy,
// retryConstraint).
func (j *journey) spent() *exchange.Refusal {
	if j.outcome.answered {
		j.reuse = j.call.Discard()
	}
	return exchange.Refuse(exchange.Overloaded, "the attempt failed, and as many requests to this backend are being repeated as policy lets")
}

// retries are how many there may be and the least pause before one on the same backend: the route's own where it has them.
func (j *journey) retries(s *policy.Retry) (attempts int, backoff time.Duration) {
	attempts, backoff = s.Attempts, s.Backoff
	if own := j.rule.plan.Retry; own != nil {
		attempts = statedCount(own.Attempts, attempts)
		if own.Backoff > 0 {
			backoff = own.Backoff
		}
	}
	return attempts, backoff
}

func statedCount(own, policys int) int {
	if own != 0 {
		return max(own, 0)
	}
	return policys
}

// next is the backend to go on with, and the pause before it.
func (j *journey) next(ctx context.Context, c *candidate, backoff time.Duration) (*candidate, time.Duration) {
	first, second := j.places(c)
	for _, p := range [...]place{first, second} {
		switch p {
		case other:
			if next := j.untried(ctx); next != nil {
				return next, 0
			}
		case same:
			if !j.outcome.hopeless {
				return c, jittered(backoff, j.repeats)
			}
		}
	}
	return nil, 0
}

// places are where the outcome lets the request go, in order (API: EgressPolicy.retry; GEP-1731).
func (j *journey) places(c *candidate) (first, second place) {
	o, s, own := &j.outcome, &c.chain.Settings.Retry, j.rule.plan.Retry != nil
	safe := idempotent(j.x.Request.Method)
	switch {
	case c.parent != nil && o.class != policy.Unsent: // what the parent has got is the parent's to repeat
		return nowhere, nowhere
	case o.class == policy.Unsent:
		if s.On&policy.Unsent != 0 {
			first = other
		}
		if own {
			second = same
		}
		return first, second
	case o.class == policy.Rejected:
		if s.On&policy.Rejected != 0 {
			first = other
		}
		if o.coded && (safe || slices.Contains(s.Statuses, j.x.Response.Status)) {
			second = same
		}
		return first, second
	case s.Duplicates && !safe && s.On&o.class != 0:
		if o.coded || own && (o.class == policy.Reset || o.class == policy.TimedOut) { // else no provider does it twice
			second = same
		}
		return other, second
	case !safe:
		if s.On&o.class != 0 && c.keyed(j) {
			return same, nowhere
		}
		return nowhere, nowhere
	case o.coded, own && (o.class == policy.Reset || o.class == policy.TimedOut):
		return same, nowhere
	case s.On&o.class != 0:
		return other, same
	}
	return nowhere, nowhere
}

// keyed reports whether the backend itself tells that it was asked for the same work before.
func (c *candidate) keyed(j *journey) bool {
	return c.chain.Settings.Retry.KeysHonoured && j.x.Request.Header.Has("Idempotency-Key")
}

// jittered is the pause before the nth repeat on one backend: at least the backoff, doubled each time (GEP-1731).
func jittered(backoff time.Duration, n int) time.Duration {
	d := min(backoff<<min(n, 10), max(maxBackoff, backoff))
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/4+1)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// classify tells what an answer says of the work, where that is not simply that it was done.
func (j *journey) classify(c *candidate) {
	o, res, s := &j.outcome, &j.x.Response, &c.chain.Settings.Retry
	*o = outcome{answered: true}
	if own := j.rule.plan.Retry; own != nil {
		o.coded = slices.Contains(own.Codes, res.Status)
	}
	switch {
	case slices.Contains(s.Statuses, res.Status),
		res.Status == http.StatusServiceUnavailable && (c.service || res.Header.Has("Retry-After")):
		o.class = policy.Rejected
	case res.Status >= 500, o.coded:
		o.class = policy.GatewayError
	}
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
