package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// Conn is one client connection that speaks HTTP/1.1, and the Client of its exchanges, one after the other.
type Conn struct {
	Base
	set      *Set
	tcp      *net.TCPConn
	wire     *wire // tcp as TLS and net/http see it
	raw      syscall.RawConn
	readable func(fd uintptr) bool // arrived, as a value made once
	looked   bool
	net      net.Conn // tcp, or TLS over it
	reader   *http1.Reader
	ctx      context.Context //nolint:containedctx // the connection's life is the context's
	cancel   context.CancelFunc
	writer   writer
	h2       bool        // ALPN chose HTTP/2
	later    bool        // a request has been read already
	requests int64       // that have been read
	idle     bool        // no byte of the next request has come
	last     bool        // no exchange after this one
	stopped  atomic.Bool // a read of the body was ended
	spoilt   bool        // a panic left the buffers to whoever may still hold them
}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

func newConn(s *Set, w *wire, tcp *net.TCPConn, raw syscall.RawConn) *Conn {
	c := &Conn{Base: Base{Peer: w.peer}, set: s, tcp: tcp, wire: w, net: tcp, raw: raw}
	c.readable = c.arrived
	c.renew()
	c.X.Client.Address = c.Address
	c.Watch = s.config.Sweeper.Add(raw, c.ended)
	c.reader = http1.NewReader(source{c}, s.config.Limits)
	return c
}

// ended is called by the sweeper: whatever the connection waits for is over.
func (c *Conn) ended(cause watch.Cause) {
	c.cancel()
	_ = c.tcp.SetReadDeadline(past)
	_ = c.tcp.SetWriteDeadline(lastWrite(cause))
}

// Context ends with the connection, or when its client has gone.
func (c *Conn) Context() context.Context { return c.ctx }

// Held implements Client.
func (c *Conn) Held() ([]byte, bool) { return c.reader.Body().Whole() }

// Consumed implements Client.
func (c *Conn) Consumed() bool { return c.reader.Done() }

// Last implements Client.
func (c *Conn) Last() { c.last = true }

// Retire implements Client.
func (c *Conn) Retire() { c.last = true }

// StopReading implements Client; the connection is not used again.
func (c *Conn) StopReading() {
	c.stopped.Store(true)
	_ = c.tcp.SetReadDeadline(past)
}

// ResumeReading implements Client.
func (c *Conn) ResumeReading() bool {
	if !c.stopped.Swap(false) {
		return true
	}
	_ = c.tcp.SetReadDeadline(time.Time{})
	return c.ctx.Err() == nil // else it was the sweep that ended the read
}

func (c *Conn) handshake(so *socket, secured *TLS) bool {
	t := tls.Server(c.wire, secured.Config)
	ctx, cancel := context.WithTimeout(c.ctx, c.set.patience)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		so.refuse(err, t.ConnectionState().Version != 0)
		c.set.config.Logger.Debug("handshake with client", "client", c.X.Client.Address.String(), "error", err)
		return false
	}
	state := t.ConnectionState()
	c.net, c.Secure, c.TLS, c.State, c.SNI = t, true, secured, &state, strings.ToLower(state.ServerName)
	c.h2 = state.NegotiatedProtocol == protocolH2
	if len(state.PeerCertificates) > 0 {
		c.SPIFFE = secured.Peer(&state)
	}
	return true
}

// serve answers exchange after exchange. It reports true where the connection turns out to speak HTTP/2.
func (c *Conn) serve() (other bool) {
	for {
		ok, preface := c.read()
		if !ok {
			return preface
		}
		c.set.config.Handler.Serve(c)
		c.Watch.End()
		if !c.finish() {
			return false
		}
	}
}

// read takes the next request's head.
func (c *Conn) read() (ok, preface bool) {
	c.X.Reset()
	c.writer.reset()
	c.stopped.Store(false)
	c.idle = len(c.reader.Buffered()) == 0
	if c.idle {
		c.reader.Release()
		c.Watch.Arm(watch.IdleTimeout, idleTimeout)
		if c.set.closing.Load() {
			return false, false
		}
		c.await()
	} else {
		c.Watch.Arm(watch.HeadTimeout, headTimeout)
	}
	err := c.reader.ReadRequest(&c.X.Request)
	if errors.Is(err, http1.ErrPreface) {
		if !c.later && !c.Secure { // over TLS it is for ALPN to say (RFC 9113, section 3.3)
			return false, true
		}
		err = &http1.Error{Status: http.StatusHTTPVersionNotSupported, Text: "HTTP/2 where HTTP/1.1 was agreed on"}
	}
	c.later = true
	c.requests++
	c.X.Start = time.Now()
	cause := c.Watch.Cause()
	c.Watch.Begin(0)
	c.Watch.Disarm()
	c.newID()
	if err == nil {
		err = c.clean()
	}
	if err == nil {
		return true, false
	}
	var wrong *http1.Error
	if errors.As(err, &wrong) || cause == watch.HeadTimeout {
		c.last = true
		c.set.config.Handler.Broken(c, wrong)
		c.Watch.End()
		c.linger()
	}
	return false, false
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

// clean adds to Base's what only HTTP/1.1 says.
func (c *Conn) clean() error {
	r := &c.X.Request
	if !r.Absolute {
		r.Scheme = scheme(c.Secure)
	}
	c.last = !c.reader.KeepAlive() || c.set.draining.Load() || c.wire.socket.spent(c.requests)
	if c.reader.Upgrade() && r.Body == nil { // a body before the switch is allowed to be a reason to ignore it (RFC 9110, section 7.8)
		r.Upgrade = switchable(r.Header.Get("Upgrade"))
	}
	return c.Base.clean()
}

// switchable is what an Upgrade field asks for, without HTTP/2, which RFC 9113 took back: in it requests would pass that
// nobody has judged.
func switchable(list string) string {
	kept, gone := list, false
	var rest []string
	for item := range strings.SplitSeq(list, ",") {
		switch item = strings.Trim(item, " \t"); {
		case http1.UpgradesHTTP(item):
			gone = true
		case item != "":
			rest = append(rest, item)
		}
	}
	if gone {
		kept = strings.Join(rest, ", ")
	}
	return kept
}

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// ending reports whether this exchange is the connection's last.
func (c *Conn) ending() bool { return c.last || c.stopped.Load() }

// finish leaves the connection ready for its next request, or reports that there is none.
func (c *Conn) finish() bool {
	if c.writer.broken {
		_ = c.tcp.SetLinger(0) // a reset: nobody takes a cut answer for a whole one
		return false
	}
	if c.reader.Done() && !c.ending() && c.writer.ended {
		return c.ctx.Err() == nil || c.Watch.Renew(c.renew)
	}
	if !c.reader.Done() {
		c.linger()
	}
	return false
}

// renew makes the connection usable again, whose last answer was ended early and yet came to its end.
func (c *Conn) renew() {
	c.ctx, c.cancel = context.WithCancel(exchange.WithNotes(context.Background()))
	_ = c.tcp.SetDeadline(time.Time{})
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
