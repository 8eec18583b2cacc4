package proxy

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/forward"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// unreached is the refusal for a backend that no connection could be made to. Nothing was sent.
func (j *journey) unreached(err error, a *exchange.Attempt) *exchange.Refusal {
	if refusal := j.ended(a); refusal != nil {
		return refusal
	}
	e := dialError(err)
	j.outcome.class = policy.Unsent
	j.outcome.hopeless = e.Reason == exchange.TLSVerificationFailed || e.Reason == exchange.Internal
	a.Credential = "" // written into a head that nobody got
	a.Address = e.Address
	if e.Refusal != nil {
		j.outcome.final = true
		refusal := copyOf(e.Refusal)
		refusal.Log = words(err)
		return refusal
	}
	refusal := exchange.Refuse(e.Reason, details[e.Reason])
	if errors.Is(err, dial.ErrNoEndpoints) {
		refusal.Status = http.StatusServiceUnavailable // HTTPRouteRule.backendRefs
	}
	refusal.Log = words(err)
	return refusal
}

// details are what clients are told of failures towards a backend: no address and no library's words.
var details = map[exchange.Reason]string{
	exchange.DNSFailed:             "the destination's name cannot be resolved",
	exchange.ConnectFailed:         "the destination cannot be reached",
	exchange.ConnectTimeout:        "the destination did not take the connection in time",
	exchange.TLSFailed:             "the TLS handshake with the destination failed",
	exchange.TLSVerificationFailed: "the destination's certificate does not prove that it is who it should be",
	exchange.Overloaded:            "every connection that policy allows to the destination is in use",
	exchange.Internal:              "the gateway could not make a connection",
	exchange.UpstreamReset:         "the destination ended the connection before it answered",
	exchange.UpstreamInvalid:       "the destination's answer is no valid HTTP",
	exchange.UpstreamTimeout:       "the destination did not answer in time",
	exchange.OutcomeUnknown:        "the request was sent and no answer came: whether the destination did the work is not known",
	exchange.RequestTimeout:        "the request's body took too long",
	exchange.ClientGone:            "the client left before its answer was complete",
	exchange.ShuttingDown:          "the gateway is shutting down",
	exchange.StreamIdle:            "the destination fell silent within its answer",
}

// failed is the refusal for an attempt that ended before an answer's head.
func (j *journey) failed(err error, a *exchange.Attempt) *exchange.Refusal {
	facts := j.call.Facts(err)
	if refusal := j.ended(a); refusal != nil {
		switch {
		case facts.Unsent:
			j.outcome.class = policy.Unsent
		case refusal.Reason != exchange.ClientGone && refusal.Reason != exchange.ShuttingDown:
			j.outcome.class = policy.TimedOut
		}
		return refusal
	}
	if errors.Is(err, forward.ErrRequestBody) || errors.Is(err, accept.ErrClient) {
		return j.clientFailed(err)
	}
	var wrong *http1.Error
	j.outcome.class, j.outcome.silent, j.outcome.alone = policy.Reset, facts.Silent, facts.Alone
	reason := exchange.UpstreamReset
	switch {
	case errors.Is(err, http1.ErrUnwritable): // so it would be to any backend
		j.outcome.class, j.outcome.final, reason = policy.Unsent, true, exchange.Internal
	case facts.Unsent:
		j.outcome.class = policy.Unsent
		if !a.Reused && dial.RefusedByPeer(err) {
			j.outcome.hopeless, reason = true, exchange.TLSFailed
		} else if errors.As(err, &wrong) { // the far side cannot be asked for it at all
			j.outcome.hopeless, reason = true, exchange.UpstreamInvalid
		}
	case errors.As(err, &wrong):
		reason = exchange.UpstreamInvalid
	case !idempotent(j.x.Request.Method):
		reason = exchange.OutcomeUnknown
	}
	refusal := exchange.Refuse(reason, details[reason])
	refusal.Log = words(err)
	return refusal
}

// halted is the refusal for a wait that was ended while a connection was taken.
func (j *journey) halted(a *exchange.Attempt) *exchange.Refusal {
	if refusal := j.ended(a); refusal != nil {
		return refusal
	}
	return exchange.Refuse(exchange.Internal, details[exchange.Internal])
}

// ended is the refusal where the wait was ended from outside; nil where it was not.
func (j *journey) ended(a *exchange.Attempt) *exchange.Refusal {
	reason, final := exchange.UpstreamTimeout, true
	cause := j.watch.Cause()
	if cause == watch.None && j.conn.Context().Err() != nil {
		cause = watch.ClientGone // told by net/http before anybody told the watch
	}
	switch cause {
	case watch.None:
		return nil
	case watch.ClientGone:
		j.x.Aborted, reason = "client", exchange.ClientGone
	case watch.Shutdown:
		reason = exchange.ShuttingDown
	case watch.NoMemory:
		reason = exchange.Overloaded
	case watch.StreamIdleTimeout, watch.AnswerTimeout, watch.EventTimeout:
		reason = exchange.StreamIdle
	case watch.BodyTimeout:
		reason = exchange.RequestTimeout
	case watch.FirstByteTimeout, watch.AttemptTimeout:
		final = false
		fallthrough
	default:
		if a.Written > 0 && !idempotent(j.x.Request.Method) {
			reason = exchange.OutcomeUnknown
		}
	}
	j.outcome.final = final
	refusal := exchange.Refuse(reason, details[reason])
	refusal.Log = overs[cause]
	if cause == watch.NoMemory {
		refusal.Detail = "the gateway has no memory left for an answer that its client does not take"
	}
	return refusal
}

// overs say for the log which time was over.
var overs = map[watch.Cause]string{
	watch.FirstByteTimeout:  "timeouts.firstByte was over",
	watch.AttemptTimeout:    "timeouts.backendRequest was over",
	watch.RequestTimeout:    "timeouts.request, or the client's grpc-timeout, was over",
	watch.StreamIdleTimeout: "timeouts.streamIdle was over",
	watch.AnswerTimeout:     "timeouts.streamIdle was over",
	watch.EventTimeout:      "timeouts.streamIdle was over",
	watch.NoMemory:          "the client took nothing of its answer",
	watch.BodyTimeout:       "the client's body came too slowly",
}

// clientFailed is for a client that did not send its body as it should, or is no longer there.
func (j *journey) clientFailed(err error) *exchange.Refusal {
	j.outcome.final = true
	j.conn.Last()
	refusal := exchange.Refuse(exchange.BadRequest, "the request's body ended early or broke the rules of its framing")
	if errors.Is(err, errOverLimit) {
		refusal = exchange.TooLarge(j.x.Request.Limit)
	} else if wrong, ok := errors.AsType[*http1.Error](err); ok {
		refusal = malformed(wrong)
	} else {
		j.x.Aborted = "client"
	}
	refusal.Log = words(err)
	return refusal
}

// cut is the refusal for an answer that broke off; the client sees a connection reset, and the log why.
func (j *journey) cut(err error, a *exchange.Attempt) *exchange.Refusal {
	j.outcome.final = true
	if errors.Is(err, accept.ErrClient) {
		j.x.Aborted = "client"
		if j.watch.Cause() == watch.NoMemory {
			j.x.Aborted = string(exchange.Overloaded)
		}
		j.conn.Abort()
		return nil
	}
	if refusal := j.ended(a); refusal != nil {
		if refusal.Reason == exchange.OutcomeUnknown { // that it began to answer is known
			refusal.Reason, refusal.Detail = exchange.UpstreamTimeout, "the destination did not complete its answer in time"
		}
		return refusal
	}
	refusal := exchange.Refuse(exchange.UpstreamReset, "the destination ended its answer before it was complete")
	if _, wrong := errors.AsType[*http1.Error](err); wrong || dial.Malformed(err) {
		refusal = exchange.Refuse(exchange.UpstreamInvalid, details[exchange.UpstreamInvalid])
	}
	refusal.Log = words(err)
	return refusal
}

// words are an error's, on one line.
func words(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
