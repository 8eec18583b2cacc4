package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// addressStage and handshakeStage are stages made of functions.
type addressStage func(context.Context, *policy.AddressCheck) *exchange.Refusal

func (f addressStage) Address(ctx context.Context, a *policy.AddressCheck) *exchange.Refusal {
	return f(ctx, a)
}

type handshakeStage func(*tls.ConnectionState) *exchange.Refusal

func (f handshakeStage) Handshake(_ context.Context, _ *plan.Backend, s *tls.ConnectionState) *exchange.Refusal {
	return f(s)
}

func refuse(address string) addressStage {
	want := netip.MustParseAddr(address)
	return func(_ context.Context, a *policy.AddressCheck) *exchange.Refusal {
		if a.Address != want || a.Class != policy.AddressLoopback || a.Hostname != "api.test" {
			return nil
		}
		return exchange.Refuse(exchange.AddressDenied, "no "+address)
	}
}

// twins are two far sides on one port of two addresses.
func twins(t *testing.T) (one, two *far) {
	t.Helper()
	for range 20 {
		one := serve(t, "127.0.0.1:0", nil)
		_, port, err := net.SplitHostPort(one.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		probe, err := net.Listen("tcp", "127.0.0.2:"+port) //nolint:noctx // at once
		if err != nil {
			continue
		}
		_ = probe.Close()
		return one, serve(t, "127.0.0.2:"+port, nil)
	}
	t.Fatal("no port is free on both addresses")
	return nil, nil
}

func TestAddressVeto(t *testing.T) {
	one, two := twins(t)
	n := dialer(t)
	n.pin("api.test", "127.0.0.2", "127.0.0.1")
	c := n.config(one, nil)
	free := n.prepare(t, c)
	c.Address = []policy.AddressStage{refuse("127.0.0.2")}
	target := n.prepare(t, c)
	for range 4 {
		conn := n.get(t, target)
		if conn.Address().Addr().String() != "127.0.0.1" {
			t.Errorf("connected to %s", conn.Address())
		}
		_ = conn.Close()
	}
	if two.accepted.Load() != 0 {
		t.Fatal("a refused address was dialled")
	}
	// The pool is shared with a target that may use the address, and the veto holds there too.
	var there *Conn
	for there == nil || there.Address().Addr().String() != "127.0.0.2" {
		there = n.get(t, free)
	}
	ping(t, there)
	there.Put()
	if conn := n.get(t, target); conn == there {
		t.Error("a pooled connection to a refused address was reused")
	}
	if conn := n.get(t, free); conn != there {
		t.Error("the connection was lost to those who may use it")
	}

	c.Address = []policy.AddressStage{refuse("127.0.0.1"), refuse("127.0.0.2")}
	failure := n.fails(t, n.prepare(t, c), exchange.AddressDenied)
	if failure.Refusal == nil || !strings.HasPrefix(failure.Refusal.Detail, "no 127.0.0.") {
		t.Errorf("refusal %v", failure.Refusal)
	}
}

// TestKnownPods: the stages are told of each address whether it is a known Pod's, by the target's own backend.
func TestKnownPods(t *testing.T) {
	pod, stranger := serve(t, "127.0.0.1:0", nil), serve(t, "127.0.0.2:0", nil)
	n := dialer(t)
	c := n.endpoints(pod, stranger)
	c.Backend.Addresses[0].Pod = true
	c.Address = []policy.AddressStage{addressStage(func(_ context.Context, a *policy.AddressCheck) *exchange.Refusal {
		if a.Pod {
			return nil
		}
		return exchange.Refuse(exchange.AddressDenied, "no Pod")
	})}
	target := n.prepare(t, c)
	for range 4 {
		conn := n.get(t, target)
		if conn.Address().String() != pod.Addr().String() {
			t.Errorf("connected to %s", conn.Address())
		}
		_ = conn.Close()
	}
	if stranger.accepted.Load() != 0 {
		t.Error("an address that is no Pod's was dialled")
	}
	gone := *c.Backend
	gone.Addresses = slices.Clone(gone.Addresses)
	gone.Addresses[0].Pod = false
	c.Backend = &gone
	n.fails(t, n.prepare(t, c), exchange.AddressDenied)
}

func TestSpecialAddressesAreRefused(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	for _, address := range []string{"0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "::127.0.0.1"} {
		n.pin("api.test", address)
		failure := n.fails(t, n.prepare(t, n.config(far, nil)), exchange.AddressDenied)
		if failure.Refusal == nil || strings.Contains(failure.Refusal.Detail, address) {
			t.Errorf("%s: refusal %v", address, failure.Refusal)
		}
	}
	if far.accepted.Load() != 0 {
		t.Error("dialled")
	}
}

// TestOnlyCurrentAddresses: a pooled connection to an address that the name no longer has stays where it is.
func TestOnlyCurrentAddresses(t *testing.T) {
	one, _ := twins(t)
	n := dialer(t)
	n.pin("api.test", "127.0.0.1")
	first := n.prepare(t, n.config(one, nil))
	c := n.get(t, first)
	ping(t, c)
	c.Put()
	n.settings.DNS.Hosts = nil
	n.pin("api.test", "127.0.0.2")
	if conn := n.get(t, n.prepare(t, n.config(one, nil))); conn.Address().Addr().String() != "127.0.0.2" {
		t.Errorf("connected to %s", conn.Address())
	}
	if conn := n.get(t, first); conn != c {
		t.Error("the old connection is gone")
	}
}

func TestEndpointsTakeTurns(t *testing.T) {
	one, two := serve(t, "127.0.0.1:0", nil), serve(t, "127.0.0.2:0", nil)
	n := dialer(t)
	c := n.endpoints(one, two)
	target := n.prepare(t, c)
	used := map[string]int{}
	for range 10 {
		conn := n.get(t, target)
		used[conn.Address().String()]++
		ping(t, conn)
		conn.Put()
	}
	if used[one.Addr().String()] != 5 || used[two.Addr().String()] != 5 {
		t.Errorf("turns %v", used)
	}
	if one.accepted.Load() != 1 || two.accepted.Load() != 1 {
		t.Errorf("%d and %d connections, want one each", one.accepted.Load(), two.accepted.Load())
	}
	_ = two.Close()
	two.hangUp()
	for range 4 {
		conn := n.get(t, target)
		if conn.Address().String() == one.Addr().String() {
			ping(t, conn)
		}
		_ = conn.Close()
	}
	c.Backend = &plan.Backend{Name: "Service/ai/none:80", Origin: plan.Endpoints, Port: 80}
	n.fails(t, n.prepare(t, c), exchange.ConnectFailed)
}

// deaf listens with a full queue, so that further connections wait for an answer that does not come.
func deaf(t *testing.T, address netip.AddrPort) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.DialTimeout("tcp", address.String(), 200*time.Millisecond) //nolint:noctx // it has a timeout
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestHappyEyeballs(t *testing.T) {
	port := uint16(testkit.Ports(t, 1)[0]) // below those that the system gives to connections
	far, n := serve(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String(), nil), dialer(t)
	deaf(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port))
	n.pin("api.test", "127.0.0.2", "127.0.0.1")
	n.settings.Timeouts.Connect = 10 * time.Second
	target := n.prepare(t, n.config(far, nil))
	staggered := 0
	for range 4 { // the addresses take turns at being first
		began := time.Now()
		c := n.get(t, target)
		ping(t, c)
		_ = c.Close()
		if time.Since(began) >= stagger {
			staggered++
		}
	}
	if staggered != 2 {
		t.Errorf("%d of 4 went by the dead address, want 2", staggered)
	}
	n.pin("api.test", "127.0.0.3", "127.0.0.1") // nobody listens there: the next one's turn comes at once
	target = n.prepare(t, n.config(far, nil))
	for range 2 {
		ping(t, n.get(t, target))
	}
}

func TestConnectTimeout(t *testing.T) {
	f := func(name string, prepare func(*testing.T, *near) TargetConfig) {
		t.Run(name, func(t *testing.T) {
			n := dialer(t)
			n.settings.Timeouts.Connect = 300 * time.Millisecond
			n.fails(t, n.prepare(t, prepare(t, n)), exchange.ConnectTimeout)
		})
	}
	f("TCP", func(t *testing.T, n *near) TargetConfig {
		listener := serve(t, "127.0.0.1:0", nil)
		c := n.config(listener, nil)
		_ = listener.Close()
		deaf(t, netip.MustParseAddrPort(listener.Addr().String()))
		return c
	})
	f("TLS", func(t *testing.T, n *near) TargetConfig {
		mute, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = mute.Close() })
		return n.config(mute, newAuthority(t).setting(t, nil))
	})
	f("stage", func(t *testing.T, n *near) TargetConfig {
		c := n.config(serve(t, "127.0.0.1:0", nil), nil)
		c.Address = []policy.AddressStage{addressStage(func(ctx context.Context, _ *policy.AddressCheck) *exchange.Refusal {
			<-ctx.Done()
			return nil
		})}
		return c
	})
	f("DNS", func(t *testing.T, n *near) TargetConfig {
		silent, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = silent.Close() })
		c := n.config(serve(t, "127.0.0.1:0", nil), nil)
		c.Settings.DNS.Hosts = nil
		c.Settings.DNS.Resolvers = []policy.Resolver{{Address: netip.MustParseAddrPort(silent.LocalAddr().String())}}
		return c
	})
}

func TestFailures(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	c := n.config(far, nil)
	_ = far.Close()
	n.fails(t, n.prepare(t, c), exchange.ConnectFailed)
	c.Hostname = "127.0.0.1"
	n.fails(t, n.prepare(t, c), exchange.DNSFailed)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Get(gone, n.prepare(t, c), Want{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left got %v", err)
	}
}

func TestHandshakeStage(t *testing.T) {
	authority := newAuthority(t)
	far, n := serve(t, "127.0.0.1:0", authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}})), dialer(t)
	c := n.config(far, authority.setting(t, nil))
	free := n.prepare(t, c)
	c.Handshake = []policy.HandshakeStage{handshakeStage(func(s *tls.ConnectionState) *exchange.Refusal {
		if len(s.PeerCertificates) == 0 {
			t.Error("no certificate to judge")
		}
		return exchange.Refuse(exchange.TLSVerificationFailed, "not this one")
	})}
	strict := n.prepare(t, c)
	conn := n.get(t, free)
	ping(t, conn)
	conn.Put()
	if failure := n.fails(t, strict, exchange.TLSVerificationFailed); failure.Refusal == nil {
		t.Error("no refusal")
	}
	if n.get(t, free) != conn {
		t.Error("one rule's refusal closed another's connection")
	}
	if far.received.Load() != 5 {
		t.Errorf("%d bytes received, want the 5 of one ping", far.received.Load())
	}
}

func TestWritten(t *testing.T) {
	authority := newAuthority(t)
	far, n := serve(t, "127.0.0.1:0", authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}})), dialer(t)
	target := n.prepare(t, n.config(far, authority.setting(t, nil)))
	c := n.get(t, target)
	if c.Written() != 0 {
		t.Errorf("the handshake counts: %d bytes", c.Written())
	}
	if _, err := io.WriteString(c, "ping\n"); err != nil {
		t.Fatal(err)
	}
	if c.Written() <= 5 {
		t.Errorf("%d bytes under TLS", c.Written())
	}
	if _, err := io.ReadAtLeast(c, make([]byte, 64), 5); err != nil {
		t.Fatal(err)
	}
	c.Put()
	if again := n.get(t, target); again != c || c.Written() != 0 {
		t.Errorf("%d bytes before the second request", c.Written())
	}
	if c.Reader == nil || c.Raw() == nil || c.LocalAddr().String() == c.RemoteAddr().String() {
		t.Error("an incomplete connection")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	c := n.get(t, n.prepare(t, n.config(far, nil)))
	ping(t, c)
	c.Put()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		n.Run(ctx)
		close(over)
	}()
	cancel()
	receive(t, "end of Run", over)
	receive(t, "end of the idle connection", far.ended)
}

func warm(tb testing.TB) (*near, *Target) {
	authority := newAuthority(tb)
	far, n := serve(tb, "127.0.0.1:0", authority.server(tb, ca.Leaf{DNSNames: []string{"api.test"}})), dialer(tb)
	c := n.config(far, authority.setting(tb, nil))
	c.Address = []policy.AddressStage{refuse("192.0.2.1")}
	target := n.prepare(tb, c)
	conn := n.get(tb, target)
	ping(tb, conn)
	conn.Put()
	return n, target
}

func TestWarmPoolAllocatesNothing(t *testing.T) {
	n, target := warm(t)
	ctx := t.Context()
	if allocations := testing.AllocsPerRun(200, func() {
		c, err := n.Get(ctx, target, Want{})
		if err != nil || !c.Reused() {
			t.Fatal("not reused", err)
		}
		c.Put()
	}); allocations >= 1 { // the race detector's sync.Pool drops some of what it is given
		t.Errorf("Get and Put cost %v allocations", allocations)
	}
}

func BenchmarkGetPut(b *testing.B) {
	n, target := warm(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		c, err := n.Get(ctx, target, Want{})
		if err != nil {
			b.Fatal(err)
		}
		c.Put()
	}
}
