package dial

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ebbgate/ebbgate/internal/http1"
)

// Conn is a connection to a backend, its plaintext side. It has one user at a time, from Get to Put or Close; within that
// time one goroutine may read while another writes.
type Conn struct {
	Reader *http1.Reader // of this connection, kept from use to use; made by the first Get

	reused bool

	plain   net.Conn // tls, or wire itself
	wire    *wire
	tls     *tls.Conn // nil: plain
	state   *tls.ConnectionState
	outer   *Conn // to the parent whose tunnel this is; nil: none
	socket  *net.TCPConn
	raw     syscall.RawConn
	peek    peek
	pool    *pool
	address netip.AddrPort
	vetted  atomic.Pointer[Target] // whose Handshake stages let it in, the last of them

	since  time.Time     // idle since
	keep   time.Duration // idle time the far side allows, or keepForever
	full   bool          // the last read filled its buffer: plaintext may be left in tls
	broken atomic.Bool
	timed  atomic.Bool // a deadline was set
	lent   atomic.Bool
	closed atomic.Bool
}

func newConn(socket *net.TCPConn, address netip.AddrPort, p *pool) (*Conn, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach socket: %w", err)
	}
	w := &wire{Conn: socket}
	c := &Conn{plain: w, wire: w, socket: socket, raw: raw, pool: p, address: address, keep: keepForever}
	c.peek.look = c.peek.at
	return c, nil
}

// lend hands the connection out.
func (c *Conn) lend(reused bool) {
	if c.Reader == nil {
		c.Reader = http1.NewReader(c, http1.Limits{})
	}
	c.reused = reused
	c.lent.Store(true)
	c.Mark()
}

// Read reads plaintext.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.plain.Read(b)
	c.full = n == len(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.broken.Store(true)
	}
	return n, err
}

// Write writes plaintext. A connection on which one write failed is not pooled again.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.plain.Write(b)
	if err != nil {
		c.broken.Store(true)
	}
	return n, err
}

// Mark begins the count of Written.
func (c *Conn) Mark() { c.wire.written.Store(0) }

// Written is how many bytes the socket was given since Mark, under TLS. Zero proves that nothing was sent; bytes of a
// write that is under way count as sent.
func (c *Conn) Written() int64 { return c.wire.written.Load() }

// Address is the address dialled.
func (c *Conn) Address() netip.AddrPort { return c.address }

// TLS is what the handshake agreed on; nil on a plain connection. It must not be changed.
func (c *Conn) TLS() *tls.ConnectionState { return c.state }

// Reused implements Upstream.
func (c *Conn) Reused() bool { return c.reused }

// Raw implements Upstream: the socket, without TLS's farewell.
func (c *Conn) Raw() io.Closer { return c.socket }

// Lost implements Upstream.
func (c *Conn) Lost() bool { return true }

// LocalAddr is our end.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr is the far end.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// SetDeadline bounds reads and writes. Put clears it.
func (c *Conn) SetDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.plain.SetDeadline(t)
}

// SetReadDeadline bounds reads. Put clears it.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.plain.SetReadDeadline(t)
}

// SetWriteDeadline bounds writes. Put clears it.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.plain.SetWriteDeadline(t)
}

// KeepAlive is how long the far side said it keeps the idle connection (the timeout of a Keep-Alive field). Ours ends a
// second earlier, so that a request does not meet the close.
func (c *Conn) KeepAlive(timeout time.Duration) { c.keep = timeout - time.Second }

// Put gives the connection back: to its pool if another request may use it, else it is closed. The message's views of
// Reader's buffer end with it.
func (c *Conn) Put() {
	if !c.lent.Swap(false) {
		return
	}
	if c.broken.Load() || c.closed.Load() || c.keep <= 0 || !c.Reader.Reusable() || !c.Reader.Release() {
		_ = c.Close()
		return
	}
	if c.timed.Swap(false) && c.plain.SetDeadline(time.Time{}) != nil {
		_ = c.Close()
		return
	}
	c.since = c.pool.now()
	c.pool.push(c)
	c.pool.room.wake()
}

// Close ends the connection. It may be called more than once, and while another goroutine reads or writes.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if c.broken.Load() {
		return c.wire.Close()
	}
	c.wire.closing.Store(true)
	return c.plain.Close()
}

// CloseWrite ends our direction and leaves the other one.
func (c *Conn) CloseWrite() error {
	switch {
	case c.tls != nil:
		return c.tls.CloseWrite()
	case c.outer != nil:
		return c.outer.CloseWrite()
	}
	return c.socket.CloseWrite()
}

// tired reports whether the connection has been idle for as long as it may.
func (c *Conn) tired(now time.Time) bool {
	return now.Sub(c.since) >= min(c.keep, c.pool.room.limits.Load().Idle)
}
