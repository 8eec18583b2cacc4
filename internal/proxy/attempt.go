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
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// rejectedTimeout is how long the rest of a refused answer is waited for, which the audit log alone wants.
const rejectedTimeout = time.Second

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
	if j.rule.rewrite != nil && j.rule.rewrite.Path != nil && !c.asIs() {
		judged.Path = match.RewritePath(r.Path, j.rule.rewrite.Path, j.found.Prefix)
	}
	judged.Host = hostname.Of(j.authority(c))
	return judged
}

// authority is the Host sent to a backend: its own name, or for a Service the client's or the rewritten one.
func (j *journey) authority(c *candidate) string {
	switch {
	case c.asIs() && j.x.Request.Authority != "":
		return j.x.Request.Authority
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

// attempts tries the picked backend, and goes on as the outcome allows.
func (j *journey) attempts(ctx context.Context, c *candidate) *exchange.Refusal {
	if refusal := j.holdBody(); refusal != nil {
		return refusal
	}
	j.keepBody()
	j.mirror()
	c.budget.request()
	for {
		j.x.Backend = c.backend.Name
		begun := time.Now()
		a := j.x.NextAttempt()
		a.Backend, a.Duplicate = c.backend.Name, j.doubled
		refusal := j.attempt(ctx, c, a)
		a.Duration = time.Since(begun)
		if refusal != nil {
			a.Reason, a.Detail = refusal.Reason, refusal.Log
		}
		a.Class = j.outcome.class.String()
		j.learn(c, a)
		next := j.again(ctx, c, a)
		switch {
		case next == nil && j.outcome.spent:
			return j.spent()
		case next == nil && refusal == nil && !j.outcome.final:
			return j.deliver(c, a)
		case next == nil && refusal == nil:
			j.call.Finish() // in the pause before another: the upload may still run
			return j.ended(a)
		case next == nil && j.spare != nil && j.outcome.class == policy.Unsent && !j.outcome.final:
			return j.fallBack()
		case next == nil:
			return refusal
		}
		if j.outcome.answered {
			j.keepAnswer(c)
			j.reuse = j.call.Discard()
		}
		j.release()
		if !j.rewind() {
			return j.unread(errEnded)
		}
		c = next
	}
}

// limit is the time that the attempt may take, where the route bounds it apart from the whole (GEP-1742).
func (j *journey) limit(c *candidate) time.Duration {
	if whole := stated(j.rule.plan.Timeouts.Request, c.chain.Settings.Timeouts.Request); whole != j.rule.timeout {
		j.limitWhole(max(whole-time.Since(j.x.Start), min(whole, time.Nanosecond)))
	}
	return max(j.rule.plan.Timeouts.BackendRequest, 0)
}

// attempt is one try up to the head of its answer: the request as this backend gets it, a connection, what comes back.
func (j *journey) attempt(ctx context.Context, c *candidate, a *exchange.Attempt) *exchange.Refusal {
	j.outcome = outcome{}
	j.view(c, a)
	chain, judged := j.credential(c)
	refusal := j.tell(c, a)
	if refusal == nil {
		refusal = chain.Attempt(ctx, j.x, judged, a)
	}
	if refusal != nil {
		j.outcome.final = true
		return refusal
	}
	limit, begun := j.limit(c), time.Now()
	j.watch.Try(0)
	if refusal := j.dial(ctx, c, a, limit); refusal != nil {
		return refusal
	}
	if limit > 0 {
		j.watch.Try(max(limit-time.Since(begun), time.Nanosecond))
	}
	j.call = forward.Call{
		X: j.x, Attempt: a, Client: j.conn, Up: j.up, Watch: j.watch,
		Timeouts: c.chain.Settings.Timeouts, Held: j.held, Logger: j.server.config.Logger,
	}
	err := j.call.Send()
	if err == nil {
		err = j.call.Answer()
	}
	if err != nil {
		refusal := j.failed(err, a)
		j.reuse = false
		j.call.Finish()
		return refusal
	}
	j.call.Account()
	a.Status, a.Version = j.x.Response.Status, j.x.Response.Version
	if refusal := chain.Response(ctx, j.x, judged, a); refusal != nil {
		j.outcome.final = true
		j.rejected(refusal)
		return refusal
	}
	j.classify(c)
	if j.outcome.class == 0 {
		return j.await(a)
	}
	return nil
}

// deliver gives the answer to the client.
func (j *journey) deliver(c *candidate, a *exchange.Attempt) *exchange.Refusal {
	j.respond(c)
	var err error
	if j.call.Switched() {
		err = j.call.Tunnel()
	} else {
		err = j.call.Copy()
	}
	j.reuse = j.call.Finish() && err == nil
	if err != nil {
		refusal := j.cut(err, a)
		j.learnCut(c, a, refusal, err)
		return refusal
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
	if c.persistence != nil {
		c.persistence.Strip(&a.Header)
	}
	for _, m := range j.rule.filters.request {
		match.ApplyRequestHeaders(&a.Header, m)
	}
	for _, m := range c.filters.request {
		match.ApplyRequestHeaders(&a.Header, m)
	}
	a.Header.Add("Via", j.port.gateway.via[j.x.Request.Version])
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
func (j *journey) dial(ctx context.Context, c *candidate, a *exchange.Attempt, limit time.Duration) *exchange.Refusal {
	target, err := j.target(c)
	if err == nil {
		r := &j.x.Request
		j.up, err = j.server.dialer.Get(ctx, target, dial.Want{
			HTTP2: r.Version == exchange.HTTP2, Switch: r.Upgrade != "", Endpoint: j.endpoint(c), Limit: limit,
		})
	}
	if c.reports() {
		j.x.Reported = exchange.NotesOf(ctx).Take(j.x.Reported)
	}
	if err != nil {
		j.up = nil
		return j.unreached(err, a)
	}
	a.Address, a.Reused = j.up.Address(), j.up.Reused()
	if !j.watch.Attach(j.up.Raw()) {
		j.reuse = false
		j.outcome.class = policy.Unsent
		return j.halted(a)
	}
	return nil
}

// respond finishes the answer's head.
func (j *journey) respond(c *candidate) {
	h := &j.x.Response.Header
	j.dress(c, h)
	j.remember(c, h)
}

// dress gives an answer's head what the rule, the backend reference and we ourselves have to say.
func (j *journey) dress(c *candidate, h *exchange.Header) {
	for _, m := range j.rule.filters.response {
		match.ApplyResponseHeaders(h, m)
	}
	for _, m := range c.filters.response {
		match.ApplyResponseHeaders(h, m)
	}
	if j.rule.cors != nil {
		j.rule.cors.Mark(&j.x.Request, h)
	}
	h.Set(requestIDField, j.x.ID)
}

// rejected ends an answer that a Response stage refused; its body may go to the audit log.
func (j *journey) rejected(refusal *exchange.Refusal) {
	j.reuse = false
	if body := j.x.Response.Body; body != nil && refusal.Redact != nil {
		const bound = 8 << 10 // twice what is logged, so that no secret is cut before it is blanked
		j.watch.Arm(watch.FirstByteTimeout, rejectedTimeout)
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
	j.watch.Attach(nil)
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
