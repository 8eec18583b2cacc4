package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
)

const (
	keepRecords = 4096     // connections, and requests, that are kept; the rest is only counted
	keepBody    = 1 << 20  // bytes of each body
	keepBytes   = 64 << 20 // of all heads and bodies together
)

// Connection is what was seen of one TCP connection.
type Connection struct {
	Remote    string
	SNI       string
	ALPN      []string // as offered
	Agreed    string   // by ALPN; empty before and without it
	Version   uint16   // TLS version agreed on; zero before and without a handshake
	Resumed   bool
	Client    []*x509.Certificate // what the client presented, leaf first
	Verified  bool                // the client's chain led to Config.ClientCAs
	Handshake string              // why the handshake failed; empty where it did not
	TLSHello  bool                // a TLS ClientHello arrived where plain text is spoken; it counts as no request byte
	Bytes     int64               // request plaintext received
	Requests  int                 // heads received
	Closed    bool
}

// Request is what was seen of one request. A field of HTTP/2 is a line "name: value", as HPACK had it.
type Request struct {
	Connection int    // its connection's place in Accepted, from 0
	Stream     uint32 // HTTP/2: its stream's id
	Head       string // request line, header lines and blank line, byte for byte; HTTP/2: all fields in order, a line each
	Method     string
	Scheme     string // HTTP/2: the field :scheme
	Target     string // HTTP/2: the field :path
	Version    string
	Host       string   // values of Host, joined by ", "; HTTP/2: the field :authority, where there is one
	Protocol   string   // HTTP/2: the field :protocol (RFC 8441)
	Lines      []string // header lines in order, without their line ends; HTTP/2: without those that begin with a colon
	Body       []byte   // first bytes, chunking taken off
	Length     int64    // of the whole body, chunking taken off
	SHA256     [32]byte // of the whole body
	Trailers   []string // trailer lines in order, without their line ends
	Complete   bool     // its framing's end was reached
	Reset      string   // HTTP/2: the error code's name in the client's RST_STREAM; empty where none came before the end
}

// Values are the values of the header lines of the name, in order.
func (r Request) Values(name string) []string { return values(r.Lines, name) }

// Record is what a far side has seen so far. Its methods may be called at any time, by anybody.
type Record struct {
	mu          sync.Mutex
	changed     chan struct{} // nil while nobody waits
	http2       bool          // follow HTTP/2 where a connection begins with its preface
	body        int           // bytes to keep of each body
	room        int           // bytes that may still be kept of all
	accepted    int
	bytes       int64
	heads       int
	active      int
	connections []*Connection
	requests    []*message
	open        map[*conn]struct{}
}

func newRecord(body int) *Record {
	if body <= 0 {
		body = keepBody
	}
	return &Record{body: body, room: keepBytes, open: map[*conn]struct{}{}}
}

// Connections is how many TCP connections were accepted.
func (r *Record) Connections() int { return locked(r, func() int { return r.accepted }) }

// Open is how many of them are open.
func (r *Record) Open() int { return locked(r, func() int { return len(r.open) }) }

// RequestBytes is how many bytes of request plaintext came in on all connections. A test that asserts zero first waits
// for the connection's end, because what the client wrote may still be under way.
func (r *Record) RequestBytes() int64 { return locked(r, func() int64 { return r.bytes }) }

// Heads is how many request heads came in.
func (r *Record) Heads() int { return locked(r, func() int { return r.heads }) }

// Accepted are the connections in order, the first 4,096.
func (r *Record) Accepted() []Connection {
	return locked(r, func() []Connection {
		list := make([]Connection, len(r.connections))
		for i, c := range r.connections {
			list[i] = *c
		}
		return list
	})
}

// Requests are the requests in the order their heads came in, the first 4,096 or 64 MiB, whole or not.
func (r *Record) Requests() []Request {
	return locked(r, func() []Request {
		list := make([]Request, len(r.requests))
		for i, m := range r.requests {
			list[i] = m.snapshot()
		}
		return list
	})
}

// WaitRequest waits for the nth request, from 1, to be whole, and returns it.
func (r *Record) WaitRequest(ctx context.Context, n int) (Request, error) {
	return r.waitRequest(ctx, n, func(m *message) bool { return m.seen.Complete })
}

// WaitHead waits for the nth request's head, from 1, and returns what there is of the request.
func (r *Record) WaitHead(ctx context.Context, n int) (Request, error) {
	return r.waitRequest(ctx, n, func(*message) bool { return true })
}

func (r *Record) waitRequest(ctx context.Context, n int, ready func(*message) bool) (Request, error) {
	if n < 1 || n > keepRecords {
		return Request{}, fmt.Errorf("wait for request %d: kept are 1 to %d", n, keepRecords)
	}
	var got Request
	err := r.Wait(ctx, func() bool {
		return locked(r, func() bool {
			if len(r.requests) < n || !ready(r.requests[n-1]) {
				return false
			}
			got = r.requests[n-1].snapshot()
			return true
		})
	})
	if err != nil {
		return Request{}, fmt.Errorf("wait for request %d: %w", n, err)
	}
	return got, nil
}

// WaitClosed waits until n connections or more were accepted and none is open.
func (r *Record) WaitClosed(ctx context.Context, n int) error {
	return r.Wait(ctx, func() bool {
		return locked(r, func() bool { return r.accepted >= n && len(r.open) == 0 })
	})
}

// Wait waits until done, which is asked again after each change of the record.
func (r *Record) Wait(ctx context.Context, done func() bool) error {
	for {
		changed := r.watch() // before done, so that no change is missed
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("upstream saw %d connections and %d requests: %w", r.Connections(), r.Heads(), context.Cause(ctx))
		}
	}
}

func (r *Record) watch() <-chan struct{} {
	return locked(r, func() <-chan struct{} {
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		return r.changed
	})
}

// change runs what alters the record and wakes who waits for it.
func (r *Record) change(alter func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	alter()
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func locked[T any](r *Record, read func() T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return read()
}

func (r *Record) accept(raw net.Conn, settings *tls.Config) *conn {
	seen := &Connection{Remote: raw.RemoteAddr().String()}
	c := &conn{Conn: raw, raw: raw, record: r, seen: seen}
	if settings != nil {
		c.secure = tls.Server(&socket{Conn: raw, seen: seen}, settings)
		c.Conn = c.secure
	}
	r.change(func() {
		c.wire = &wire{record: r, connection: seen, index: r.accepted}
		r.accepted++
		if len(r.connections) < keepRecords {
			r.connections = append(r.connections, seen)
		}
		r.open[c] = struct{}{}
	})
	return c
}

func (r *Record) hello(seen *Connection, hello *tls.ClientHelloInfo) {
	r.change(func() { seen.SNI, seen.ALPN = hello.ServerName, slices.Clone(hello.SupportedProtos) })
}

func (r *Record) handshaken(c *conn) {
	state := c.secure.ConnectionState()
	r.change(func() {
		if c.failed != nil {
			c.seen.Handshake = c.failed.Error()
			return
		}
		c.seen.Version, c.seen.Resumed, c.seen.Agreed = state.Version, state.DidResume, state.NegotiatedProtocol
		c.seen.Client, c.seen.Verified = state.PeerCertificates, len(state.VerifiedChains) > 0
	})
}

func (r *Record) received(c *conn, plaintext []byte) { r.change(func() { c.wire.feed(plaintext) }) }

func (r *Record) tunnel(w *wire) { r.change(func() { w.step = (*wire).opaque }) }

func (r *Record) gone(c *conn) {
	r.change(func() {
		c.seen.Closed = true
		delete(r.open, c)
	})
}

func (r *Record) closeAll() {
	list := locked(r, func() []*conn {
		var list []*conn
		for c := range r.open {
			list = append(list, c)
		}
		return list
	})
	for _, c := range list {
		_ = c.Close() // closed by its other side is as good
	}
}

func (r *Record) handlers(by int) { r.change(func() { r.active += by }) }

func (r *Record) running() int { return locked(r, func() int { return r.active }) }

func values(lines []string, name string) []string {
	var list []string
	for _, line := range lines {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			list = append(list, strings.Trim(v, " \t"))
		}
	}
	return list
}
