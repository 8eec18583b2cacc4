package spec_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
)

// realCalls are calls by gRPC's own client to gRPC's own server: all four kinds, metadata both ways, a status with its
// message, and what no rule takes.
func realCalls(t *testing.T, w *world) {
	far := testkit.GRPC(t, grpcecho.Config{})
	w.serve(t, "GRPCRouteSpec.rules: gRPC's own client and server", servicesOf("echo", far.Addr())+"\n---\n"+grpcRoutes(`
rules:
- matches: [{method: {service: ebbgate.test.Echo, method: Unary}}, {method: {service: ebbgate.test.Echo, method: Bidi}}, {method: {type: RegularExpression, method: "Server|Client"}}]
  filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: echo-set, value: ours}]}}]
  backendRefs: [{name: echo, port: 80}]`))
	f := func(row, port string, secure credentials.TransportCredentials) {
		t.Helper()
		c, err := grpcecho.Dial("passthrough:///127.0.0.1:"+w.expand.Replace("$"+port), grpc.WithTransportCredentials(secure))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "echo-own", "1", "trail-own", "2"), 20*time.Second)
		defer cancel()
		var header, trailer metadata.MD
		answer, err := c.Unary(ctx, []byte("one"), grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || string(answer) != "one" || first(header, "echo-own") != "1" || first(header, "echo-set") != "ours" || first(trailer, "trail-own") != "2" {
			t.Errorf("%s: Unary: %q, %v, header %v, trailer %v", row, answer, err, header, trailer)
		}
		for _, call := range []struct {
			method string
			send   []string
			want   []string
		}{
			{grpcecho.Client, []string{"a", "b"}, []string{"ab"}},
			{grpcecho.Stream, []string{"a"}, []string{"a", "a", "a"}},
			{grpcecho.Bidi, []string{"a", "b"}, []string{"a", "b"}},
		} {
			converse(ctx, t, row, c, call.method, call.send, call.want)
		}
		_, err = c.Unary(metadata.AppendToOutgoingContext(ctx, "want-code", "9", "want-message", "not now"), nil)
		if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "not now" {
			t.Errorf("%s: the far side's status came as %v", row, err)
		}
		stream, err := c.NewStream(ctx, &grpc.StreamDesc{}, "/ebbgate.test.Echo/Unknown")
		if err == nil {
			err = stream.RecvMsg(new([]byte))
		}
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: what no rule takes: %v", row, err)
		}
	}
	f("GRPCRouteSpec.rules: real calls over HTTP/2 with prior knowledge", "http", insecure.NewCredentials())
	f("GRPCRouteSpec.rules: real calls over TLS", "https", credentials.NewTLS(w.greeting("spec.test")))
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func converse(ctx context.Context, t *testing.T, row string, c *grpcecho.Caller, method string, send, want []string) {
	t.Helper()
	call, err := c.Stream(ctx, method)
	if err == nil {
		err = call.Send(send...)
	}
	if err == nil {
		err = call.CloseSend()
	}
	if err != nil {
		t.Errorf("%s: %s: %v", row, method, err)
		return
	}
	for _, message := range want {
		if got, err := call.Receive(); err != nil || got != message {
			t.Errorf("%s: %s: heard %q, %v, want %q", row, method, got, err, message)
		}
	}
	if _, err := call.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("%s: %s: ended with %v", row, method, err)
	}
}
