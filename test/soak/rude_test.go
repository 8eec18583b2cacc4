package soak

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// perAddress is how many connections are made from one address: a client may have 8,192 of them (docs/limits.md).
const perAddress = 4000

// connect makes the nth connection of a test, from an address that others are not made from. It is the caller's to close.
func connect(t *testing.T, address string, n int) *net.TCPConn {
	t.Helper()
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n/perAddress))}
	c, err := (&net.Dialer{LocalAddr: from, KeepAlive: -1}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// rude is a client of HTTP/2 that writes what frames it likes, and reads whatever comes without looking at it.
type rude struct {
	*http2.Framer
	conn   net.Conn
	fields bytes.Buffer
	stream uint32        // that the next request gets
	gone   chan struct{} // closed when the connection has ended
}

// newDeaf does not even read.
func newDeaf(conn net.Conn) (*rude, error) {
	r := &rude{conn: conn, Framer: http2.NewFramer(conn, nil), stream: 1, gone: make(chan struct{})}
	r.AllowIllegalWrites = true
	_, err := io.WriteString(conn, http2.ClientPreface)
	if err == nil {
		err = r.WriteSettings()
	}
	return r, err
}

func newRude(conn net.Conn) (*rude, error) {
	r, err := newDeaf(conn)
	go func() {
		defer close(r.gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	return r, err
}

// close ends it, and waits for that.
func (r *rude) close() {
	_ = r.conn.Close()
	<-r.gone
}

// request opens a stream.
func (r *rude) request(method, path string, whole bool) error {
	r.fields.Reset()
	encoder := hpack.NewEncoder(&r.fields)
	for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "h"}, {":path", path}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream, BlockFragment: r.fields.Bytes(), EndHeaders: true, EndStream: whole})
	r.stream += 2
	return err
}
