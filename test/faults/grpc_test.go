package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// calls are kinds of gRPC call. That of both directions keeps its own open until it has seen the end.
var calls = []struct{ name, method string }{
	{"unary", grpcecho.Unary}, {"stream of answers", grpcecho.Stream}, {"stream both ways", grpcecho.Bidi},
}

// grpcFaults are the ways to fail under a gRPC call.
var grpcFaults = []fault{
	{name: "Nobody listens", start: nobody},
	{name: "HTTP/2 refuses the stream", start: of2(upstream.RefuseStream, 0)},
	{name: "GOAWAY leaves the stream out", start: of2(upstream.GoAwayBelow, http2.ErrCodeNo)},
	{name: "The connection is closed after the call's head", start: of2(upstream.HangUp, 0)},
	{name: "The stream is reset, with INTERNAL_ERROR", start: of2(upstream.ResetStream, http2.ErrCodeInternal)},
	{name: "GOAWAY covers the stream, and the connection is closed", start: of2(upstream.GoAwayCovering, http2.ErrCodeNo)},
	{
		name: "Silence, for the route's `timeouts.request`", start: of2(upstream.Deaf, 0),
		timeouts: plan.Timeouts{Request: limit},
	},
	{name: "Cut after the answer's head", start: handled(answering(false)), answers: true},
	{name: "Cut after a message", start: handled(answering(false, message("one"))), answers: true},
	{name: "Cut within a message", start: handled(answering(false, message("one"), message("two")[:6])), answers: true},
	{name: "Ended without trailers", start: handled(answering(true, message("one"))), answers: true},
	{
		name: "Silence after a message, for `timeouts.streamIdle`", start: handled(silent(message("one"))), answers: true,
		settings: func(s *policy.Settings) { s.Timeouts.StreamIdle = limit },
	},
}

// message is one as gRPC frames it.
func message(s string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(s)))) + s
}

// answering begins an answer of gRPC's, and ends it without trailers or breaks it off.
func answering(ends bool, parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answer(w, parts)
		if !ends {
			panic(http.ErrAbortHandler)
		}
	}
}

func silent(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, parts)
		<-r.Context().Done()
	}
}

func answer(w http.ResponseWriter, parts []string) {
	w.Header().Set("Content-Type", "application/grpc")
	_ = http.NewResponseController(w).Flush()
	_, _ = io.WriteString(w, strings.Join(parts, ""))
	_ = http.NewResponseController(w).Flush()
}

// grpcTable is the page's table of calls.
func grpcTable(t *testing.T, all [][]seenCall) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| what happens | class |")
	for _, call := range calls {
		fmt.Fprintf(&b, " %s |", call.name)
	}
	b.WriteString(" two backends |\n|---|---|" + strings.Repeat("---|", len(calls)) + "---|\n")
	for i, seen := range all {
		b.WriteString(grpcLine(t, &grpcFaults[i], seen))
	}
	return b.String()
}

// seenCall is what a call's client saw, by a rule of one backend and by one of two, and the first attempt's class.
type seenCall struct{ one, two, class string }

// grpcLine is one fault's, whose kinds of call differ in what had come alone.
func grpcLine(t *testing.T, f *fault, seen []seenCall) string {
	t.Helper()
	second := seen[0].two
	var codes []string
	for i, s := range seen {
		if s.class != seen[0].class || s.two != second && !f.answers {
			t.Errorf("%s, %s: %+v, unlike other calls", f.name, calls[i].name, s)
		}
		if f.answers && s.two != s.one {
			t.Errorf("%s, %s: %+v", f.name, calls[i].name, s)
		}
		codes = append(codes, s.one)
	}
	if f.answers {
		second = "the same"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", f.name, seen[0].class, strings.Join(codes, " | "), second)
}

// runCalls is each kind of call, beside the others.
func runCalls(t *testing.T) [][]seenCall {
	t.Helper()
	all := make([][]seenCall, len(grpcFaults))
	for i := range grpcFaults {
		all[i] = make([]seenCall, len(calls))
		for k, call := range calls {
			s := &all[i][k]
			t.Run(fmt.Sprintf("gRPC/%d/one/%s", i, call.method), func(t *testing.T) {
				t.Parallel()
				s.one, s.class = runCall(t, &grpcFaults[i], call.method, false)
			})
			t.Run(fmt.Sprintf("gRPC/%d/two/%s", i, call.method), func(t *testing.T) {
				t.Parallel()
				s.two, _ = runCall(t, &grpcFaults[i], call.method, true)
			})
		}
	}
	return all
}

// runCall makes one call through a gateway of its own, and returns its code and the first attempt's class.
func runCall(t *testing.T, f *fault, method string, two bool) (code, class string) {
	t.Helper()
	s := &site{}
	backends := []*plan.Backend{backend("a", f.start(t, http2c, s))}
	targets := []plan.RuleBackend{{Backend: backends[0].Name, Weight: exclusively}}
	other := testkit.GRPC(t, grpcecho.Config{})
	if two {
		backends = append(backends, backend("b", far{address: other.Addr(), protocol: plan.HTTP2}))
		targets = append(targets, plan.RuleBackend{Backend: backends[1].Name, Weight: 1})
	}
	every := rule(0, "/", targets...)
	every.Timeouts = f.timeouts
	r := newRig(t, f.settings, nil, backends, []*plan.Rule{every})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	caller, err := grpcecho.Dial("passthrough:///"+r.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	got, err := call(ctx, caller, method)
	code = status.Code(err).String()
	e, late := r.seen.wait(ctx, grpcecho.Path(method))
	if late != nil {
		t.Fatalf("%s, %s: %v", f.name, method, late)
	}
	class = "–"
	if first := e.attempts[0].class; first != "" {
		class = "`" + first + "`"
	}
	asked := count(s.record, grpcecho.Path(method))
	switch served := len(other.Calls()); {
	case err == nil && served == 1 && class == "`Unsent`":
		return "OK by the second", class
	case err == nil, served > 0, asked > 1, ctx.Err() != nil:
		t.Errorf("%s, %s: %v after messages %q; asked %d and %d times, logged %+v", f.name, method, err, got, asked, served, e)
	case len(got) > 0:
		code += " after a message"
	}
	return code, class
}

// call is one call to its end. The error is nil only where it ended well.
func call(ctx context.Context, c *grpcecho.Caller, method string) (got []string, err error) {
	if method == grpcecho.Unary {
		_, err = c.Unary(ctx, []byte("hello"))
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Stream(ctx, method)
	if err != nil {
		return nil, err
	}
	if err := stream.Send("hello"); err != nil && !errors.Is(err, io.EOF) { // whose reason Receive has
		return nil, err
	}
	if method == grpcecho.Stream {
		_ = stream.CloseSend()
	}
	for {
		m, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			return got, err
		}
		got = append(got, m)
		if m == "hello" && method == grpcecho.Bidi { // the healthy one's answer
			_ = stream.CloseSend()
		}
	}
}
