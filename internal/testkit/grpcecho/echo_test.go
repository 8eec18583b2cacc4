package grpcecho_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a server and a client straight to it.
func rig(t *testing.T, secure bool) (*grpcecho.Server, *grpcecho.Caller, context.Context) {
	t.Helper()
	var config grpcecho.Config
	trust := insecure.NewCredentials()
	if secure {
		authority := testkit.CA(t, "root")
		config.Certificate = testkit.Loopback(t, authority, "grpc.example")
		trust = credentials.NewClientTLSFromCert(authority.Pool(), "grpc.example")
	}
	server := testkit.GRPC(t, config)
	caller, err := grpcecho.Dial("passthrough:///"+server.Addr(), grpc.WithTransportCredentials(trust))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return server, caller, ctx
}

func TestKindsOfCall(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server, caller, ctx := rig(t, secure)
		large := strings.Repeat("x", 5<<20)
		if got, err := caller.Unary(ctx, []byte(large)); err != nil || string(got) != large {
			t.Errorf("unary: %d bytes, %v", len(got), err)
		}
		f := func(method string, sent []string, want ...string) {
			t.Helper()
			stream, err := caller.Stream(ctx, method)
			if err == nil {
				err = stream.Send(sent...)
			}
			if err == nil {
				err = stream.CloseSend()
			}
			for i := 0; err == nil; i++ {
				var got string
				if got, err = stream.Receive(); err == nil && (i >= len(want) || got != want[i]) {
					t.Errorf("%s: message %d is %q", method, i, got)
				}
				if errors.Is(err, io.EOF) && i != len(want) {
					t.Errorf("%s: %d messages", method, i)
				}
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", method, err)
			}
		}
		f(grpcecho.Client, []string{"a", "b", "c"}, "abc")
		f(grpcecho.Stream, []string{"a"}, "a", "a", "a")
		f(grpcecho.Bidi, []string{"a", "", "c"}, "a", "", "c")
		for i, path := range []string{"Unary", "Client", "Server", "Bidi"} {
			call, err := server.WaitOver(ctx, i+1)
			if err != nil || call.Path != "/ebbgate.test.Echo/"+path || call.Code != codes.OK || call.Timeout <= 0 || call.Authority == "" {
				t.Errorf("%+v, %v", call.Path, err)
			}
		}
	}
}

func TestAnswersMetadata(t *testing.T) {
	_, caller, ctx := rig(t, false)
	ctx = metadata.AppendToOutgoingContext(ctx, "echo-a", "1", "echo-a", "2", "echo-b-bin", "\x00\xff", "trail-c", "3", "other", "4")
	var header, trailer metadata.MD
	if _, err := caller.Unary(ctx, nil, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if strings.Join(header.Get("echo-a"), ",") != "1,2" || header.Get("echo-b-bin")[0] != "\x00\xff" || header.Get("other") != nil || trailer.Get("trail-c")[0] != "3" {
		t.Errorf("header %v, trailer %v", header, trailer)
	}
}

func TestEndsAsItIsAskedTo(t *testing.T) {
	_, caller, ctx := rig(t, false)
	ctx = metadata.AppendToOutgoingContext(ctx, "want-code", "8", "want-message", "too much")
	f := func(err error) {
		t.Helper()
		got := status.Convert(err)
		if got.Code() != codes.ResourceExhausted || got.Message() != "too much" || len(got.Details()) != 1 {
			t.Fatal(err)
		}
		if detail, ok := got.Details()[0].(*wrapperspb.StringValue); !ok || detail.GetValue() != "too much" {
			t.Errorf("%v", got.Details())
		}
	}
	_, err := caller.Unary(ctx, nil)
	f(err)
	stream, err := caller.Stream(ctx, grpcecho.Bidi)
	if err == nil {
		err = stream.Send("a")
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err == nil {
		_, err = stream.Receive()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Receive()
	f(err)
}

func TestSeesHowCallsEnd(t *testing.T) {
	server, caller, ctx := rig(t, false)
	waiting := metadata.AppendToOutgoingContext(ctx, "want-wait", "1")
	short, cancel := context.WithTimeout(waiting, 200*time.Millisecond)
	defer cancel()
	if _, err := caller.Unary(short, nil); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	if call, err := server.WaitOver(ctx, 1); err != nil || call.Cause == nil || call.Timeout <= 0 || call.Timeout > 200*time.Millisecond {
		t.Errorf("%+v, %v", call, err)
	}
	left, leave := context.WithCancel(waiting)
	stream, err := caller.Stream(left, grpcecho.Bidi)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := stream.Receive(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}

func TestDrains(t *testing.T) {
	server, caller, ctx := rig(t, false)
	stream, err := caller.Stream(ctx, grpcecho.Bidi)
	if err == nil {
		err = stream.Send("a")
	}
	if err == nil {
		_, err = stream.Receive() // it is under way
	}
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		server.Drain()
		close(drained)
	}()
	if err := stream.Send("b"); err != nil {
		t.Error(err)
	}
	if got, err := stream.Receive(); got != "b" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	<-drained
}
