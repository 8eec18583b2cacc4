package dial

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// shares is a far side of HTTP/2, plain or over TLS, that counts its connections.
func shares(t testing.TB, config *tls.Config) (l net.Listener, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Protocols: &protocols, TLSConfig: config, ReadHeaderTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if config != nil {
			_ = server.ServeTLS(l, "", "")
		} else {
			_ = server.Serve(l)
		}
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l, connections
}

func (n *near) shared(f net.Listener, setting *TLS) TargetConfig {
	c := n.config(f, setting)
	c.Protocol = plan.HTTP2
	return c
}

// gate is an Address stage that waits before it refuses.
type gate struct{ reached, open chan struct{} }

func (g *gate) Address(context.Context, *policy.AddressCheck) *exchange.Refusal {
	close(g.reached)
	<-g.open
	return exchange.Refuse(exchange.AddressDenied, "not for this route")
}

// waiting tells when somebody waits for a context's end.
type waiting struct {
	context.Context
	once  sync.Once
	begun chan struct{}
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}

// What one target's stages refuse is no failure of another's, though they wait for the same connection.
func TestAFlightsRefusalIsItsLeaders(t *testing.T) {
	f, _ := shares(t, nil)
	n := dialer(t)
	g := &gate{make(chan struct{}), make(chan struct{})}
	refusing := n.shared(f, nil)
	refusing.Address = []policy.AddressStage{g}
	a, b := n.prepare(t, refusing), n.prepare(t, n.shared(f, nil))
	if a.pool != b.pool {
		t.Fatal("they share no pool")
	}
	refused := make(chan error, 1)
	go func() {
		_, err := n.Get(t.Context(), a, Want{})
		refused <- err
	}()
	<-g.reached
	ctx := &waiting{Context: t.Context(), begun: make(chan struct{})}
	got := make(chan error, 1)
	go func() {
		up, err := n.Get(ctx, b, Want{})
		if err == nil {
			up.Put()
		}
		got <- err
	}()
	<-ctx.begun
	close(g.open)
	if err := receive(t, "refusal", refused); err == nil {
		t.Error("a refused address was connected to")
	}
	if err := receive(t, "connection", got); err != nil {
		t.Error(err)
	}
}

// Many who come at once make as many connections as their streams need, and not one each.
func TestAHerdSharesConnections(t *testing.T) {
	const herd = 800
	f, connections := shares(t, nil)
	n := dialer(t)
	target := n.prepare(t, n.shared(f, nil))
	var all sync.WaitGroup
	ups := make(chan Upstream, herd)
	for range herd {
		all.Go(func() {
			up, err := n.Get(t.Context(), target, Want{})
			if err != nil {
				t.Error(err)
				return
			}
			ups <- up
		})
	}
	all.Wait()
	close(ups)
	for up := range ups {
		up.Put()
	}
	if made := connections.Load(); made > 2*herd/100 {
		t.Errorf("%d connections for %d streams", made, herd)
	}
}

// passing is a Handshake stage that lets pass.
type passing struct{}

func (passing) Handshake(context.Context, *plan.Backend, *tls.ConnectionState) *exchange.Refusal {
	return nil
}

// Targets of different stages share a connection at the same time.
func TestSharedConnectionsAreVettedByMany(t *testing.T) {
	root := newAuthority(t)
	config := root.server(t, ca.Leaf{DNSNames: []string{"api.test"}})
	config.NextProtos = nil
	f, _ := shares(t, config)
	n := dialer(t)
	c := n.shared(f, root.setting(t, nil))
	c.Handshake = []policy.HandshakeStage{passing{}}
	var all sync.WaitGroup
	for range 4 {
		target := n.prepare(t, c)
		all.Go(func() {
			for range 50 {
				up, err := n.Get(t.Context(), target, Want{})
				if err != nil {
					t.Error(err)
					return
				}
				up.Put()
			}
		})
	}
	all.Wait()
}

// A connection that is lost is lost once, however many streams it had.
func TestALostConnectionIsToldOnce(t *testing.T) {
	f, _ := shares(t, nil)
	n := dialer(t)
	target := n.prepare(t, n.shared(f, nil))
	first := n.stream(t, target)
	second := n.stream(t, target)
	if first.shared != second.shared {
		t.Fatal("they share no connection")
	}
	if !first.Lost() || second.Lost() || first.Lost() {
		t.Error("lost by another number of streams than one")
	}
	first.Put()
	second.Put()
}
