package http1

import (
	"errors"
	"net/http"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// ReadRequest reads the next request's head into req, whose memory it uses again. Scheme stays empty unless the target
// had one, Path is as it came, and Host, Content-Length and Transfer-Encoding are no part of the Header: Authority and
// Length tell. req.Body, where there is one, is r.Body().
//
// An *Error says what the client did wrong. io.EOF is a connection that ended between requests, io.ErrUnexpectedEOF
// one that ended within a head. After any other error, a timeout for one, ReadRequest can be called again.
func (r *Reader) ReadRequest(req *exchange.Request) error {
	clearRequest(req)
	if err := r.begin(false); err != nil {
		return err
	}
	head, err := r.head()
	if err != nil {
		return err
	}
	target, rest, err := r.requestLine(head, req)
	if err != nil {
		return err
	}
	r.version = req.Version
	if err := r.fields(rest, &req.Header); err != nil {
		return err
	}
	if text := setTarget(req, target); text != "" {
		return r.bad(text)
	}
	if err := r.host(req); err != nil {
		return err
	}
	if req.Length, err = r.framing(); err != nil {
		return err
	}
	if err := r.announcedTrailers(&req.Header); err != nil {
		return err
	}
	return r.startRequestBody(req)
}

func clearRequest(req *exchange.Request) {
	header, trailer := req.Header, req.Trailer
	header.Reset()
	trailer.Reset()
	*req = exchange.Request{Header: header, Trailer: trailer, Length: exchange.LengthAbsent}
}

// requestLine is RFC 9112, section 3, with exactly one space between the parts and none around them.
func (r *Reader) requestLine(b []byte, req *exchange.Request) (target string, rest []byte, err error) {
	head := b
	n := run(b, isToken)
	if n == 0 || b[n] != ' ' {
		return "", nil, r.bad("malformed method")
	}
	req.Method, b = view(b[:n]), b[n+1:]
	n = run(b, isTarget)
	if n > r.limits.Target {
		return "", nil, r.fail(http.StatusRequestURITooLong, "target too long")
	}
	if n == 0 || b[n] != ' ' {
		return "", nil, r.bad("malformed target")
	}
	target, b = view(b[:n]), b[n+1:]
	var text string
	if req.Version, text = version(b); text == unsupported && string(head) == preface {
		return "", nil, ErrPreface
	} else if text == unsupported {
		return "", nil, r.fail(http.StatusHTTPVersionNotSupported, text)
	} else if text != "" {
		return "", nil, r.bad(text)
	}
	if b = b[len("HTTP/1.1"):]; b[0] != '\r' || b[1] != '\n' {
		return "", nil, r.bad("malformed request line")
	}
	return target, b[2:], nil
}

// preface is how a client with prior knowledge begins to speak HTTP/2 (RFC 9113, section 3.4), as far as it looks like
// a head; "SM" and its empty line follow.
const preface = "PRI * HTTP/2.0\r\n\r\n"

// ErrPreface is the start of an HTTP/2 connection where a request was to come.
var ErrPreface = errors.New("http1: the connection speaks HTTP/2")

// Preface is what a Reader has taken of a connection when it gives ErrPreface; the rest is in Buffered.
func Preface() []byte { return []byte(preface) }

const unsupported = "version that is not 1.0 or 1.1"

// version takes the version that b, which ends with an empty line, starts with. What is wrong is in text.
func version(b []byte) (v exchange.Version, text string) {
	if len(b) < len("HTTP/1.1") {
		return 0, "malformed version"
	}
	switch v := string(b[:len("HTTP/1.1")]); {
	case v == "HTTP/1.1":
		return exchange.HTTP11, ""
	case v == "HTTP/1.0":
		return exchange.HTTP10, ""
	case v[:5] == "HTTP/" && class[v[5]]&isDigit != 0 && v[6] == '.' && class[v[7]]&isDigit != 0:
		return 0, unsupported
	}
	return 0, "malformed version"
}

func (r *Reader) startRequestBody(req *exchange.Request) error {
	switch {
	case req.Method == http.MethodConnect:
		// Content of a CONNECT has no meaning (RFC 9110, section 9.3.6), and what follows its head is the tunnel.
		if req.Length == exchange.LengthUnknown || req.Length > 0 {
			return r.bad("CONNECT with a body")
		}
		req.Length = exchange.LengthAbsent
	case req.Length == exchange.LengthUnknown:
		r.body.start(chunked, 0, &req.Trailer)
		req.Body = &r.body
	case req.Length > 0:
		r.body.start(fixed, req.Length, nil)
		req.Body = &r.body
	}
	return nil
}
