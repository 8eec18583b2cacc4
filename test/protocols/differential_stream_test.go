package protocols_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// switches of a peer are a WebSocket of a client of HTTP/1.1 and one of HTTP/2 (RFC 8441), where the peer has them. nginx
// has none over HTTP/2.
func (p *peers) switches(t *testing.T, far peer) {
	if strings.HasPrefix(far.Name, "nginx") && far.Protocol != "HTTP11" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	gateway := strings.TrimPrefix(p.base, "http://")
	heads := map[string][]string{}
	one := func(name, address string) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		check(t, err)
		defer func() { _ = c.Close() }()
		socket, answer, err := websocket.Dial(c, far.host(), "/ws", "Sec-WebSocket-Protocol: chat")
		check(t, err)
		heads[name] = lines(answer.Header)
		talk(t, socket)
	}
	two := func(name, address, scheme string, trust *tls.Config) {
		c, err := h2.Dial(ctx, address, trust)
		check(t, err)
		defer func() { _ = c.Close() }()
		check(t, c.Wait(ctx, func() bool {
			value, _ := c.Setting(http2.SettingEnableConnectProtocol)
			return value == 1
		}))
		id, err := c.Open(false, [2]string{":method", http.MethodConnect}, [2]string{":protocol", "websocket"}, [2]string{":scheme", scheme},
			[2]string{":authority", far.host()}, [2]string{":path", "/ws"}, [2]string{"sec-websocket-version", "13"}, [2]string{"sec-websocket-protocol", "chat"})
		check(t, err)
		check(t, c.Wait(ctx, func() bool { return len(c.Answer(id).Heads) > 0 }))
		if answer := c.Answer(id); answer.Status() != "200" || answer.Value("sec-websocket-protocol") != "chat" {
			t.Fatalf("%s: %v", name, answer.Heads)
		}
		talk(t, websocket.New(c.Stream(ctx, id), true))
	}
	one("through", gateway)
	two("through", gateway, "http", nil)
	address := fmt.Sprintf("127.0.0.1:%d", far.Port)
	switch far.Protocol {
	case "HTTP11":
		one("straight", address)
		if !slices.Equal(heads["straight"], heads["through"]) {
			t.Errorf("straight: %q\nthrough:  %q", heads["straight"], heads["through"])
		}
	case "HTTP2":
		two("straight", address, "https", p.tls)
	default:
		two("straight", address, "http", nil)
	}
}

// calls of gRPC are those that show each form of answer: messages, trailers, and trailers alone.
func (p *peers) calls(t *testing.T, far peer) {
	if far.Protocol == "HTTP11" {
		return // has no form for gRPC
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dial := func(address string, trust credentials.TransportCredentials) *grpcecho.Caller {
		caller, err := grpcecho.Dial("passthrough:///"+address, grpc.WithTransportCredentials(trust), grpc.WithAuthority(far.host()))
		check(t, err)
		t.Cleanup(func() { _ = caller.Close() })
		return caller
	}
	trust := insecure.NewCredentials()
	if far.Secure {
		trust = credentials.NewTLS(p.tls.Clone())
	}
	straight, through := dial(fmt.Sprintf("127.0.0.1:%d", far.Port), trust), dial(strings.TrimPrefix(p.base, "http://"), insecure.NewCredentials())
	f := func(method, message string, fields ...string) {
		t.Helper()
		ctx := metadata.AppendToOutgoingContext(ctx, fields...)
		want, got := called(ctx, t, straight, method, message), called(ctx, t, through, method, message)
		if !got.like(want) {
			t.Errorf("%s of %d bytes, %q\nstraight: %s\nthrough:  %s", method, len(message), fields, want, got)
		}
	}
	f(grpcecho.Unary, "hello", "echo-a", "1", "echo-a", "2", "echo-b-bin", "\x00\xff", "trail-c", "3", "trail-d-bin", "\x01")
	f(grpcecho.Unary, "")
	f(grpcecho.Unary, strings.Repeat("x", 5<<20))
	f(grpcecho.Unary, "", "want-code", "8", "want-message", "too much", "trail-c", "3")
	f(grpcecho.Unary, "", "want-code", "99")
	f(grpcecho.Stream, "again", "want-count", "100")
	f(grpcecho.Stream, "again", "want-code", "5", "want-message", "n%20o")
	f(grpcecho.Client, "whole")
	f(grpcecho.Bidi, "and back")
	f("Missing", "hello")
}

// called makes a call of one message and gives all that came back.
func called(ctx context.Context, t *testing.T, caller *grpcecho.Caller, method, message string) (got answer) {
	t.Helper()
	stream := open(ctx, t, caller, method)
	err := stream.Send(message)
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil || errors.Is(err, io.EOF) { // of Send it says that Receive tells
		var text string
		if text, err = stream.Receive(); err != nil {
			break
		}
		got.body += text + "\n"
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	head, _ := stream.Header() // its error is Receive's
	got.status = fmt.Sprint(status.Code(err), status.Convert(err).Message(), status.Convert(err).Details())
	got.fields, got.trailers = pairs(head), pairs(stream.Trailer())
	return got
}

// pairs are the fields of a call without a length, which trailers that are the whole answer may have, or not: it is none's.
func pairs(fields metadata.MD) []string {
	return slices.DeleteFunc(lines(http.Header(fields)), func(line string) bool { return line == "content-length: 0" })
}
