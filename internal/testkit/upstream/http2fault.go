package upstream

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"golang.org/x/net/http2"
)

// HTTP2Kind is a way to fail in HTTP/2 (RFC 9113).
type HTTP2Kind uint8

// The ways to fail. The first two are those of a whole connection; then what happens once a request's head has arrived;
// then, from Unanswered on, what happens once a request is whole.
const (
	NoSettings HTTP2Kind = iota + 1 // close after the handshake, before SETTINGS and with nothing read
	Deaf                            // read everything and never send a frame: no SETTINGS, no answer to a ping

	RefuseStream   // RST_STREAM REFUSED_STREAM
	GoAwayBelow    // GOAWAY whose last stream is below the request's, close
	GoAwayCovering // GOAWAY whose last stream is the request's, close
	HangUp         // close
	AbortAtHead    // RST of the TCP connection
	ResetStream    // RST_STREAM with the code, before an answer's head
	EarlyAnswer    // a whole answer, then RST_STREAM NO_ERROR while the request's body is under way (section 8.1)
	NoCredit       // nothing on the stream, and no credit for a body: at most what goes out before SETTINGS arrive, 64 KiB

	Unanswered    // nothing on the stream, while the connection lives, pings and all
	ResetAnswer   // an answer's head, RST_STREAM with the code
	ResetBody     // a head, 100 bytes, RST_STREAM with the code
	ResetTrailers // a head that announces a trailer, 100 bytes, RST_STREAM with the code
	HangUpBody    // Content-Length 1000, 100 bytes, close
	ShortBody     // Content-Length 1000, 100 bytes, END_STREAM
	Hint          // 103 with a Link, then an answer: no failure, but for who takes the first head for the last
	BadHead       // the fields of HTTP2FaultConfig.Fields as an answer's head, with END_STREAM
)

// HTTP2FaultConfig is what an HTTP2Fault is.
type HTTP2FaultConfig struct {
	Kind        HTTP2Kind
	Certificate tls.Certificate // none: plain, by prior knowledge
	First       int             // how many streams fail, over all connections, or how many connections; then 200 "served". Zero: all fail
	Code        http2.ErrCode   // of RST_STREAM and GOAWAY; RST_STREAM's is INTERNAL_ERROR where it is zero
	Fields      [][2]string     // for BadHead, names and values
}

// HTTP2Fault is a far side of HTTP/2 on a raw socket that fails in one way. Heads counts the requests that reached it.
type HTTP2Fault struct {
	raw
	config HTTP2FaultConfig
	taken  atomic.Int64 // streams, or connections, that failed or were served in place of it
}

// NewHTTP2Fault starts one on a free port of 127.0.0.1.
func NewHTTP2Fault(config HTTP2FaultConfig) (*HTTP2Fault, error) {
	if config.Kind < NoSettings || config.Kind > BadHead {
		return nil, fmt.Errorf("start fault server: no kind %d of HTTP/2", config.Kind)
	}
	if config.Code == http2.ErrCodeNo && config.Kind != GoAwayBelow && config.Kind != GoAwayCovering {
		config.Code = http2.ErrCodeInternal
	}
	f := &HTTP2Fault{config: config}
	if err := f.open(config.Certificate, http2.NextProtoTLS); err != nil {
		return nil, err
	}
	f.http2 = true
	f.start(f.fail)
	return f, nil
}

// URL is its base, without a slash at the end.
func (f *HTTP2Fault) URL() string {
	if f.listener.settings != nil {
		return "https://" + f.Addr()
	}
	return "http://" + f.Addr()
}

// take counts one more, and says whether it is to fail.
func (f *HTTP2Fault) take() bool {
	n := f.taken.Add(1)
	return f.config.First == 0 || n <= int64(f.config.First)
}

func (f *HTTP2Fault) fail(c *conn) {
	switch {
	case f.config.Kind == NoSettings && f.take():
		_ = c.handshake() // failed or not, the end is the same
	case f.config.Kind == Deaf && f.take():
		f.read(c, func() bool { return false })
	default:
		(&session{fault: f, conn: c, bodies: map[uint32]bool{}}).run()
	}
}

// BadHeads are heads of answers that are malformed (RFC 9113, sections 8.1.1, 8.2 and 8.3.2), each under what is wrong.
func BadHeads() map[string][][2]string {
	ok := [2]string{":status", "200"}
	return map[string][][2]string{
		"no status":               {{"content-type", "text/plain"}},
		"empty status":            {{":status", ""}},
		"status of letters":       {{":status", "abc"}},
		"status of two digits":    {{":status", "20"}},
		"final status 101":        {{":status", "101"}},
		"two statuses":            {ok, {":status", "204"}},
		"status after a field":    {{"content-type", "text/plain"}, ok},
		"pseudo-field of request": {ok, {":path", "/"}},
		"unknown pseudo-field":    {ok, {":other", "1"}},
		"upper case":              {ok, {"X-Upper", "1"}},
		"space in a name":         {ok, {"x y", "1"}},
		"empty name":              {ok, {"", "1"}},
		"line end in a value":     {ok, {"x-y", "1\r\nx-z: 2"}},
		"NUL in a value":          {ok, {"x-y", "1\x002"}},
		"connection":              {ok, {"connection", "close"}},
		"keep-alive":              {ok, {"keep-alive", "timeout=5"}},
		"proxy-connection":        {ok, {"proxy-connection", "close"}},
		"transfer-encoding":       {ok, {"transfer-encoding", "chunked"}},
		"upgrade":                 {ok, {"upgrade", "websocket"}},
		"two lengths":             {ok, {"content-length", "0"}, {"content-length", "1"}},
		"length that is missed":   {ok, {"content-length", "5"}},
		"length of letters":       {ok, {"content-length", "five"}},
	}
}
