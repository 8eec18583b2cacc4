package upstream

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
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
	Garbage                        // bytes that are no HTTP
	PlainText                      // a plain HTTP answer to whatever comes first, certificate or not
)

// answers are what is sent after a whole request. 100 bytes are the body of those that have one.
var answers = map[Kind]string{
	CutBody:    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 100),
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
	*Record
	kind     Kind
	listener *recording
	ended    sync.WaitGroup
}

// NewFault starts one on a free port of 127.0.0.1.
func NewFault(config FaultConfig) (*Fault, error) {
	if config.Kind < AcceptClose || config.Kind > PlainText {
		return nil, fmt.Errorf("start fault server: no kind %d", config.Kind)
	}
	listener, err := listen(anyPort)
	if err != nil {
		return nil, err
	}
	f := &Fault{Record: newRecord(0), kind: config.Kind}
	f.listener = &recording{Listener: listener, record: f.Record}
	if len(config.Certificate.Certificate) > 0 && config.Kind != PlainText {
		f.listener.settings = f.settings(func() *tls.Certificate { return &config.Certificate }, "http/1.1")
	}
	f.ended.Go(f.serve)
	return f, nil
}

// Addr is the host and port that it listens on.
func (f *Fault) Addr() string { return f.listener.Addr().String() }

// URL is its base, without a slash at the end: https where it speaks TLS, or pretends to.
func (f *Fault) URL() string {
	if f.listener.settings != nil || f.kind == PlainText {
		return "https://" + f.Addr()
	}
	return "http://" + f.Addr()
}

// Close stops listening, closes every connection and waits until nothing runs.
func (f *Fault) Close() error {
	err := f.listener.Close()
	f.closeAll()
	f.ended.Wait()
	return err
}

func (f *Fault) serve() {
	defer f.closeAll() // what was accepted while Close went over the list
	for {
		accepted, err := f.listener.Accept()
		if err != nil {
			return
		}
		if c, ok := accepted.(*conn); ok {
			f.ended.Go(func() { f.fail(c) })
		}
	}
}

func (f *Fault) fail(c *conn) {
	defer func() { _ = c.Close() }()
	switch f.kind {
	case AcceptClose:
	case Silent:
		f.read(c, func() bool { return false })
	case ResetAfterHead:
		f.read(c, func() bool { return c.seen.Requests > 0 })
		c.reset()
	case PlainText:
		f.read(c, func() bool { return true })
		f.answer(c)
	default:
		if f.read(c, func() bool { return c.seen.Requests > 0 && c.wire.message == nil }) {
			f.answer(c)
		}
	}
}

// read reads until enough, which runs under the record's lock after each piece, or until the client is gone.
func (f *Fault) read(c net.Conn, enough func() bool) bool {
	piece := make([]byte, 16<<10)
	for {
		if _, err := c.Read(piece); err != nil {
			return false
		}
		if locked(f.Record, enough) {
			return true
		}
	}
}

func (f *Fault) answer(c *conn) { _, _ = io.WriteString(c, answers[f.kind]) } // a client that left is no matter
