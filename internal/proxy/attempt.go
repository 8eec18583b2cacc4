package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/hostname"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/forward"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
	"github.com/ebbgate/ebbgate/internal/proxy/pick"
)

// rejectedTimeout is how long the rest of a refused answer is waited for, which the audit log alone wants.
const rejectedTimeout = time.Second

// freshTries is how often a request that met a dying pooled connection is given another.
const freshTries = 3

// pick draws a backend by weight among those that policy does not veto.
func (j *journey) pick(ctx context.Context) (*candidate, *exchange.Refusal) {
	var vetoed, broken *exchange.Refusal
	i := pick.Draw(j.rule.weights, func(i int) bool {
		c := j.rule.candidates[i]
		if c.fault != nil {
			broken = c.fault // keeps its weight and answers for itself
			return true
		}
		j.judged = j.candidate(c)
		refusal := c.chain.Candidate(ctx, j.x, &j.judged)
		if refusal != nil && vetoed == nil {
			vetoed = refusal
		}
		return refusal == nil
	})
	switch {
	case broken != nil:
		if c := j.rule.candidates[i]; c.backend != nil {
			j.x.Backend = c.backend.Name
		}
		return nil, copyOf(broken)
	case i >= 0:
		return j.rule.candidates[i], nil
	case vetoed != nil:
		return nil, vetoed
	}
	return nil, exchange.Refuse(exchange.NoBackend, "the rule has no backend with a weight")
}

// candidate is what would be sent to a backend, for policy to judge.
func (j *journey) candidate(c *candidate) policy.Candidate {
	r := &j.x.Request
	judged := policy.Candidate{
		Backend: c.backend, Namespace: j.rule.plan.Namespace(), Settings: &c.chain.Settings,
		Hostname: c.backend.Hostname, Path: r.Path,
	}
	if c.wildcard {
		judged.Hostname = hostname.Of(r.Authority)
	}
	if j.rule.rewrite != nil && j.rule.rewrite.Path != nil {
		judged.Path = match.RewritePath(r.Path, j.rule.rewrite.Path, j.found.Prefix)
	}
	judged.Host = hostname.Of(j.authority(c))
	return judged
}

// authority is the Host sent to a backend: its own name, or for a Service the client's or the rewritten one.
func (j *journey) authority(c *candidate) string {
	switch {
	case c.authority != "":
		return c.authority
	case c.wildcard:
		return authority(hostname.Of(j.x.Request.Authority), c.backend)
	case j.rule.rewrite != nil && j.rule.rewrite.Hostname != "":
		return j.rule.rewrite.Hostname
	case j.x.Request.Authority == "":
		return c.nameless
	}
	return j.x.Request.Authority
}

// attempts tries the picked backend, and again where the attempt proved that nothing was lost by it.
func (j *journey) attempts(ctx context.Context, c *candidate) *exchange.Refusal {
	j.x.Backend = c.backend.Name
	if refusal := j.holdBody(); refusal != nil {
		return refusal
	}
	for try := 1; ; try++ {
		begun := time.Now()
		j.limit(c)
		a := j.x.NextAttempt()
		a.Backend = c.backend.Name
		refusal := j.attempt(ctx, c, a)
		if a.Duration == 0 {
			a.Duration = time.Since(begun)
		}
		if refusal == nil {
			return nil
		}
		a.Reason, a.Detail = refusal.Reason, refusal.Log
		if try > freshTries || !j.outcome.repeats(j, a) {
			return refusal
		}
		j.release()
	}
}

// limit gives the attempt what is left of the exchange's time, or its own if that is less (GEP-1742).
func (j *journey) limit(c *candidate) {
	left := time.Duration(0)
	whole := stated(j.rule.plan.Timeouts.Request, c.chain.Settings.Timeouts.Request)
	if whole > 0 {
		left = max(whole-time.Since(j.x.Start), time.Nanosecond)
	}
	if own := j.rule.plan.Timeouts.BackendRequest; own > 0 && (left == 0 || own < left) {
		left = own
	}
	j.conn.Watch.Limit(left)
}

// attempt is one try: the request as this backend gets it, a connection, the answer.
func (j *journey) attempt(ctx context.Context, c *candidate, a *exchange.Attempt) *exchange.Refusal {
	j.outcome = outcome{}
	j.view(c, a)
	if refusal := c.chain.Attempt(ctx, j.x, &j.judged, a); refusal != nil {
		j.outcome.final = true
		return refusal
	}
	if refusal := j.dial(ctx, c, a); refusal != nil {
		return refusal
	}
	j.call = forward.Call{
		X: j.x, Attempt: a, Client: j.conn, Up: j.up, Watch: j.conn.Watch,
		Timeouts: c.chain.Settings.Timeouts, Held: j.held,
	}
	err := j.call.Send()
	if err == nil {
		err = j.call.Answer()
	}
	a.Written = j.up.Written()
	a.Duration = time.Since(j.x.Start)
	if err != nil {
		j.reuse = false
		j.call.Finish()
		return j.failed(err, a)
	}
	a.Status = j.x.Response.Status
	if refusal := c.chain.Response(ctx, j.x, &j.judged, a); refusal != nil {
		j.outcome.final = true
		j.rejected(refusal)
		return refusal
	}
	j.respond(c)
	err = j.call.Copy()
	j.reuse = j.call.Finish() && err == nil
	if err != nil {
		return j.cut(err, a)
	}
	return nil
}

// view makes the attempt's own head: the client's fields without those that are not for destinations, changed as the
// rule and its backend reference say.
func (j *journey) view(c *candidate, a *exchange.Attempt) {
	r := &j.x.Request
	for _, f := range r.Header.Fields() {
		if !private(f.Name) {
			a.Header.Add(f.Name, f.Value)
		}
	}
	for _, m := range j.rule.filters.request {
		match.ApplyRequestHeaders(&a.Header, m)
	}
	for _, m := range c.filters.request {
		match.ApplyRequestHeaders(&a.Header, m)
	}
	a.Authority = j.authority(c)
	a.Path = j.judged.Path
	if r.Query != "" {
		a.Path += r.Query
	}
}

// private reports whether a field tells of the way up to here, which is no business of a destination's.
func private(name string) bool {
	switch len(name) {
	case 7:
		return exchange.EqualFold(name, "baggage")
	case 9:
		return exchange.EqualFold(name, "Forwarded") || exchange.EqualFold(name, "X-Real-IP")
	}
	return len(name) > 12 && exchange.EqualFold(name[:12], "X-Forwarded-")
}

// dial takes a connection.
func (j *journey) dial(ctx context.Context, c *candidate, a *exchange.Attempt) *exchange.Refusal {
	target, err := c.target.Host(j.judged.Hostname)
	if err == nil {
		j.up, err = j.server.dialer.Get(ctx, target)
	}
	if c.chain.Reports() {
		j.x.Reported = exchange.NotesOf(ctx).Take(j.x.Reported)
	}
	if err != nil {
		return j.unreached(err, a)
	}
	a.Address, a.Reused = j.up.Address(), j.up.Reused
	if !j.conn.Watch.Attach(j.up.Raw()) {
		j.reuse = false
		return j.failed(errEnded, a)
	}
	return nil
}

// respond finishes the answer's head.
func (j *journey) respond(c *candidate) {
	h := &j.x.Response.Header
	for _, m := range j.rule.filters.response {
		match.ApplyResponseHeaders(h, m)
	}
	for _, m := range c.filters.response {
		match.ApplyResponseHeaders(h, m)
	}
	h.Set(requestIDField, j.x.ID)
}

// rejected ends an answer that a Response stage refused; its body may go to the audit log.
func (j *journey) rejected(refusal *exchange.Refusal) {
	j.reuse = false
	if body := j.x.Response.Body; body != nil && refusal.Redact != nil {
		const bound = 8 << 10 // twice what is logged, so that no secret is cut before it is blanked
		_ = j.up.SetReadDeadline(time.Now().Add(rejectedTimeout))
		start, _ := io.ReadAll(io.LimitReader(body, bound))
		j.server.config.Observer.AuditBody(j.x, start, refusal.Redact)
	}
	j.call.Finish()
}

// release gives the upstream connection back, or closes it.
func (j *journey) release() {
	if j.up == nil {
		return
	}
	j.conn.Watch.Attach(nil)
	if j.reuse {
		j.up.Put()
	} else {
		_ = j.up.Close()
	}
	j.up, j.reuse = nil, false
}

var errEnded = errors.New("ended while a connection was taken")

// dialError is the failure to connect in err.
func dialError(err error) *dial.Error {
	var e *dial.Error
	if errors.As(err, &e) {
		return e
	}
	return &dial.Error{Reason: exchange.Internal, Err: err}
}
