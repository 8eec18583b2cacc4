package faults

import (
	"crypto/tls"
	"maps"
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const (
	only1 = "HTTP/1.1"
	only2 = "HTTP/2"
)

// alike is why a failure to connect is not tried again.
const alike = "nothing of it was taken, and the same backend would fail in the same way"

// faults are all ways to fail, in the order of a request's life.
var faults = append([]fault{
	{group: "Before the request is sent", name: "Nobody listens", start: nobody, atHead: true},
	{name: "The TLS handshake is cut", start: overTLS(upstream.AcceptClose, true), atHead: true},
	{name: "The destination speaks no TLS", start: overTLS(upstream.PlainText, false), atHead: true},
	{name: "The certificate proves nothing", start: impostor, atHead: true, why: alike},
	{name: "The destination wants a client certificate, in TLS 1.2", start: demanding(tls.VersionTLS12), atHead: true},
	{
		name: "The destination wants a client certificate, in TLS 1.3", start: demanding(tls.VersionTLS13), atHead: true, deaf: true,
		races: "The refusal comes after the handshake, and the request with it: `Unsent`, and not tried with the same backend; where the refusal is lost on the way, as a connection that is reset.",
	},
	{
		name: "The TLS handshake gets no answer, for `timeouts.connect`", start: overTLS(upstream.Silent, false), atHead: true,
		settings: func(s *policy.Settings) { s.Timeouts.Connect = limit },
	},
	{name: "HTTP/2 refuses the stream", only: only2, start: of2(upstream.RefuseStream, 0), atHead: true},
	{name: "GOAWAY leaves the stream out", only: only2, start: of2(upstream.GoAwayBelow, http2.ErrCodeNo), atHead: true},
	{name: "GOAWAY with an error leaves the stream out", only: only2, start: of2(upstream.GoAwayBelow, http2.ErrCodeInternal), atHead: true},

	{group: "Before the answer", name: "The connection is closed as it is accepted", only: only1, start: of1(upstream.AcceptClose), atHead: true, deaf: true},
	{
		name: "The connection is closed before its SETTINGS", only: only2, start: of2(upstream.NoSettings, 0), atHead: true, deaf: true,
		races: "`Unsent` where the end was seen before the request was written; else as a connection that is closed after the request's head.",
	},
	{name: "The connection is closed after the request's head", start: of(upstream.CloseAfterHead, upstream.HangUp), atHead: true},
	{name: "The connection is reset after the request's head", start: of(upstream.ResetAfterHead, upstream.AbortAtHead), atHead: true},
	{
		name: "A connection that has served before is closed after the request's head", only: only1, start: restarted, pooled: true, answers: true,
		why: "a new connection takes its place, if the body is at hand: one that streams is kept where the rule may send again",
	},
	{name: "The connection is closed after 100 Continue", only: only1, start: of1(upstream.CutContinue), atHead: true},
	{name: "The stream is reset, with INTERNAL_ERROR", only: only2, start: of2(upstream.ResetStream, http2.ErrCodeInternal), atHead: true},
	{name: "The stream is reset, with CANCEL", only: only2, start: of2(upstream.ResetStream, http2.ErrCodeCancel), atHead: true},
	{name: "GOAWAY covers the stream, and the connection is closed", only: only2, start: of2(upstream.GoAwayCovering, http2.ErrCodeNo), atHead: true},
	{name: "GOAWAY with an error covers the stream, and the connection is closed", only: only2, start: of2(upstream.GoAwayCovering, http2.ErrCodeInternal), atHead: true},
	{name: "What comes is no HTTP", only: only1, start: of1(upstream.Garbage)},
	{
		name: "What comes is HTTP/1.1", only: only2, start: older, atHead: true, deaf: true,
		races: "`Unsent` where it was seen before the request was written; else as a connection that is closed after the request's head.",
	},
	{name: "The answer's head breaks off", only: only1, start: of1(upstream.CutHead)},
	{
		name: "Silence, for `timeouts.firstByte`", start: of(upstream.Silent, upstream.Unanswered),
		settings: func(s *policy.Settings) { s.Timeouts.FirstByte = limit },
	},
	{
		name: "Silence, for the route's `timeouts.backendRequest`", start: of(upstream.Silent, upstream.Unanswered),
		timeouts: plan.Timeouts{BackendRequest: limit},
	},
	{
		name: "Silence, for the route's `timeouts.request`", start: of(upstream.Silent, upstream.Unanswered),
		timeouts: plan.Timeouts{Request: limit}, why: "no time is left",
	},

	{group: "Within the answer", name: "The answer comes before the request's body, and is whole", start: handled(refusing), atHead: true, answers: true},
	{name: "Whole, and then RST_STREAM with NO_ERROR", only: only2, start: of2(upstream.EarlyAnswer, 0), atHead: true, answers: true},
	{name: "Cut after the head", start: handled(cut(0, 0))},
	{name: "The stream is reset after the head", only: only2, start: of2(upstream.ResetAnswer, 0)},
	{name: "Cut in a body of stated length up to 16 KiB", start: of(upstream.CutBody, upstream.HangUpBody)},
	{name: "Ended before a body's stated length", only: only2, start: of2(upstream.ShortBody, 0)},
	{name: "Cut in a body of stated length over 16 KiB", start: handled(cut(100_000, 20_000))},
	{name: "Cut in a body of no stated length", start: of(upstream.CutChunked, upstream.ResetBody)},
	{name: "Cut in the trailers", start: of(upstream.CutTrailers, upstream.ResetTrailers)},
	{
		name: "Silence in a body of stated length up to 16 KiB, for `timeouts.streamIdle`", start: handled(stall(1000, 100)),
		settings: func(s *policy.Settings) { s.Timeouts.StreamIdle = limit },
	},
	{
		name: "Silence in a longer body, for `timeouts.streamIdle`", start: handled(stall(0, 100)),
		settings: func(s *policy.Settings) { s.Timeouts.StreamIdle = limit },
	},
}, malformed()...)

// malformed are answers whose heads break HTTP/2's rules.
func malformed() []fault {
	var list []fault
	for _, name := range slices.Sorted(maps.Keys(upstream.BadHeads())) {
		start := func(t *testing.T, v version, s *site) far {
			f := testkit.HTTP2Fault(t, upstream.HTTP2FaultConfig{Kind: upstream.BadHead, Fields: upstream.BadHeads()[name]})
			s.record = f.Record
			return far{address: f.Addr(), protocol: v.protocol()}
		}
		list = append(list, fault{name: "Wrong: " + name, only: only2, start: start, answers: slices.Contains(hopByHop, name)})
	}
	list[0].group = "Heads that break HTTP/2's rules"
	return list
}

// hopByHop are fields that have no place in HTTP/2, and are taken off answers as they are of HTTP/1.1.
var hopByHop = []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
