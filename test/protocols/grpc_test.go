package protocols_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
)

// grpcAt are the addresses at which gRPC is spoken, in plain text and over TLS.
func (r *rig) grpcAt() (plain, secure string) {
	if r.straight {
		return r.grpc.Addr(), r.grpcs.Addr()
	}
	return strings.TrimPrefix(r.plain, "http://"), strings.TrimPrefix(r.secure, "https://")
}

// grpcWay is a way to a server of gRPC.
type grpcWay struct {
	name, address, authority string
	secure                   bool
	far                      *grpcecho.Server
}

func (r *rig) grpcWays() []grpcWay {
	plain, secure := r.grpcAt()
	if r.straight {
		return []grpcWay{{"plain", plain, "", false, r.grpc}, {"tls", secure, "", true, r.grpcs}}
	}
	return []grpcWay{
		{"plain to plain", plain, "", false, r.grpc},
		{"tls to plain", secure, "", true, r.grpc},
		{"plain to tls", plain, "grpcs.test", false, r.grpcs},
		{"tls to tls", secure, "grpcs.test", true, r.grpcs},
	}
}

func (r *rig) dial(t *testing.T, w grpcWay) *grpcecho.Caller {
	t.Helper()
	trust := insecure.NewCredentials()
	if w.secure {
		trust = credentials.NewClientTLSFromCert(r.authority.Pool(), w.authority)
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(trust)}
	if w.authority != "" && !w.secure {
		options = append(options, grpc.WithAuthority(w.authority))
	}
	caller, err := grpcecho.Dial("passthrough:///"+w.address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Close() })
	return caller
}

func TestGRPC(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for _, w := range r.grpcWays() {
			t.Run(w.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				caller := r.dial(t, w)
				t.Run("messages", func(t *testing.T) { messages(ctx, t, caller) })
				t.Run("bidirectional", func(t *testing.T) { bidirectional(ctx, t, caller) })
				t.Run("metadata", func(t *testing.T) { carriesMetadata(ctx, t, caller) })
				t.Run("status", func(t *testing.T) { carriesStatus(ctx, t, caller) })
				t.Run("deadline", func(t *testing.T) { passesDeadline(ctx, t, caller, w.far) })
				t.Run("cancel", func(t *testing.T) { passesCancel(ctx, t, caller, w.far) })
				t.Run("many", func(t *testing.T) { many(ctx, t, caller) })
			})
		}
	})
}

func messages(ctx context.Context, t *testing.T, caller *grpcecho.Caller) {
	for _, message := range []string{"", "hello", strings.Repeat("x", 5<<20)} {
		if got, err := caller.Unary(ctx, []byte(message)); err != nil || string(got) != message {
			t.Errorf("sent %d bytes, got %d: %v", len(message), len(got), err)
		}
	}
	stream := open(ctx, t, caller, grpcecho.Client)
	check(t, stream.Send("a", strings.Repeat("b", 1<<20), "c"))
	check(t, stream.CloseSend())
	if got, err := stream.Receive(); err != nil || len(got) != 1<<20+2 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	stream = open(metadata.AppendToOutgoingContext(ctx, "want-count", "1000"), t, caller, grpcecho.Stream)
	check(t, stream.Send("again"))
	check(t, stream.CloseSend())
	for i := range 1001 {
		got, err := stream.Receive()
		if i < 1000 && (err != nil || got != "again") || i == 1000 && !errors.Is(err, io.EOF) {
			t.Fatalf("message %d: %q, %v", i, got, err)
		}
	}
}

// bidirectional: each message is answered before the next is sent, so that nothing on the way may wait for more.
func bidirectional(ctx context.Context, t *testing.T, caller *grpcecho.Caller) {
	stream := open(ctx, t, caller, grpcecho.Bidi)
	for i := range 20 {
		message := fmt.Sprintf("message %d", i)
		check(t, stream.Send(message))
		if got, err := stream.Receive(); err != nil || got != message {
			t.Fatalf("%q, %v", got, err)
		}
	}
	check(t, stream.CloseSend())
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func carriesMetadata(ctx context.Context, t *testing.T, caller *grpcecho.Caller) {
	ctx = metadata.AppendToOutgoingContext(ctx, "echo-a", "1", "echo-a", "2", "echo-b-bin", "\x00\xff", "trail-c", "3", "trail-d-bin", "\x01")
	var header, trailer metadata.MD
	_, err := caller.Unary(ctx, []byte("hello"), grpc.Header(&header), grpc.Trailer(&trailer))
	check(t, err)
	if strings.Join(header.Get("echo-a"), ",") != "1,2" || strings.Join(header.Get("echo-b-bin"), "") != "\x00\xff" {
		t.Errorf("header %v", header)
	}
	if strings.Join(trailer.Get("trail-c"), ",") != "3" || strings.Join(trailer.Get("trail-d-bin"), "") != "\x01" || len(header.Get("trail-c")) > 0 {
		t.Errorf("trailer %v, header %v", trailer, header)
	}
}

func carriesStatus(ctx context.Context, t *testing.T, caller *grpcecho.Caller) {
	const text = "too much: 100 % – naïve"
	ctx = metadata.AppendToOutgoingContext(ctx, "want-code", "8", "want-message", url.PathEscape(text), "trail-c", "3")
	f := func(err error) {
		t.Helper()
		got := status.Convert(err)
		if got.Code() != codes.ResourceExhausted || got.Message() != url.PathEscape(text) || len(got.Details()) != 1 {
			t.Error(err)
		}
	}
	var trailer metadata.MD
	_, err := caller.Unary(ctx, nil, grpc.Trailer(&trailer)) // its answer is trailers alone
	f(err)
	if len(trailer.Get("trail-c")) != 1 {
		t.Errorf("trailer %v", trailer)
	}
	stream := open(ctx, t, caller, grpcecho.Stream)
	check(t, stream.Send("a"))
	check(t, stream.CloseSend())
	for range 3 {
		_, err = stream.Receive()
		check(t, err)
	}
	_, err = stream.Receive()
	f(err)
	if _, err := caller.Unary(metadata.AppendToOutgoingContext(ctx, "want-code", "99"), nil); status.Code(err) == codes.OK {
		t.Error("an unknown status became a good one")
	}
	if err := caller.Invoke(ctx, "/ebbgate.test.Echo/Missing", []byte{}, new([]byte)); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

func passesDeadline(ctx context.Context, t *testing.T, caller *grpcecho.Caller, far *grpcecho.Server) {
	n := len(far.Calls())
	short, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "want-wait", "1"), time.Second)
	defer cancel()
	if _, err := caller.Unary(short, nil); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	if call, err := far.WaitOver(ctx, n+1); err != nil || call.Timeout <= 0 || call.Timeout > time.Second || call.Cause == nil {
		t.Errorf("the server saw a deadline in %s, cause %v, %v", call.Timeout, call.Cause, err)
	}
}

func passesCancel(ctx context.Context, t *testing.T, caller *grpcecho.Caller, far *grpcecho.Server) {
	n := len(far.Calls())
	left, leave := context.WithCancel(ctx)
	defer leave()
	stream := open(left, t, caller, grpcecho.Bidi)
	check(t, stream.Send("a"))
	_, err := stream.Receive()
	check(t, err)
	leave()
	if _, err := stream.Receive(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if call, err := far.WaitOver(ctx, n+1); err != nil || !errors.Is(call.Cause, context.Canceled) {
		t.Errorf("the server saw cause %v, %v", call.Cause, err)
	}
}

// many are more streams at once than one connection may have.
func many(ctx context.Context, t *testing.T, caller *grpcecho.Caller) {
	var group sync.WaitGroup
	for i := range 300 {
		group.Go(func() {
			message := fmt.Sprintf("call %d", i)
			if got, err := caller.Unary(ctx, []byte(message)); err != nil || string(got) != message {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	group.Wait()
}

func open(ctx context.Context, t *testing.T, caller *grpcecho.Caller, method string) grpcecho.Exchange {
	t.Helper()
	stream, err := caller.Stream(ctx, method)
	check(t, err)
	return stream
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
