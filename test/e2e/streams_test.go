package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// live is a stream that is kept open while the gateway changes under it.
type live struct {
	name  string
	trade func(word string) error // one word there and back
	end   func() error            // nil where the far side's own end arrives whole
}

// streaming is a gateway with a destination for each protocol, in a folder.
type streaming struct {
	folder
	*process
	port  int
	gates [2]chan struct{} // let the event streams say one thing more, each its own
	list  []*live
}

func stream(t *testing.T, more ...string) *streaming {
	t.Helper()
	s := &streaming{folder: newFolder(t), gates: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
	events := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(1000, s.gates[0])})
	feed := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(1000, s.gates[1])})
	sockets := testkit.Upstream(t, upstream.Config{Handler: websocket.Echo()})
	calls := testkit.GRPC(t, grpcecho.Config{})
	s.port = testkit.Ports(t, 1)[0] // after the far sides, which take free ports too
	s.write("gateway.yaml", gatewayOn("egress", s.port))
	s.write("routes.yaml", route("events"), route("feed"), route("sockets"), callRoute("calls"))
	s.write("backends.yaml", addressed("events", events.Addr(), "HTTP11"), addressed("feed", feed.Addr(), "HTTP11"), addressed("sockets", sockets.Addr(), "HTTP11"), addressed("calls", calls.Addr(), "GRPC"))
	s.process = run(t, s.folder, more...)
	s.events(t, "events over HTTP/1.1", "/events", s.gates[0], &http.Transport{})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s.events(t, "events over HTTP/2", "/feed", s.gates[1], &http.Transport{Protocols: &protocols})
	s.calls(t)
	s.sockets(t)
	s.socketsOverHTTP2(t)
	return s
}

// callRoute is an HTTPRoute: a GRPCRoute would want a hostname that no HTTPRoute of the listener has.
func callRoute(name string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: t}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /%[2]s}}]
    backendRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]`, name, grpcecho.Service)
}

// addressed is a Backend at an address, in plain text.
func addressed(name, address, protocol string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: %s, namespace: t}
spec:
  type: Addresses
  addresses: {addresses: ["%s"], hostname: far.test}
  port: {number: %s}
  protocol: %s
  tls: {mode: None}`, name, host, port, protocol)
}

func (s *streaming) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *streaming) add(name string, trade func(string) error, end func() error) {
	s.list = append(s.list, &live{name, trade, end})
}

func (s *streaming) events(t *testing.T, name, path string, gate chan struct{}, transport *http.Transport) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); transport.CloseIdleConnections() })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(name, res, err)
	}
	in := bufio.NewReader(res.Body)
	n := 0
	s.add(name, func(string) error {
		gate <- struct{}{}
		event := ""
		for !strings.HasSuffix(event, "\n\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			event += line
		}
		if want := fmt.Sprintf("id: %d\ndata: event %d\n\n", n, n); event != want {
			return fmt.Errorf("%q, want %q", event, want)
		}
		n++
		return nil
	}, func() error { cancel(); return nil })
}

func (s *streaming) calls(t *testing.T) {
	t.Helper()
	caller, err := grpcecho.Dial("passthrough:///"+s.address(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("calls.test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Close() })
	call, err := caller.Stream(t.Context(), grpcecho.Bidi)
	if err != nil {
		t.Fatal(err)
	}
	s.add("gRPC", func(word string) error {
		if err := call.Send(word); err != nil && !errors.Is(err, io.EOF) { // EOF: what ended the call, Receive says
			return err
		}
		got, err := call.Receive()
		if err == nil && got != word {
			err = fmt.Errorf("%q, want %q", got, word)
		}
		return err
	}, func() error {
		if err := call.CloseSend(); err != nil {
			return err
		}
		if _, err := call.Receive(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("ended with %w", err)
		}
		return nil
	})
}

func (s *streaming) socket(name string, c *websocket.Conn, under io.Closer) {
	s.add(name, func(word string) error {
		if err := c.Write(websocket.Text, []byte(word)); err != nil {
			return err
		}
		_, got, err := c.Read()
		if err == nil && string(got) != word {
			err = fmt.Errorf("%q, want %q", got, word)
		}
		return err
	}, func() error {
		if err := c.Write(websocket.Close, nil); err != nil {
			return err
		}
		if op, _, err := c.Read(); err != nil || op != websocket.Close {
			return fmt.Errorf("ended with %v, %w", op, err)
		}
		return under.Close()
	})
}

func (s *streaming) sockets(t *testing.T) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	socket, _, err := websocket.Dial(c, s.address(), "/sockets")
	if err != nil {
		t.Fatal(err)
	}
	s.socket("WebSocket over HTTP/1.1", socket, c)
}

func (s *streaming) socketsOverHTTP2(t *testing.T) {
	t.Helper()
	c, err := h2.Dial(t.Context(), s.address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	id, err := c.Open(false, [2]string{":method", "CONNECT"}, [2]string{":protocol", "websocket"}, [2]string{":scheme", "http"},
		[2]string{":path", "/sockets"}, [2]string{":authority", s.address()}, [2]string{"sec-websocket-version", "13"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(t.Context(), func() bool { return len(c.Answer(id).Heads) > 0 }); err != nil {
		t.Fatal(err)
	}
	if got := c.Answer(id).Status(); got != "200" {
		t.Fatalf("the extended CONNECT got %s", got)
	}
	s.socket("WebSocket over HTTP/2", websocket.New(c.Stream(t.Context(), id), true), c)
}

// trades exchanges a word on every stream.
func (s *streaming) trades(t *testing.T, word string) {
	t.Helper()
	for _, l := range s.list {
		if err := l.trade(word); err != nil {
			t.Fatalf("%s: %s: %v", word, l.name, err)
		}
	}
}

// TestStreamsLiveThroughReloads changes everything about the routes that live streams came by, and takes them away.
func TestStreamsLiveThroughReloads(t *testing.T) {
	s := stream(t)
	s.trades(t, "first")
	for n := range 8 {
		s.reloads(t, func() {
			field := fmt.Sprintf("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-N, value: \"%d\"}]}}]", n)
			s.write("routes.yaml", route("events", field), route("feed", field), route("sockets", field), callRoute("calls"))
		})
		s.trades(t, fmt.Sprintf("after reload %d", n))
	}
	s.reloads(t, func() { s.remove("routes.yaml") })
	s.reloads(t, func() { s.remove("backends.yaml") })
	get(t, s.port, "/events").is(t, http.StatusNotFound, "route_not_found")
	s.trades(t, "without their routes")
	for _, l := range s.list {
		if err := l.end(); err != nil {
			t.Errorf("%s: %v", l.name, err)
		}
	}
	s.ends(t)
}

// TestStreamsAreDrained lets streams go on while the gateway ends, for as long as it was told.
func TestStreamsAreDrained(t *testing.T) {
	s := stream(t, "--drain", "20s")
	s.trades(t, "first")
	if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.Await(t, "waiting for what is under way")
	s.trades(t, "while it drains")
	begun := time.Now()
	for _, l := range s.list {
		if err := l.end(); err != nil {
			t.Errorf("%s: %v", l.name, err)
		}
	}
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if time.Since(begun) > 15*time.Second {
		t.Error("the gateway waited on after the last stream's end")
	}
}

// TestStreamsAreCut ends the gateway under streams that do not end: nobody takes that for an end of theirs.
func TestStreamsAreCut(t *testing.T) {
	s := stream(t, "--drain", "1s")
	s.trades(t, "first")
	if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.Wait(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, l := range s.list {
		if strings.HasPrefix(l.name, "events") {
			continue // its trade waits for a far side that is told to go on
		}
		if err := l.trade("after the end"); err == nil || errors.Is(err, io.EOF) && !strings.HasPrefix(l.name, "WebSocket") {
			t.Errorf("%s: %v", l.name, err)
		}
	}
}
