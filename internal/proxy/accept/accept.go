// Package accept owns the listening sockets and the connections of clients: TLS, HTTP/1.1 framing, hop-by-hop fields
// and path normalisation, keep-alive, drain. Connections that turn out to speak HTTP/2, by ALPN or by its preface, go on
// under net/http's server, each stream as an exchange of its own. What it hands to its Handler is an exchange whose head
// is clean; it knows no route and no policy.
package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// The bounds of a client connection.
const (
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
	lameTime         = time.Second // for idle connections, before a drain closes them
	headTimeout      = 10 * time.Second
	lingerTimeout    = time.Second
	lastWords        = 2 * time.Second // to write the refusal of what took too long
	lingerBytes      = 256 << 20       // no upload is to reach it: what a client sends after it is answered by a reset
	maxConnections   = 32 << 10        // per socket
)

// Handler answers what connections bring.
type Handler interface {
	// TLS is how a connection to a socket is secured, nil for plain text; ok is false where the socket serves nothing any
	// more.
	TLS(socket string) (t *TLS, ok bool)
	// Connect is told of a connection, and what it gives back of its end. cut ends the connection; any goroutine may call it.
	Connect(address netip.AddrPort, cut func()) Origin
	// Enter reports whether the process has room for another connection; Leave is told of the end of one that it had.
	Enter() bool
	Leave()
	// Sheds reports whether no memory is left for what clients send and nobody reads.
	Sheds() bool
	// Serve answers the current exchange of c.
	Serve(c Client)
	// Broken answers a request that could not be read: peer is what it did wrong, or nil when its head took too long.
	Broken(c Client, peer *http1.Error)
}

// TLS is how a socket's connections are secured.
type TLS struct {
	Config *tls.Config
	Peer   func(*tls.ConnectionState) string // the verified SPIFFE id of a client that showed a certificate; empty: it has none
	Admits func(*tls.ConnectionState) bool   // whether a client whose handshake was made under another setting is let in by this one
}

// Config is what a Set is made of.
type Config struct {
	Handler Handler
	Sweeper *watch.Sweeper
	Limits  http1.Limits
	Logger  *slog.Logger
}

// Set is the sockets that are served.
type Set struct {
	config   Config
	mu       sync.Mutex
	sockets  map[string]*socket
	conns    sync.WaitGroup
	draining atomic.Bool // the next answer on a connection is its last
	closing  atomic.Bool // idle connections are closed
	active   atomic.Int64
	h2       *h2
	patience time.Duration // with a handshake
	lame     time.Duration // of a drain, before it closes idle connections
}

type socket struct {
	address  string
	listener net.Listener
	count    atomic.Int64
	clients  *clients
	refused  [failures]atomic.Int64 // handshakes
	reached  [limits]atomic.Int64
}

// New makes an empty set. Drain ends it.
func New(c Config) *Set {
	s := &Set{config: c, sockets: map[string]*socket{}, patience: handshakeTimeout, lame: lameTime}
	s.h2 = newH2(s)
	return s
}

// Active is the number of client connections.
func (s *Set) Active() int64 { return s.active.Load() }

// Bind opens the sockets of the given addresses (IP:port) that are not open yet. It opens all or gives the error of
// each that it could not open; Keep closes what is no longer wanted.
func (s *Set) Bind(ctx context.Context, addresses []string) map[string]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := map[string]error{}
	for _, address := range addresses {
		if s.sockets[address] != nil || s.draining.Load() {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			failed[address] = fmt.Errorf("listen: %w", err)
			continue
		}
		so := &socket{address: address, listener: listener, clients: newClients(maxClient)}
		s.sockets[address] = so
		s.conns.Add(1)
		go s.accept(so)
	}
	return failed
}

// Keep closes every socket but the given ones. Connections that were accepted finish their exchange.
func (s *Set) Keep(addresses []string) {
	keep := make(map[string]bool, len(addresses))
	for _, address := range addresses {
		keep[address] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, so := range s.sockets {
		if !keep[address] {
			_ = so.listener.Close()
			delete(s.sockets, address)
		}
	}
}

// Addresses maps each address that was bound to the one that it became: they differ in port 0.
func (s *Set) Addresses() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addresses := make(map[string]net.Addr, len(s.sockets))
	for address, so := range s.sockets {
		addresses[address] = so.listener.Addr()
	}
	return addresses
}

// Drain stops accepting, lets exchanges finish and closes connections as they become idle. An idle one is first given a
// moment to be told: a client that uses it is answered, and hears that there is no more, where one whose request crosses
// the close cannot know what became of it (RFC 9112, section 9.6). When ctx ends first, what is left is closed and its error returned.
func (s *Set) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.Keep(nil)
	done := make(chan struct{})
	go func() { s.conns.Wait(); close(done) }()
	defer s.h2.drain(ctx)()
	told := time.NewTimer(s.lame)
	defer told.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	case <-told.C:
	}
	s.closing.Store(true)
	s.config.Sweeper.Each(func(e *watch.Entry) { e.StopIdle() })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	cut := s.active.Load()
	s.config.Sweeper.Each(func(e *watch.Entry) { e.Stop(watch.Shutdown) })
	s.h2.cut()
	<-done
	return fmt.Errorf("drain: %d connections were cut: %w", cut, ctx.Err())
}

func (s *Set) accept(so *socket) {
	defer s.conns.Done()
	for pause := time.Millisecond; ; {
		c, err := so.listener.Accept()
		switch {
		case err == nil:
			pause = time.Millisecond
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of file descriptors, most likely: it passes
			s.config.Logger.Warn("accept", "address", so.address, "error", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		tcp := c.(*net.TCPConn)
		if limit, ok := s.enter(so, addressOf(tcp).Addr()); !ok {
			so.limited(limit)
			_ = c.Close()
			continue
		}
		s.conns.Add(1)
		s.active.Add(1)
		go s.serve(so, tcp)
	}
}

// enter counts a connection where there is room for it; else it says which limit leaves none.
func (s *Set) enter(so *socket, address netip.Addr) (Limit, bool) {
	if !s.config.Handler.Enter() {
		return Memory, false
	}
	if so.count.Add(1) > maxConnections {
		so.count.Add(-1)
		s.config.Handler.Leave()
		return Connections, false
	}
	if !so.clients.enter(address) {
		so.count.Add(-1)
		s.config.Handler.Leave()
		return ClientConnections, false
	}
	return 0, true
}

// LogPanic tells of a mistake of ours that ended one exchange. A panic's own words may quote what a request held: only
// those of the runtime are logged.
func LogPanic(logger *slog.Logger, p any) {
	words := fmt.Sprintf("%T", p)
	if ours, ok := p.(runtime.Error); ok {
		words = ours.Error()
	}
	logger.Error("panic in an exchange", "panic", words, "stack", string(debug.Stack()))
}

// survive keeps a mistake of ours in one exchange from ending everybody else's. The connection's buffers are not used
// again, since a goroutine that sends the request's body on may still hold them.
func (c *Conn) survive() {
	if p := recover(); p != nil {
		LogPanic(c.set.config.Logger, p)
		c.spoilt, c.writer.broken = true, true
	}
}

func (s *Set) serve(so *socket, tcp *net.TCPConn) {
	peer := Peer{Socket: so.address, Address: addressOf(tcp)}
	peer.Origin = s.config.Handler.Connect(peer.Address, func() {
		_, _ = tcp.CloseRead(), tcp.CloseWrite() // whoever is at it finds out
	})
	w := &wire{Conn: tcp, peer: peer, socket: so, gone: func() {
		if peer.Origin != nil {
			peer.Origin.Gone()
		}
		so.clients.leave(peer.Address.Addr())
		so.count.Add(-1)
		s.config.Handler.Leave()
		s.active.Add(-1)
		s.conns.Done()
	}}
	config, ok := s.config.Handler.TLS(so.address)
	raw, err := tcp.SyscallConn()
	if !ok || err != nil || s.draining.Load() {
		_ = w.Close()
		return
	}
	c := newConn(s, w, tcp, raw)
	other := false
	defer func() {
		if !other {
			c.close()
			_ = w.Close()
		}
	}()
	defer c.survive()
	if config != nil && !c.handshake(so, config) {
		return
	}
	if other = c.h2 || c.serve(); other {
		c.handOver()
	}
}

func addressOf(c *net.TCPConn) netip.AddrPort {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
