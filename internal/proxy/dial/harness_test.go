package dial

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/resolve"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far is a far side that answers "ping\n" by pong. It counts connections and the plaintext it was sent.
type far struct {
	net.Listener
	accepted atomic.Int64
	received atomic.Int64
	states   chan tls.ConnectionState // of each handshake
	ended    chan struct{}            // a value for each connection that the near side closed
	pong     func(net.Conn)           // how it answers

	mu    sync.Mutex
	conns []net.Conn
	work  sync.WaitGroup
}

func pong(conn net.Conn) { _, _ = io.WriteString(conn, "pong\n") }

// serve listens on a loopback address; a nil config is plain text.
func serve(t testing.TB, address string, config *tls.Config) *far {
	t.Helper()
	listener, err := net.Listen("tcp", address) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	f := &far{Listener: listener, states: make(chan tls.ConnectionState, 64), ended: make(chan struct{}, 64), pong: pong}
	f.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.accepted.Add(1)
			f.work.Go(func() { f.handle(conn, config) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.hangUp()
		f.work.Wait()
	})
	return f
}

func (f *far) handle(raw net.Conn, config *tls.Config) {
	defer func() { _ = raw.Close() }()
	batched := &batch{Conn: raw}
	conn := net.Conn(batched)
	f.mu.Lock()
	f.conns = append(f.conns, raw)
	f.mu.Unlock()
	if config != nil {
		server := tls.Server(batched, config)
		if server.HandshakeContext(context.Background()) != nil {
			return
		}
		f.states <- server.ConnectionState()
		conn = server
	}
	line := make([]byte, 5)
	for {
		n, err := io.ReadFull(conn, line)
		f.received.Add(int64(n))
		if err != nil {
			select {
			case f.ended <- struct{}{}:
			default:
			}
			return
		}
		if !bytes.Equal(line, []byte("ping\n")) {
			return
		}
		batched.hold = true
		f.pong(conn)
		batched.flush()
	}
}

// hangUp closes every connection, as a far side does that has had enough.
func (f *far) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		_ = conn.Close()
	}
}

// batch holds writes back and sends them as one segment.
type batch struct {
	net.Conn
	hold bool
	held []byte
}

func (b *batch) Write(p []byte) (int, error) {
	if !b.hold {
		return b.Conn.Write(p)
	}
	b.held = append(b.held, p...)
	return len(p), nil
}

func (b *batch) flush() {
	_ = b.SetWriteDeadline(time.Time{}) // crypto/tls sets one in the past once it said goodbye
	_, _ = b.Conn.Write(b.held)
	b.held, b.hold = b.held[:0], false
}

// near is a dialer with a clock that a test moves.
type near struct {
	*Dialer
	offset   atomic.Int64
	settings policy.Settings
}

func dialer(t testing.TB) *near {
	t.Helper()
	n := &near{settings: policy.NewSettings()}
	now := func() time.Time { return time.Now().Add(time.Duration(n.offset.Load())) }
	resolver := resolve.New(resolve.Config{})
	t.Cleanup(resolver.Close)
	d, err := New(Config{Resolver: resolver, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	n.Dialer = d
	return n
}

func (n *near) pin(host string, addresses ...string) {
	list := make([]netip.Addr, 0, len(addresses))
	for _, a := range addresses {
		list = append(list, netip.MustParseAddr(a))
	}
	if n.settings.DNS.Hosts == nil {
		n.settings.DNS.Hosts = map[string][]netip.Addr{}
	}
	n.settings.DNS.Hosts[host] = list
}

// config is a backend api.test at the far side's address.
func (n *near) config(f net.Listener, setting *TLS) TargetConfig {
	address := netip.MustParseAddrPort(f.Addr().String())
	if n.settings.DNS.Hosts["api.test"] == nil {
		n.pin("api.test", address.Addr().String())
	}
	settings := n.settings
	return TargetConfig{
		Gateway:  "infra/egress",
		Backend:  &plan.Backend{Name: "Backend/ai/api", Origin: plan.Resolved, Hostname: "api.test", Port: int(address.Port())},
		Hostname: "api.test",
		TLS:      setting,
		Settings: &settings,
	}
}

// endpoints is a backend that has the far sides' addresses.
func (n *near) endpoints(list ...*far) TargetConfig {
	c := n.config(list[0], nil)
	c.Backend = &plan.Backend{Name: "Service/ai/vllm:80", Origin: plan.Endpoints, Port: 80}
	c.Hostname = ""
	for _, f := range list {
		a := netip.MustParseAddrPort(f.Addr().String())
		c.Backend.Addresses = append(c.Backend.Addresses, plan.Endpoint{Address: a.Addr().String(), Port: int(a.Port())})
	}
	return c
}

func (n *near) prepare(t testing.TB, c TargetConfig) *Target {
	t.Helper()
	target, err := n.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Release)
	return target
}

func (n *near) get(t testing.TB, target *Target) *Conn {
	t.Helper()
	c, err := n.Get(t.Context(), target, Want{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*Conn)
}

// ping is one exchange.
func ping(t testing.TB, c *Conn) {
	t.Helper()
	buffer := make([]byte, 64)
	if _, err := io.WriteString(c, "ping\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadAtLeast(c, buffer, 5); err != nil || string(buffer[:n]) != "pong\n" {
		t.Fatalf("answer %q, %v", buffer[:n], err)
	}
}

func (n *near) fails(t *testing.T, target *Target, want exchange.Reason) *Error {
	t.Helper()
	c, err := n.Get(t.Context(), target, Want{})
	if err == nil {
		_ = c.Close()
		t.Fatalf("connected, want %s", want)
	}
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Reason != want {
		t.Fatalf("%v, want %s", err, want)
	}
	return failure
}

// readable waits until the far side has said or ended something, and takes nothing of it.
func readable(t *testing.T, c *Conn) {
	t.Helper()
	_ = c.socket.SetReadDeadline(time.Now().Add(10 * time.Second))
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return !errors.Is(err, syscall.EAGAIN)
	})
	_ = c.socket.SetReadDeadline(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case v := <-from:
		return v
	case <-ctx.Done():
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// authority is a CA with the secrets that name it.
type authority struct {
	*ca.CA
	secrets map[string]*plan.Secret
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	root, err := ca.New("root")
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{CA: root, secrets: map[string]*plan.Secret{}}
	a.object("ConfigMap/ai/roots", "ca.crt", root.PEM())
	return a
}

func (a *authority) object(name string, pairs ...any) {
	data := map[string]plan.Sensitive{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i].(string)] = plan.NewSensitive(pairs[i+1].([]byte))
	}
	a.secrets[name] = &plan.Secret{Name: name, Data: data}
}

func (a *authority) secret(name string) *plan.Secret { return a.secrets[name] }

func (a *authority) server(t testing.TB, leaf ca.Leaf) *tls.Config {
	t.Helper()
	certificate, err := a.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
}

func (a *authority) setting(t testing.TB, change func(*plan.TLS)) *TLS {
	t.Helper()
	s := &plan.TLS{Hostname: "api.test", Roots: []string{"ConfigMap/ai/roots"}}
	if change != nil {
		change(s)
	}
	setting, err := NewTLS(s, a.secret)
	if err != nil {
		t.Fatal(err)
	}
	return setting
}
