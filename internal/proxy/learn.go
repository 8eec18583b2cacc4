package proxy

import (
	"net/http"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/provider/aside"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// faults are what reasons for a failed attempt say of a destination.
var faults = map[exchange.Reason]policy.Fault{
	exchange.DNSFailed: policy.FaultConnect, exchange.ConnectFailed: policy.FaultConnect, exchange.ConnectTimeout: policy.FaultConnect,
	exchange.TLSFailed: policy.FaultTLS, exchange.TLSVerificationFailed: policy.FaultTLS,
	exchange.UpstreamReset: policy.FaultReset, exchange.UpstreamInvalid: policy.FaultReset,
}

// learn tells the backend's health what an attempt came to. What is not the destination's doing says nothing of it: a
// policy's refusal, a client that left, a lack of room, a pooled connection that had died.
func (j *journey) learn(c *candidate, a *exchange.Attempt) {
	o := &j.outcome
	if o.final || a.Reused && o.stale(idempotent(j.x.Request.Method)) {
		return
	}
	switch o.class {
	case policy.Unsent:
		if fault := faults[a.Reason]; fault != 0 {
			c.health.Failed(fault, a.Address)
		}
	case policy.Reset:
		j.lost(c, a, o.alone)
	case policy.TimedOut:
		c.health.Failed(policy.FaultTimeout, a.Address)
	case policy.Rejected:
		j.rejectedBy(c, a)
	case policy.GatewayError:
		j.erroneous(c, a)
	default:
		c.health.Succeeded(a.Address)
	}
}

// erroneous is for an answer whose status is an error: the destination is there, unless policy counts such.
func (j *journey) erroneous(c *candidate, a *exchange.Attempt) {
	if j.x.Response.Status >= http.StatusInternalServerError && c.chain.Settings.Health.Passive.On&policy.FaultGatewayError != 0 {
		c.health.Failed(policy.FaultGatewayError, a.Address)
		return
	}
	c.health.Succeeded(a.Address)
}

// rejectedBy sets the backend aside for as long as its answer asks to be left alone. A stream that opened with an error
// says nothing of the next request.
func (j *journey) rejectedBy(c *candidate, a *exchange.Attempt) {
	res := &j.x.Response
	if res.Status == http.StatusOK {
		c.health.Succeeded(a.Address)
		return
	}
	d, said := aside.Of(&res.Header, res.Status, time.Now())
	if said {
		c.health.SetAside(d)
	}
	c.health.Rejected(said)
}

// learnCut tells of an answer that broke off.
func (j *journey) learnCut(c *candidate, a *exchange.Attempt, refusal *exchange.Refusal, err error) {
	switch {
	case refusal == nil || j.x.Aborted == "client":
	case refusal.Reason == exchange.StreamIdle && j.watch.Cause() != watch.StreamIdleTimeout:
		c.health.Failed(policy.FaultTimeout, a.Address)
	case refusal.Reason == exchange.UpstreamReset:
		j.lost(c, a, j.call.Facts(err).Alone)
	}
}

// lost counts a connection once, whatever number of streams it had; a stream that ended alone counts by itself.
func (j *journey) lost(c *candidate, a *exchange.Attempt, alone bool) {
	if alone || j.up.Lost() {
		c.health.Failed(policy.FaultReset, a.Address)
	}
}
