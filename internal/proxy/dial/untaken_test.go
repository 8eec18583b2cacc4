package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// addressed is a listener by its address alone.
type addressed struct {
	net.Listener
	address string
}

func (a addressed) Addr() net.Addr  { return a }
func (a addressed) Network() string { return "tcp" }
func (a addressed) String() string  { return a.address }

// spoken is a target of HTTP/2 by prior knowledge.
func (n *near) spoken(t *testing.T, address string) *Target {
	t.Helper()
	c := n.config(addressed{address: address}, nil)
	c.Protocol = plan.HTTP2
	return n.prepare(t, c)
}

func (n *near) stream(t *testing.T, target *Target) *Stream {
	t.Helper()
	up, err := n.Get(t.Context(), target, Want{HTTP2: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Close() })
	return up.(*Stream)
}

// ask sends a request that net/http cannot send again by itself, and returns why no answer came.
func ask(t *testing.T, s *Stream) error {
	t.Helper()
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "http", Host: "api.test", Path: "/"}, Host: "api.test", Header: http.Header{},
		Body: http.NoBody,
	}
	res, err := s.RoundTrip(r.WithContext(s.Context()))
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	t.Fatalf("answered with %d", res.StatusCode)
	return nil
}

// Untaken knows net/http's errors by their text: a newer net/http that says it otherwise fails here.
func TestUntaken(t *testing.T) {
	f := func(name string, kind upstream.HTTP2Kind, code http2.ErrCode, untaken bool, text string) {
		t.Helper()
		far, err := upstream.NewHTTP2Fault(upstream.HTTP2FaultConfig{Kind: kind, Code: code})
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		n := dialer(t)
		err = ask(t, n.stream(t, n.spoken(t, far.Addr())))
		wrapped := errors.Join(errors.New("upstream"), fmt.Errorf("ask: %w", err))
		if Untaken(err) != untaken || Untaken(wrapped) != untaken || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: untaken is %t of %q (%T), want %t and %q", name, Untaken(err), err, err, untaken, text)
		}
		if Malformed(wrapped) != (kind == upstream.BadHead) {
			t.Errorf("%s: malformed is %t of %q", name, Malformed(wrapped), err)
		}
		if n := far.Heads(); n != 1 {
			t.Errorf("%s: the far side was asked %d times", name, n)
		}
	}
	f("refused", upstream.RefuseStream, 0, true, "REFUSED_STREAM; received from peer")
	f("GOAWAY below, no error", upstream.GoAwayBelow, http2.ErrCodeNo, true, "graceful shutdown GOAWAY")
	f("GOAWAY below, with an error", upstream.GoAwayBelow, http2.ErrCodeEnhanceYourCalm, true, "received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM")
	f("GOAWAY that covers it", upstream.GoAwayCovering, http2.ErrCodeNo, false, "server sent GOAWAY and closed the connection")
	f("GOAWAY that covers it, with an error", upstream.GoAwayCovering, http2.ErrCodeInternal, false, "server sent GOAWAY and closed the connection")
	f("reset", upstream.ResetStream, http2.ErrCodeInternal, false, "INTERNAL_ERROR; received from peer")
	f("cancelled", upstream.ResetStream, http2.ErrCodeCancel, false, "CANCEL; received from peer")
	f("hung up", upstream.HangUp, 0, false, "") // in the words of whoever met it first, a read or a write
	f("connection reset", upstream.AbortAtHead, 0, false, "")
	f("malformed head", upstream.BadHead, 0, false, "malformed")
}

// A connection that is gone, or about to go, before the stream is begun has not taken it.
func TestUntakenByALostConnection(t *testing.T) {
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	n := dialer(t)
	s := n.stream(t, n.spoken(t, listener.Addr().String()))
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{}, 1)
	s.shared.client.SetStateHook(func(c *http.ClientConn) {
		if c.Err() != nil {
			select {
			case gone <- struct{}{}:
			default:
			}
		}
	})
	_ = conn.Close()
	receive(t, "end of the connection", gone)
	if err := ask(t, s); !Untaken(err) || !strings.Contains(err.Error(), "could not be established") {
		t.Errorf("closed before SETTINGS: %v", err)
	}

	far, err := upstream.NewHTTP2Fault(upstream.HTTP2FaultConfig{Kind: upstream.GoAwayCovering})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	target := n.spoken(t, far.Addr())
	first, second := n.stream(t, target), n.stream(t, target)
	if first.shared != second.shared {
		t.Fatal("two streams on two connections")
	}
	if err := ask(t, first); Untaken(err) {
		t.Errorf("the first: %v", err)
	}
	if err := ask(t, second); !Untaken(err) || !strings.Contains(err.Error(), "not usable") {
		t.Errorf("the second: %v", err)
	}
	if n := far.Heads(); n != 1 {
		t.Errorf("the far side was asked %d times", n)
	}
}

// What ends a stream from our side proves nothing of the far side.
func TestOurOwnEndIsNotUntaken(t *testing.T) {
	far, err := upstream.NewHTTP2Fault(upstream.HTTP2FaultConfig{Kind: upstream.Unanswered})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	n := dialer(t)
	s := n.stream(t, n.spoken(t, far.Addr()))
	ended := make(chan error, 1)
	go func() { ended <- ask(t, s) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := far.WaitHead(ctx, 1); err != nil {
		t.Fatal(err)
	}
	_ = s.Raw().Close()
	if err := receive(t, "end of the stream", ended); Untaken(err) {
		t.Errorf("our own end: %v", err)
	}
}
