package accept

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// Client is one exchange's side towards its client, whatever HTTP version that speaks. One goroutine uses it; while a
// request's body is sent on by another, that one reads the body and nothing else.
type Client interface {
	// Common is what all versions have.
	Common() *Base
	// Context ends with the connection, or when the client has given the exchange up.
	Context() context.Context
	// Held takes the request's body where all of it has come already. It never waits.
	Held() ([]byte, bool)
	// Consumed reports whether the request has been read to its end.
	Consumed() bool
	// Last says that what is left of the request will not be read: over HTTP/1.1 this exchange is the connection's last.
	Last()
	// Retire makes the connection go once its exchanges are over.
	Retire()
	// StopReading ends a read of the request's body, or of a tunnel, by another goroutine. Any goroutine may call it.
	StopReading()
	// ResumeReading lets the body be read on after StopReading, or reports false.
	ResumeReading() bool
	// Continue tells a client that waits for it to send its body (RFC 9110, section 10.1.1).
	Continue() error
	// Inform passes an interim answer on, to clients that know such (RFC 9110, section 15.2).
	Inform(r *exchange.Response) error
	// Begin writes the answer's head and with it the first bytes of its body; whole says that they are all of it.
	Begin(r *exchange.Response, body []byte, whole bool) error
	// Begun reports whether the head of the answer has gone out.
	Begun() bool
	// Room is where body bytes are read to before Send sends them: 16 KiB, or where it is to be lean LeanRoom. It ends
	// with the next call that asks for the other size.
	Room(lean bool) []byte
	// Send writes the first n bytes of the room.
	Send(n int) error
	// End completes the answer, with trailers where the client can take them.
	End(trailer *exchange.Header) error
	// Abort breaks the answer off so that the client sees it.
	Abort()
	// Tunnel is the client's bytes after an answer that switched protocols.
	Tunnel() Tunnel
}

// Tunnel is one side of two that have switched protocols.
type Tunnel interface {
	io.ReadWriter
	// CloseWrite ends our direction, and the other one too where the version cannot end them apart.
	CloseWrite() error
}

// Peer is what is known of a client's connection.
type Peer struct {
	Socket  string               // the address bound
	SNI     string               // server name of the TLS handshake
	Secure  bool                 // over TLS
	TLS     *TLS                 // as its handshake was made; nil: plain text
	State   *tls.ConnectionState // of the handshake; nil: plain text
	SPIFFE  string               // verified id of the client; empty: none
	Origin  Origin               // what the handler knows of the connection; nil: nothing
	Address netip.AddrPort
}

// Origin is what a handler knows of a connection from its begin. Gone is called once when it has ended.
type Origin interface{ Gone() }

// Base is an exchange with what it comes from.
type Base struct {
	Peer
	X      exchange.Exchange
	Watch  *watch.Entry
	Served any    // what the handler remembers from exchange to exchange
	Proxy  string // Proxy-Authorization, which is gone from the head; empty where there was none or more than one

	path []byte // room for normalised paths
	id   [32]byte
}

// Common implements Client.
func (b *Base) Common() *Base { return b }

// lastWrite is until when the client of an ended wait may be told so: not at all where it has gone or does not read.
func lastWrite(cause watch.Cause) time.Time {
	switch cause {
	case watch.ClientGone, watch.Shutdown, watch.StreamIdleTimeout, watch.NoMemory:
		return past
	}
	return time.Now().Add(lastWords)
}

// newID draws the request id: 128 random bits.
func (b *Base) newID() {
	var bits [16]byte
	binary.BigEndian.PutUint64(bits[:8], rand.Uint64())
	binary.BigEndian.PutUint64(bits[8:], rand.Uint64())
	hex.Encode(b.id[:], bits[:])
	b.X.ID = unsafe.String(&b.id[0], len(b.id))
}

// clean leaves of the head what is the request's own: hop-by-hop fields are gone and the path is normal.
func (b *Base) clean() error {
	r := &b.X.Request
	b.Proxy = single(&r.Header, "Proxy-Authorization")
	r.Trailers = lists(r.Header.Get("TE"), "trailers")
	exchange.StripHop(&r.Header)
	r.Header.Del("Expect")
	r.Header.Del("HTTP2-Settings") // of an upgrade to h2c, which is ignored (RFC 9113, appendix B)
	var err error
	if r.Path != "" && r.Path != "*" {
		r.Path, b.path, err = http1.NormalizePath(r.Path, b.path[:0])
	}
	return err
}

// single is the value of a field that stands there once.
func single(h *exchange.Header, name string) string {
	value, n := "", 0
	for _, f := range h.Fields() {
		if exchange.EqualFold(f.Name, name) {
			value = f.Value
			n++
		}
	}
	if n != 1 {
		return ""
	}
	return value
}

// lists reports whether a comma-separated list holds a token, whatever its parameters.
func lists(list, token string) bool {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		item, _, _ = strings.Cut(item, ";")
		if exchange.EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}
