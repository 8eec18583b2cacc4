package policy

import (
	"context"
	"crypto/tls"
	"net/netip"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// The steps of the data path, in order: Request, Body, Candidate, Attempt, Address, Handshake, Response, End. A stage
// implements any of the interfaces below; within a step the table's order is the order of work. A refusal is final but
// in Candidate, where it takes the backend out of the draw. Stages are shared by all requests and keep no reference to
// what they are given.

// RequestStage judges a request once its rule is known. Policies of class, Gateway, listener, route and rule act here.
type RequestStage interface {
	Request(ctx context.Context, x *exchange.Exchange) *exchange.Refusal
}

// BodyStage reads the request's body before a backend is picked. Policies of class, Gateway, listener, route and rule
// act here. Without one bodies are never held.
type BodyStage interface {
	// BodyNeed is how many bytes of the body it must see; a longer body is refused (whole) or cut (prefix).
	BodyNeed() (bytes int64, whole bool)
	Body(ctx context.Context, x *exchange.Exchange, body []byte) *exchange.Refusal
}

// CandidateStage may veto a backend for a request.
type CandidateStage interface {
	Candidate(ctx context.Context, x *exchange.Exchange, c *Candidate) *exchange.Refusal
}

// AttemptStage works on an attempt's own view of the request's head, before it is sent.
type AttemptStage interface {
	Attempt(ctx context.Context, x *exchange.Exchange, c *Candidate, a *exchange.Attempt) *exchange.Refusal
}

// AddressStage may veto an address before it is dialled.
type AddressStage interface {
	Address(ctx context.Context, a *AddressCheck) *exchange.Refusal
}

// HandshakeStage may refuse a connection after its TLS handshake and before any request byte.
type HandshakeStage interface {
	Handshake(ctx context.Context, b *plan.Backend, state *tls.ConnectionState) *exchange.Refusal
}

// ResponseStage sees the answer's head before the client does. A refusal replaces the answer; its body is discarded.
type ResponseStage interface {
	Response(ctx context.Context, x *exchange.Exchange, c *Candidate, a *exchange.Attempt) *exchange.Refusal
}

// EndStage sees every exchange once, when it is over. Policies of class, Gateway, listener, route and rule act here.
type EndStage interface {
	End(x *exchange.Exchange)
}

// Tuner adjusts the engine's own knobs for a (rule, backend) or a rule, once when the table is built.
type Tuner interface {
	Tune(s *Settings)
}

// Candidate is a backend under consideration, with what would be sent to it.
type Candidate struct {
	Backend   *plan.Backend
	Namespace string // the route's
	Hostname  string // name dialled: the backend's, or for a wildcard the request's; empty for bare addresses
	Host      string // Host that would be sent, without port
	Path      string // path that would be sent, after rewrites, without query
	Settings  *Settings
}

// AddressCheck is an address about to be dialled.
type AddressCheck struct {
	Backend  *plan.Backend
	Hostname string
	Address  netip.Addr // unmapped
	Class    AddressClass
	Pod      bool      // a Service's endpoint that is a known Pod of the Service's own namespace
	Settings *Settings // the chain's; where it is nil nothing but public addresses passes
}
