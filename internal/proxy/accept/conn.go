package accept

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// Conn is one client connection that speaks HTTP/1.1, and the way back for the answers of its exchanges. One goroutine
// serves it; while a request's body is sent on by another, that one reads the body and nothing else.
type Conn struct {
	X      exchange.Exchange
	Watch  *watch.Entry
	Socket string // the address bound
	SNI    string // server name of the TLS handshake
	Peer   string // verified SPIFFE id of the client; empty: none
	Secure bool   // over TLS
	Served any    // what the handler remembers of the connection

	set      *Set
	tcp      *net.TCPConn
	raw      syscall.RawConn
	readable func(fd uintptr) bool // arrived, as a value made once
	looked   bool
	net      net.Conn // tcp, or TLS over it
	reader   *http1.Reader
	ctx      context.Context //nolint:containedctx // the connection's life is the context's
	cancel   context.CancelFunc
	writer   writer
	path     []byte // room for normalised paths
	id       [32]byte
	idle     bool // no byte of the next request has come
	last     bool // no exchange after this one
	spoilt   bool // a panic left the buffers to whoever may still hold them
}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

func newConn(s *Set, socket string, tcp *net.TCPConn, raw syscall.RawConn) *Conn {
	c := &Conn{set: s, Socket: socket, tcp: tcp, net: tcp, raw: raw}
	c.readable = c.arrived
	c.ctx, c.cancel = context.WithCancel(exchange.WithNotes(context.Background()))
	c.X.Client.Address = peer(tcp)
	c.Watch = s.config.Sweeper.Add(raw, c.ended)
	c.reader = http1.NewReader(source{c}, s.config.Limits)
	return c
}

func peer(c *net.TCPConn) netip.AddrPort {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// ended is called by the sweeper: whatever the connection waits for is over.
func (c *Conn) ended(cause watch.Cause) {
	c.cancel()
	_ = c.tcp.SetReadDeadline(past)
	if cause == watch.ClientGone || cause == watch.Shutdown || cause == watch.StreamIdleTimeout {
		_ = c.tcp.SetWriteDeadline(past)
	} else {
		_ = c.tcp.SetWriteDeadline(time.Now().Add(lastWords)) // for a client that takes what it is told
	}
}

// Context ends with the connection, or when its client has gone.
func (c *Conn) Context() context.Context { return c.ctx }

// Reader is the codec's side that reads from the client.
func (c *Conn) Reader() *http1.Reader { return c.reader }

// Last makes the current exchange the connection's last.
func (c *Conn) Last() { c.last = true }

// StopReading ends a read of the request's body by another goroutine; the connection is not used again.
func (c *Conn) StopReading() {
	c.last = true
	_ = c.tcp.SetReadDeadline(past)
}

func (c *Conn) handshake(secured *TLS) bool {
	t := tls.Server(c.tcp, secured.Config)
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		c.set.config.Logger.Debug("handshake with client", "client", c.X.Client.Address.String(), "error", err)
		return false
	}
	state := t.ConnectionState()
	c.net, c.Secure, c.SNI = t, true, strings.ToLower(state.ServerName)
	if len(state.PeerCertificates) > 0 {
		c.Peer = secured.Peer(&state)
	}
	return true
}

func (c *Conn) serve() {
	for c.read() {
		c.set.config.Handler.Serve(c)
		c.Watch.End()
		if !c.finish() {
			return
		}
	}
}

// read takes the next request's head.
func (c *Conn) read() bool {
	c.X.Reset()
	c.writer.reset()
	c.idle = len(c.reader.Buffered()) == 0
	if c.idle {
		c.reader.Release()
		c.Watch.Arm(watch.IdleTimeout, idleTimeout)
		if c.set.draining.Load() {
			return false
		}
		c.await()
	} else {
		c.Watch.Arm(watch.HeadTimeout, headTimeout)
	}
	err := c.reader.ReadRequest(&c.X.Request)
	c.X.Start = time.Now()
	cause := c.Watch.Cause()
	c.Watch.Begin(0)
	c.Watch.Disarm()
	c.newID()
	if err == nil {
		err = c.clean()
	}
	if err == nil {
		return true
	}
	var wrong *http1.Error
	if errors.As(err, &wrong) || cause == watch.HeadTimeout {
		c.last = true
		c.set.config.Handler.Broken(c, wrong)
		c.Watch.End()
		c.linger()
	}
	return false
}

// await returns when the client has sent something, or left, so that an idle connection holds no buffer. TLS may have
// read ahead of what it gave us: there the read itself waits.
func (c *Conn) await() {
	if c.looked = false; !c.Secure {
		_ = c.raw.Read(c.readable) // what is wrong with the connection, the read that follows says
	}
}

// arrived looks at the socket once, and is called again when the poller has seen something there.
func (c *Conn) arrived(fd uintptr) bool {
	if c.looked {
		return true
	}
	c.looked = true
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN
}

// clean leaves of the head what is the request's own: hop-by-hop fields are gone and the path is normal.
func (c *Conn) clean() error {
	r := &c.X.Request
	if !r.Absolute {
		r.Scheme = "http"
		if c.Secure {
			r.Scheme = "https"
		}
	}
	if c.last = !c.reader.KeepAlive() || c.set.draining.Load(); c.reader.Upgrade() {
		r.Header.Del("Upgrade")
	}
	exchange.StripHop(&r.Header)
	r.Header.Del("Expect")
	var err error
	if r.Path != "" && r.Path != "*" {
		r.Path, c.path, err = http1.NormalizePath(r.Path, c.path[:0])
	}
	return err
}

// finish leaves the connection ready for its next request, or reports that there is none.
func (c *Conn) finish() bool {
	if c.writer.broken {
		_ = c.tcp.SetLinger(0) // a reset: nobody takes a cut answer for a whole one
		return false
	}
	if c.reader.Done() && !c.last && c.writer.ended {
		return true
	}
	if !c.reader.Done() {
		c.linger()
	}
	return false
}

// linger closes our side and reads on for a moment, so that the client gets our answer and not a reset for what it was
// still sending (RFC 9112, section 9.6).
func (c *Conn) linger() {
	if t, ok := c.net.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	_ = c.tcp.CloseWrite()
	_ = c.tcp.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.CopyN(io.Discard, c.tcp, lingerBytes)
}

func (c *Conn) close() {
	c.Watch.Remove()
	c.cancel()
	if c.writer.broken {
		_ = c.tcp.Close() // without TLS's own end, which would make a cut answer look whole
	} else {
		_ = c.net.Close()
	}
	if !c.spoilt {
		c.reader.Release()
		c.writer.release()
	}
}

// newID draws the request id: 128 random bits.
func (c *Conn) newID() {
	var bits [16]byte
	binary.BigEndian.PutUint64(bits[:8], rand.Uint64())
	binary.BigEndian.PutUint64(bits[8:], rand.Uint64())
	hex.Encode(c.id[:], bits[:])
	c.X.ID = unsafe.String(&c.id[0], len(c.id))
}

// source is where the codec reads from: it notes the first byte of a head, whose time runs from there.
type source struct{ c *Conn }

func (s source) Read(p []byte) (int, error) {
	n, err := s.c.net.Read(p)
	if s.c.idle && n > 0 {
		s.c.idle = false
		s.c.Watch.Arm(watch.HeadTimeout, headTimeout)
	}
	return n, err
}
