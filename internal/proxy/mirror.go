package proxy

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/engine"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// The bounds of mirrored requests: their number at one time, what one may take, and what is read of its answer.
const (
	maxMirrors    = 128
	mirrorTimeout = time.Minute
	mirrorAnswer  = 1 << 20
)

// mirror is a RequestMirror filter.
type mirror struct {
	candidate              *candidate
	numerator, denominator int
}

func (m *mirror) drawn() bool { return rand.IntN(max(m.denominator, 1)) < m.numerator }

// mirror sends copies of the request to where the rule's filters say. They hold nothing of the exchange: a body that
// streams is copied once it has been read and kept whole, and one over that bound is not mirrored.
func (j *journey) mirror() {
	if j.server.memory.now() >= thrifty {
		j.unmirrored("the gateway has no memory left for copies of requests")
		return
	}
	for i := range j.rule.mirrors {
		m := &j.rule.mirrors[i]
		if !m.drawn() {
			continue
		}
		if j.x.Request.Body == nil || j.held != nil {
			j.server.mirror(j, m, j.held)
		} else {
			j.mirrors = append(j.mirrors, m)
		}
	}
}

// unmirrored logs the copies that are not sent.
func (j *journey) unmirrored(why string) {
	for range j.rule.mirrors {
		x := copied(j.x)
		x.Refusal = exchange.Refuse(exchange.Overloaded, why)
		j.server.config.Observer.End(x)
	}
}

// mirrorLate does the same for a body that has been read meanwhile.
func (j *journey) mirrorLate() {
	for _, m := range j.mirrors {
		body, ok := j.held, j.held != nil
		if !ok && j.kept != nil {
			body, ok = j.kept.whole()
		}
		if !ok {
			x := copied(j.x)
			x.Refusal = exchange.Refuse(exchange.BodyTooLarge, "the request's body is larger than what is mirrored, or did not come whole")
			j.server.config.Observer.End(x)
			continue
		}
		j.server.mirror(j, m, body)
	}
	j.mirrors = j.mirrors[:0]
}

// mirror sends one copy, beside the exchange.
func (s *Server) mirror(j *journey, m *mirror, body []byte) {
	x := copied(j.x)
	x.Backend = m.candidate.backend.Name
	if s.mirrors.Add(1) > maxMirrors {
		s.mirrors.Add(-1)
		x.Refusal = exchange.Refuse(exchange.Overloaded, "too many requests are being mirrored")
		s.config.Observer.End(x)
		return
	}
	if !s.memory.keep(len(body)) {
		s.mirrors.Add(-1)
		s.memory.unkeep(len(body))
		x.Refusal = exchange.Refuse(exchange.Overloaded, "too much is being kept of bodies")
		s.config.Observer.End(x)
		return
	}
	held := bytes.Clone(body)
	if held != nil {
		x.Request.Body, x.Request.Length = http.NoBody, int64(len(held))
	}
	peer := *j.peer
	twin := &journey{server: s, x: x, peer: &peer, port: j.port, rule: j.rule, found: j.found, held: held}
	s.running.Go(func() {
		defer s.mirrors.Add(-1)
		defer s.memory.unkeep(len(held))
		defer twin.survive()
		twin.mirrored(m.candidate)
	})
}

// survive keeps a mistake of ours in a copy from ending everybody's requests. Its own words may quote what one held.
func (j *journey) survive() {
	if p := recover(); p != nil {
		j.release()
		accept.LogPanic(j.server.config.Logger, p)
	}
}

// copied is the request alone, with strings of its own.
func copied(x *exchange.Exchange) *exchange.Exchange {
	r := &x.Request
	c := &exchange.Exchange{
		ID: strings.Clone(x.ID), Start: time.Now(), Client: x.Client, Hop: x.Hop, Mirrored: true,
		Gateway: x.Gateway, Listener: x.Listener, Route: x.Route, Rule: x.Rule,
		Request: exchange.Request{
			Version: r.Version, Method: strings.Clone(r.Method), Scheme: strings.Clone(r.Scheme), Authority: strings.Clone(r.Authority),
			Path: strings.Clone(r.Path), Query: strings.Clone(r.Query), Length: r.Length, Trailers: r.Trailers,
		},
	}
	c.Request.Header.Own(&r.Header)
	return c
}

// mirrored is the copy's way: one attempt, under the policies of its own backend, whose answer nobody sees.
func (j *journey) mirrored(c *candidate) {
	ctx, cancel := context.WithTimeout(exchange.WithNotes(j.server.ctx), mirrorTimeout)
	defer cancel()
	sink := &sink{ctx: ctx}
	sink.Watch = j.server.sweeper.Add(nil, func(watch.Cause) { cancel() })
	defer sink.Watch.Remove()
	j.conn, j.watch = sink, sink.Watch
	j.watch.Begin(mirrorTimeout)
	defer context.AfterFunc(ctx, j.stop)() // a route may have no time of its own, and a shutdown waits for nobody
	a := j.x.NextAttempt()
	a.Backend = c.backend.Name
	j.judged = j.candidate(c)
	refusal := j.vet(ctx, c, &j.judged)
	if refusal == nil {
		refusal = j.attempt(ctx, c, a)
	}
	if refusal == nil {
		if body := j.x.Response.Body; body != nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(body, mirrorAnswer))
		}
		j.reuse = j.call.Discard()
	} else {
		a.Reason, a.Detail = refusal.Reason, refusal.Log
	}
	j.x.Refusal = refusal
	j.x.Duration = time.Since(j.x.Start)
	j.server.config.Observer.End(j.x)
	j.watch.End()
	j.release()
}

// stop ends a copy whose time is over, or the server's.
func (j *journey) stop() {
	cause := watch.RequestTimeout
	if j.server.ctx.Err() != nil {
		cause = watch.Shutdown
	}
	j.watch.Stop(cause)
}

// sink is the client of a mirrored request: there is none.
type sink struct {
	accept.Base
	ctx context.Context //nolint:containedctx // the copy's life is the context's
}

func (s *sink) Context() context.Context                     { return s.ctx }
func (s *sink) Held() ([]byte, bool)                         { return nil, true }
func (s *sink) Consumed() bool                               { return true }
func (s *sink) Last()                                        {}
func (s *sink) Retire()                                      {}
func (s *sink) StopReading()                                 {}
func (s *sink) ResumeReading() bool                          { return true }
func (s *sink) Continue() error                              { return nil }
func (s *sink) Inform(*exchange.Response) error              { return nil }
func (s *sink) Begin(*exchange.Response, []byte, bool) error { return nil }
func (s *sink) Begun() bool                                  { return false }
func (s *sink) Room(bool) []byte                             { return nil }
func (s *sink) Send(int) error                               { return nil }
func (s *sink) End(*exchange.Header) error                   { return nil }
func (s *sink) Abort()                                       {}
func (s *sink) Tunnel() accept.Tunnel                        { return nil }

var _ accept.Client = (*sink)(nil)

// mirrors are the rule's RequestMirror filters that lead somewhere.
func (b *builder) mirrors(scope engine.Scope, r *plan.Rule) []mirror {
	var list []mirror
	for _, f := range r.Filters {
		if f.Mirror == nil || f.Mirror.Fault != nil {
			continue
		}
		scope.Backend = f.Mirror.Backend
		c := b.candidate(scope, r, &plan.RuleBackend{Backend: f.Mirror.Backend, Protocol: f.Mirror.Protocol})
		if c.fault != nil {
			continue
		}
		list = append(list, mirror{c, f.Mirror.Numerator, f.Mirror.Denominator})
	}
	return list
}
