package upstream

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
)

// Kind is a way to fail.
type Kind uint8

// The ways to fail. Those that answer do so over TLS where FaultConfig has a certificate, and close cleanly after it:
// FIN, and close_notify under TLS, so that only the framing tells that something is missing.
const (
	AcceptClose    Kind = iota + 1 // close what was accepted, unread and before any handshake
	Silent                         // read everything and never answer
	ResetAfterHead                 // RST once a request's head has arrived
	CutBody                        // Content-Length 1000, 100 bytes, close
	CutChunked                     // one chunk, no last one, close
	CloseAfterHead                 // close once a request's head has arrived, whatever of its body is still to come
	CutContinue                    // 100 Continue once a request's head has arrived, close
	CutHead                        // an answer's head up to the middle of a line, close
	CutTrailers                    // all of a chunked body, trailers up to the middle of a line, close
	Garbage                        // bytes that are no HTTP
	PlainText                      // a plain HTTP answer to whatever comes first, certificate or not
)

// answers are what is sent after a whole request, or after its head. 100 bytes are the body of those that have one.
var answers = map[Kind]string{
	CutBody:     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 100),
	CutContinue: "HTTP/1.1 100 Continue\r\n\r\n",
	CutHead:     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Le",
	CutTrailers: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n64\r\n" +
		strings.Repeat("x", 100) + "\r\n0\r\nX-Su",
	CutChunked: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + strings.Repeat("x", 100) + "\r\n",
	Garbage:    "\x00\x01\xfe\xff this is no HTTP\r\n\r\n",
	PlainText:  "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}

// FaultConfig is what a Fault is.
type FaultConfig struct {
	Kind        Kind
	Certificate tls.Certificate // none: plain
}

// Fault is a far side on a raw socket that fails every connection in the same way.
type Fault struct {
	raw
	kind Kind
}

// NewFault starts one on a free port of 127.0.0.1.
func NewFault(config FaultConfig) (*Fault, error) {
	if config.Kind < AcceptClose || config.Kind > PlainText {
		return nil, fmt.Errorf("start fault server: no kind %d", config.Kind)
	}
	f := &Fault{kind: config.Kind}
	if config.Kind == PlainText {
		config.Certificate = tls.Certificate{}
	}
	if err := f.open(config.Certificate, "http/1.1"); err != nil {
		return nil, err
	}
	f.start(f.fail)
	return f, nil
}

// URL is its base, without a slash at the end: https where it speaks TLS, or pretends to.
func (f *Fault) URL() string {
	if f.listener.settings != nil || f.kind == PlainText {
		return "https://" + f.Addr()
	}
	return "http://" + f.Addr()
}

func (f *Fault) fail(c *conn) {
	head := func() bool { return c.seen.Requests > 0 }
	switch f.kind {
	case AcceptClose:
	case Silent:
		f.read(c, func() bool { return false })
	case ResetAfterHead:
		f.read(c, head)
		c.reset()
	case CloseAfterHead:
		f.read(c, head)
		c.finish()
	case CutContinue:
		if f.read(c, head) {
			f.answer(c)
			c.finish()
		}
	case PlainText:
		f.read(c, func() bool { return true })
		f.answer(c)
	default:
		if f.read(c, func() bool { return c.seen.Requests > 0 && c.wire.message == nil }) {
			f.answer(c)
		}
	}
}

func (f *Fault) answer(c *conn) { _, _ = io.WriteString(c, answers[f.kind]) } // a client that left is no matter
