package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/gather"
)

// protocolH2 is HTTP/2's name in ALPN (RFC 9113, section 3.1).
const protocolH2 = "h2"

// The bounds of an HTTP/2 connection. net/http resets streams beyond the first; the windows bound what it holds of bodies
// that nobody has read yet.
const (
	maxStreams       = 250      // a connection
	maxHandlers      = 64 << 10 // all connections
	streamWindow     = 256 << 10
	connectionWindow = 4<<20 - 1 // the most that net/http takes: one stream that nobody reads is not to hold up the others
	frameSize        = 16 << 10  // the least that HTTP/2 has (RFC 9113, section 4.2): each connection keeps room for one
	pingAfter        = 30 * time.Second
	pingTimeout      = 15 * time.Second
	takeTimeout      = 30 * time.Second // for a client to take what net/http still holds of an answer that is over
)

// h2 is net/http's server for the connections that speak HTTP/2. It listens to us, not to the network.
type h2 struct {
	set    *Set
	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	served chan struct{}
	take   time.Duration

	mu    sync.Mutex
	wires map[*wire]struct{} // connections

	streams atomic.Int64  // handlers that run
	ending  atomic.Bool   // their end is waited for
	empty   chan struct{} // told then when none runs
}

type wireKey struct{}

func newH2(s *Set) *h2 {
	h := &h2{set: s, conns: make(chan net.Conn), closed: make(chan struct{}), served: make(chan struct{}), take: takeTimeout, wires: map[*wire]struct{}{}}
	h.empty = make(chan struct{}, 1)
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	limit := s.config.Limits.HeadBytes
	if limit <= 0 {
		limit = http1.DefaultHeadBytes
	}
	h.server = &http.Server{
		Protocols:         &protocols,
		Handler:           http.HandlerFunc(h.serve),
		MaxHeaderBytes:    limit,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(debugLog{s.config.Logger}, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, wireKey{}, wireOf(c))
		},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connectionWindow,
			MaxReadFrameSize: frameSize,
			SendPingTimeout:  pingAfter, PingTimeout: pingTimeout,
		},
	}
	go func() {
		defer close(h.served)
		_ = h.server.Serve(h) // ends with ErrServerClosed
	}()
	return h
}

// debugLog takes net/http's lines about what clients did wrong.
type debugLog struct{ logger *slog.Logger }

func (d debugLog) Write(p []byte) (int, error) {
	d.logger.Debug("HTTP/2 with client", "message", string(p))
	return len(p), nil
}

// wireOf is the socket of a connection that was handed over.
func wireOf(c net.Conn) *wire {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*wire)
}

// handOver gives the connection to the server, with what has been read of it.
func (c *Conn) handOver() {
	c.Watch.Remove()
	c.cancel()
	c.wire.peer, c.wire.pacing = c.Peer, newPacing(c.wire.socket, c.set.config.Handler.Sheds)
	c.set.h2.gather(c.wire)
	conn := c.net
	if !c.Secure {
		c.wire.ahead = make([]byte, aheadRoom)
		c.wire.early = slices.Concat(http1.Preface(), c.reader.Buffered())
		conn = c.wire
	}
	c.reader.Reset(nil)
	c.writer.release()
	_ = c.tcp.SetDeadline(time.Time{})
	select {
	case c.set.h2.conns <- conn:
	case <-c.set.h2.closed:
		_ = conn.Close()
	}
}

// gather has few writes made of many to a connection, and knows it until the last of them.
func (h *h2) gather(w *wire) {
	gone := w.gone
	w.out = gather.New(w.Conn, h.take, func() {
		h.mu.Lock()
		delete(h.wires, w)
		h.mu.Unlock()
		gone()
	})
	w.Conn, w.gone = w.out, func() {}
	h.mu.Lock()
	h.wires[w] = struct{}{}
	h.mu.Unlock()
}

// Accept implements net.Listener.
func (h *h2) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *h2) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *h2) Addr() net.Addr { return &net.TCPAddr{} }

// drain sends every connection its GOAWAY and lets its streams finish until ctx ends. The function that it returns waits
// for that to be over.
func (h *h2) drain(ctx context.Context) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.server.Shutdown(ctx); err != nil && !errors.Is(err, ctx.Err()) {
			h.set.config.Logger.Debug("drain HTTP/2", "error", err)
		}
	}()
	return func() { <-done; <-h.served; h.wait() }
}

// enter and leave count the handlers: net/http's server does not wait for those whose stream or connection is over. enter
// reports whether there is room for one more.
func (h *h2) enter() bool { return h.streams.Add(1) <= maxHandlers }

func (h *h2) leave() {
	if h.streams.Add(-1) == 0 && h.ending.Load() {
		select {
		case h.empty <- struct{}{}:
		default:
		}
	}
}

// wait returns when no handler runs, and what they logged is logged.
func (h *h2) wait() {
	h.ending.Store(true) // before the count is looked at: who leaves later tells
	for h.streams.Load() > 0 {
		<-h.empty
	}
}

// cut closes what is left. Sockets come first: crypto/tls would have them wait for its last words.
func (h *h2) cut() {
	h.mu.Lock()
	left := slices.Collect(maps.Keys(h.wires))
	h.mu.Unlock()
	for _, w := range left {
		w.cut()
	}
	_ = h.server.Close()
}
