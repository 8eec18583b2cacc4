package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
)

// recording hands every accepted connection on as one that records.
type recording struct {
	net.Listener
	record   *Record
	settings *tls.Config // nil: plain
}

// Accept counts the connection. Its handshake waits for the first Read, so that a slow one holds up no other.
func (l *recording) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.record.accept(raw, l.settings), nil
}

// socket is the bare connection, which crypto/tls hands back with the ClientHello.
type socket struct {
	net.Conn
	seen *Connection
}

// conn is a connection whose plaintext is copied to the record as it is read.
type conn struct {
	net.Conn // the TLS one, or the bare one
	raw      net.Conn
	secure   *tls.Conn // nil: plain
	record   *Record
	seen     *Connection
	wire     *wire
	shake    sync.Once
	failed   error
	closed   sync.Once
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.handshake(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.record.received(c, p[:n])
	}
	return n, err
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() { c.record.gone(c) })
	return err
}

// CloseWrite lets net/http end an answer before it closes.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// finish sends FIN, after close_notify under TLS, and waits for the client's end: closing with bytes unread would send RST,
// which may overtake what was written.
func (c *conn) finish() {
	_ = c.CloseWrite()
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, onlyReader{c}) // however it ends
}

// onlyReader keeps io.Copy from the connection's own ways to copy, which the record does not see.
type onlyReader struct{ io.Reader }

// reset closes with RST in place of FIN and without TLS's close_notify.
func (c *conn) reset() {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a connection already gone needs none
	}
	_ = c.raw.Close()
	c.closed.Do(func() { c.record.gone(c) })
}

func (c *conn) handshake() error {
	if c.secure == nil {
		return nil
	}
	c.shake.Do(func() {
		c.failed = c.secure.HandshakeContext(context.Background())
		c.record.handshaken(c)
	})
	return c.failed
}

// state is the TLS state after the handshake; nil where there is no TLS.
func (c *conn) state() *tls.ConnectionState {
	if c.secure == nil {
		return nil
	}
	state := c.secure.ConnectionState()
	return &state
}
