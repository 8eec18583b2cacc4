package proxy

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/hostname"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/forward"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
	"github.com/ebbgate/ebbgate/internal/proxy/match"
	"github.com/ebbgate/ebbgate/internal/proxy/session"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// journey is one exchange on its way through the steps. One is kept per connection and used again.
type journey struct {
	server  *Server
	conn    accept.Client
	peer    *accept.Peer
	watch   *watch.Entry
	x       *exchange.Exchange
	port    *port
	found   match.Result
	rule    *rule
	judged  policy.Candidate
	near    policy.Candidate // judged, as it concerns the parent
	told    string           // what the parent is told with the wish for a tunnel
	call    forward.Call
	up      dial.Upstream
	reuse   bool  // up goes back to its pool
	taken   int64 // of the process's memory, as the exchange has said
	held    []byte
	hold    *[]byte // room of a held body, from holds
	kept    *replay // of a body that streams
	spare   *spare  // an answer that rejected the request
	outcome outcome
	token   session.Token

	preflight bool      // of CORS: the answer's fields are there
	mirrors   []*mirror // to be sent once the body has been read
	tried     []int     // indexes of the rule's candidates that were asked
	repeats   int
	doubled   bool // work that was perhaps done has been asked for again
	stale     int
}

// Serve implements accept.Handler: one request through all steps.
func (s *Server) Serve(c accept.Client) {
	j := s.journey(c)
	whole := false
	defer func() {
		if !whole {
			j.abandon()
		}
	}()
	refusal := j.steps(c.Context())
	if refusal != nil {
		j.refuse(refusal)
	}
	j.end()
	whole = true
}

// abandon lets go of what an exchange holds that panicked.
func (j *journey) abandon() {
	j.giveBack()
	if j.up != nil {
		_ = j.up.Close()
	}
	if j.kept != nil {
		j.kept.close()
	}
}

// steps are the data path, in order. A refusal that comes back is rendered once, by Serve.
func (j *journey) steps(ctx context.Context) *exchange.Refusal {
	if refusal := j.identify(ctx); refusal != nil {
		return refusal
	}
	if refusal := j.shed(); refusal != nil {
		return refusal
	}
	if refusal := j.match(); refusal != nil {
		return refusal
	}
	if refusal := j.judge(ctx); refusal != nil {
		return refusal
	}
	switch {
	case j.preflight:
		return j.reply(http.StatusNoContent)
	case j.rule.redirect != nil:
		return j.redirect()
	}
	picked, refusal := j.pick(ctx)
	if refusal != nil {
		return refusal
	}
	return j.attempts(ctx, picked)
}

func (s *Server) journey(c accept.Client) *journey {
	common := c.Common()
	j, ok := common.Served.(*journey)
	if !ok {
		j = new(journey)
		common.Served = j
	}
	*j = journey{server: s, conn: c, peer: &common.Peer, watch: common.Watch, x: &common.X, tried: j.tried[:0], mirrors: j.mirrors[:0]}
	return j
}

// identify names the client, and takes from the head what only peers of ours may say.
func (j *journey) identify(ctx context.Context) *exchange.Refusal {
	j.port = j.server.table.Load().ports[j.peer.Socket]
	if j.port == nil {
		j.conn.Retire()
		return exchange.Refuse(exchange.ShuttingDown, "this listener is going away")
	}
	j.x.Gateway = j.port.gateway.plan.Name
	from := connection(j.peer)
	from.Now, from.Proxy = j.x.Start, j.conn.Common().Proxy
	if from.Origin != nil && j.port.gateway.identity.Waits() {
		from.Origin.Settle(ctx)
		if from.Origin.Retire() {
			j.conn.Retire()
		}
	}
	if j.peer.TLS != j.port.tls { // its certificate, or its client's, was judged under what holds no more
		j.conn.Retire()
		if j.peer.TLS == nil || j.port.tls == nil || !j.port.tls.Admits(j.peer.State) {
			return exchange.Refuse(exchange.Misdirected, "this connection was made under a setting of TLS that is no longer in force")
		}
		from.SPIFFE = j.port.tls.Peer(j.peer.State)
	}
	var unreadable error
	j.x.Client, j.x.Hop, unreadable = j.port.gateway.identity.Identify(from, &j.x.Request.Header)
	j.x.Request.Header.Filter(func(f exchange.Field) bool { return !exchange.Ours(f.Name) })
	return j.passed(unreadable)
}

// match finds the rule. What nobody configured is not served: the gateway is no open relay.
func (j *journey) match() *exchange.Refusal {
	r := &j.x.Request
	if r.Method == http.MethodConnect {
		j.conn.Last() // what follows may be meant for the tunnel
		return exchange.Refuse(exchange.RouteNotFound, "no route takes CONNECT here")
	}
	j.found = j.port.match.Match(r, j.peer.SNI)
	if j.found.Listener != nil {
		j.x.Listener = j.found.Listener.Name
	}
	switch {
	case j.found.Misdirected:
		return exchange.Refuse(exchange.Misdirected, "this connection's server name and the request's host belong to different listeners")
	case j.found.Listener == nil && j.port.gateway.plan.Local:
		return exchange.Refuse(exchange.RouteNotFound, "this gateway answers to the host localhost alone")
	case j.found.Rule == nil:
		return exchange.Refuse(exchange.RouteNotFound, "no route takes this host, path and method")
	}
	j.rule = j.port.gateway.rules[j.found.Listener.Name][j.found.Index]
	j.x.Route, j.x.Rule = j.rule.plan.Route, j.rule.label
	return nil
}

// judge is what can be decided before a backend is picked.
func (j *journey) judge(ctx context.Context) *exchange.Refusal {
	j.limitWhole(j.rule.timeout)
	local := j.port.gateway.plan.Local || j.x.Client.Source == exchange.SourceLoopback
	if local && crossOrigin(&j.x.Request.Header) && (j.rule.cors == nil || !j.rule.cors.Allows(&j.x.Request)) {
		return exchange.Refuse(exchange.CrossOriginDenied, "this gateway serves no requests that a web page made")
	}
	if j.rule.fault != nil {
		return copyOf(j.rule.fault)
	}
	if refusal := j.rule.chain.Request(ctx, j.x); refusal != nil {
		return refusal
	}
	if refusal := j.boundBody(); refusal != nil {
		return refusal
	}
	if j.rule.cors != nil && j.rule.cors.Preflight(&j.x.Request, &j.x.Response.Header) {
		j.preflight = true
		return nil
	}
	if need, whole := j.rule.chain.BodyNeed(); need > 0 || whole {
		return j.judgeBody(ctx, need, whole)
	}
	return nil
}

// copyOf keeps shared refusals from being changed by one exchange.
func copyOf(r *exchange.Refusal) *exchange.Refusal { c := *r; return &c }

// crossOrigin reports whether a web page of another site could have made the request.
func crossOrigin(h *exchange.Header) bool {
	if exchange.EqualFold(h.Get("Sec-Fetch-Site"), "cross-site") {
		return true
	}
	for _, origin := range h.Values("Origin") {
		_, host, _ := strings.Cut(origin, "://")
		if !localHost(host) {
			return true
		}
	}
	return false
}

func localHost(authority string) bool {
	host := hostname.Of(authority)
	if exchange.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// redirect answers without a backend.
func (j *journey) redirect() *exchange.Refusal {
	scheme := "http"
	if j.peer.Secure {
		scheme = "https"
	}
	h := &j.x.Response.Header
	h.Set("Location", match.Location(&j.x.Request, scheme, j.port.number, j.rule.redirect, j.found.Prefix))
	for _, m := range j.rule.filters.response {
		match.ApplyResponseHeaders(h, m)
	}
	if j.rule.cors != nil {
		j.rule.cors.Mark(&j.x.Request, h)
	}
	return j.reply(j.rule.redirect.Status)
}

// reply is an answer of our own that is no refusal, without a body.
func (j *journey) reply(status int) *exchange.Refusal {
	res := &j.x.Response
	res.Status, res.Phrase, res.Length = status, http.StatusText(status), 0
	res.Header.Set(requestIDField, j.x.ID)
	j.discard()
	j.watch.Arm(watch.StreamIdleTimeout, answerTimeout)
	if err := j.conn.Begin(res, nil, true); err != nil {
		j.x.Aborted = "client"
	}
	return nil
}

// limitWhole bounds the whole exchange: by d, and by what a gRPC client says of its call.
func (j *journey) limitWhole(d time.Duration) {
	if own := grpcTimeout(&j.x.Request); own > 0 && (d == 0 || own < d) {
		d = own
	}
	j.watch.Limit(d)
}

// end is the last step, always and once.
func (j *journey) end() {
	x := j.x
	x.Duration = time.Since(x.Start)
	if j.kept != nil {
		x.BytesIn = j.kept.before + j.kept.total // however often they were sent
	}
	if j.rule != nil {
		j.rule.chain.End(x)
	}
	j.server.config.Observer.End(x)
	j.watch.End()
	j.release() // after the logs: the answer's strings are the upstream connection's
	if len(j.mirrors) > 0 {
		j.mirrorLate()
	}
	if j.kept != nil {
		j.kept.close()
	}
	if j.hold != nil {
		if cap(*j.hold) <= 2*forward.HoldMax {
			holds.Put(j.hold)
		}
		j.hold, j.held = nil, nil
	}
	j.giveBack()
}

// Broken implements accept.Handler: the head could not be read.
func (s *Server) Broken(c accept.Client, peer *http1.Error) {
	j := s.journey(c)
	if p := s.table.Load().ports[j.peer.Socket]; p != nil {
		j.x.Gateway = p.gateway.plan.Name
		j.x.Client, _, _ = p.gateway.identity.Identify(connection(j.peer), nil)
	}
	refusal := exchange.Refuse(exchange.RequestTimeout, "the request's head took too long")
	if peer != nil {
		refusal = malformed(peer)
	}
	j.refuse(refusal)
	j.end()
}

// malformed is the refusal of a request that breaks HTTP's rules, or the codec's bounds.
func malformed(peer *http1.Error) *exchange.Refusal {
	refusal := exchange.Refuse(exchange.BadRequest, peer.Text)
	refusal.Status = peer.Status
	switch peer.Status {
	case http.StatusRequestHeaderFieldsTooLarge:
		refusal.Reason = exchange.HeadTooLarge
	case http.StatusServiceUnavailable:
		refusal.Reason = exchange.Overloaded
	}
	return refusal
}

// connection is what identify asks of a client's connection.
func connection(p *accept.Peer) identify.Connection {
	origin, _ := p.Origin.(*identify.Origin)
	return identify.Connection{Address: p.Address, SPIFFE: p.SPIFFE, Origin: origin}
}
