package http1

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// ErrUnwritable is a head, or a trailer, that would not read as it was meant: a name that is no token, a control in a
// value, a malformed target. A policy put it there; the peer did nothing wrong.
var ErrUnwritable = errors.New("http1: cannot be written")

func unwritable(what string) error { return fmt.Errorf("%s: %w", what, ErrUnwritable) }

// Connection is the Connection field that is written.
type Connection uint8

// What a head says of the connection. Any but AsIs replaces the Connection fields of the header.
const (
	AsIs      Connection = iota // what the header says, for upgrades above all
	Close                       // Connection: close
	KeepAlive                   // Connection: keep-alive, which HTTP/1.0 wants said
)

// Framing is how a written message's body is to be written.
type Framing uint8

// The framings of a body.
const (
	NoBody     Framing = iota
	Counted            // exactly Length bytes
	Chunks             // FrameChunk or AppendChunk, and AppendLastChunk
	UntilClose         // as it comes; the end of the connection ends it
)

// RequestHead is what AppendRequest writes.
type RequestHead struct {
	Method     string
	Target     string // path and query; the absolute or authority form where the next hop wants it
	Authority  string // Host
	Header     *exchange.Header
	Length     int64 // bytes, or exchange.LengthUnknown or LengthAbsent
	Connection Connection
}

// AppendRequest appends a request's head: Host first (RFC 9110, section 7.2), the header's fields as they stand, then
// the framing by Length. Host, Content-Length and Transfer-Encoding of the header are dropped. With an error, which
// wraps ErrUnwritable, dst comes back as it was.
func AppendRequest(dst []byte, h RequestHead) ([]byte, Framing, error) {
	start := len(dst)
	switch {
	case h.Method == "" || run(bytesOf(h.Method), isToken) != len(h.Method):
		return dst, NoBody, unwritable("method")
	case h.Target == "" || run(bytesOf(h.Target), isTarget) != len(h.Target):
		return dst, NoBody, unwritable("target")
	case h.Method == http.MethodConnect && (h.Length > 0 || h.Length == exchange.LengthUnknown):
		return dst, NoBody, unwritable("body of a CONNECT")
	}
	if _, _, ok := splitAuthority(h.Authority); !ok {
		return dst, NoBody, unwritable("authority")
	}
	dst = append(dst, h.Method...)
	dst = append(dst, ' ')
	dst = append(dst, h.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, h.Authority...)
	dst = append(dst, "\r\n"...)
	dst, err := appendFields(dst, h.Header, h.Connection)
	if err != nil {
		return dst[:start], NoBody, err
	}
	framing := NoBody
	switch {
	case h.Method == http.MethodConnect:
	case h.Length == exchange.LengthUnknown:
		framing = Chunks
		dst = appendLength(dst, h.Length)
	case h.Length >= 0:
		dst = appendLength(dst, h.Length)
		if h.Length > 0 {
			framing = Counted
		}
	}
	return append(dst, "\r\n"...), framing, nil
}

// Recipient is who a response is for: what it asked decides how the body can be framed.
type Recipient struct {
	Method  string // of its request
	Version exchange.Version
}

// AppendResponse appends a response's head for the recipient, and says how the body is to be written. A response with
// body and unknown length closes the connection of an HTTP/1.0 client; one without a length has an empty body, and says
// so. Content-Length, Transfer-Encoding and Host of the header are dropped. With an error, which wraps ErrUnwritable,
// dst comes back as it was.
func AppendResponse(dst []byte, res *exchange.Response, to Recipient, connection Connection) ([]byte, Framing, error) {
	start := len(dst)
	if res.Status < 100 || res.Status > 599 {
		return dst, NoBody, unwritable("status")
	}
	if textRun(bytesOf(res.Phrase)) != len(res.Phrase) {
		return dst, NoBody, unwritable("reason phrase")
	}
	framing, stated := respond(res, to)
	if framing == UntilClose {
		connection = Close
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(res.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, res.Phrase...)
	dst = append(dst, "\r\n"...)
	dst, err := appendFields(dst, &res.Header, connection)
	if err != nil {
		return dst[:start], NoBody, err
	}
	dst = appendLength(dst, stated)
	return append(dst, "\r\n"...), framing, nil
}

// respond is RFC 9112, sections 6.1 to 6.3, from the sender's side: how the body goes, and which length is stated.
func respond(res *exchange.Response, to Recipient) (f Framing, stated int64) {
	stated = res.Length
	if stated == exchange.LengthUnknown && to.Version == exchange.HTTP10 {
		stated = exchange.LengthAbsent // HTTP/1.0 knows no chunks
	}
	switch {
	case res.Status < 200 || res.Status == http.StatusNoContent,
		to.Method == http.MethodConnect && res.Status < 300:
		return NoBody, exchange.LengthAbsent
	case to.Method == http.MethodHead || res.Status == http.StatusNotModified:
		return NoBody, stated
	case res.Length == exchange.LengthAbsent || res.Length == 0:
		return NoBody, 0
	case res.Length > 0:
		return Counted, stated
	case stated == exchange.LengthUnknown:
		return Chunks, stated
	}
	return UntilClose, stated
}

func appendLength(dst []byte, length int64) []byte {
	switch {
	case length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		return append(dst, "\r\n"...)
	case length == exchange.LengthUnknown:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return dst
}

func appendFields(dst []byte, h *exchange.Header, connection Connection) ([]byte, error) {
	for _, f := range h.Fields() {
		if framingField(f.Name) || connection != AsIs && exchange.EqualFold(f.Name, "Connection") {
			continue
		}
		var err error
		if dst, err = appendField(dst, f); err != nil {
			return dst, err
		}
	}
	switch connection {
	case Close:
		dst = append(dst, "Connection: close\r\n"...)
	case KeepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst, nil
}

func appendField(dst []byte, f exchange.Field) ([]byte, error) {
	if f.Name == "" || run(bytesOf(f.Name), isToken) != len(f.Name) {
		return dst, unwritable("field name")
	}
	if textRun(bytesOf(f.Value)) != len(f.Value) {
		return dst, unwritable("field value")
	}
	dst = append(dst, f.Name...)
	dst = append(dst, ": "...)
	dst = append(dst, f.Value...)
	return append(dst, "\r\n"...), nil
}

// framingField reports whether the field is one that Length and Authority stand for.
func framingField(name string) bool {
	switch len(name) {
	case len("Host"):
		return exchange.EqualFold(name, "Host")
	case len("Content-Length"):
		return exchange.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return exchange.EqualFold(name, "Transfer-Encoding")
	}
	return false
}
