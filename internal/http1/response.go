package http1

import (
	"net/http"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// ReadResponse reads the next response's head into res, whose memory it uses again. Which responses have a body depends
// on the method of the request (RFC 9112, section 6.3). Interim responses come one by one, as responses without body;
// how many, and whether a 101 was asked for, is for the caller to judge. res.Body, where there is one, is r.Body().
//
// An *Error, with status 502, says what the server did wrong. io.EOF is a connection that ended before the first byte,
// io.ErrUnexpectedEOF one that ended within the head.
func (r *Reader) ReadResponse(res *exchange.Response, requestMethod string) error {
	clearResponse(res)
	if err := r.begin(true); err != nil {
		return err
	}
	head, err := r.head()
	if err != nil {
		return err
	}
	rest, err := r.statusLine(head, res)
	if err != nil {
		return err
	}
	r.version = res.Version
	if err := r.fields(rest, &res.Header); err != nil {
		return err
	}
	if res.Length, err = r.framing(); err != nil {
		return err
	}
	if err := r.announcedTrailers(&res.Header); err != nil {
		return err
	}
	return r.startResponseBody(res, requestMethod)
}

func clearResponse(res *exchange.Response) {
	header, trailer := res.Header, res.Trailer
	header.Reset()
	trailer.Reset()
	*res = exchange.Response{Header: header, Trailer: trailer, Length: exchange.LengthAbsent}
}

// statusLine is RFC 9112, section 4. Servers that leave out the space before an empty phrase are many, and no parser
// reads them in two ways.
func (r *Reader) statusLine(b []byte, res *exchange.Response) (rest []byte, err error) {
	var text string
	if res.Version, text = version(b); text != "" {
		return nil, r.bad(text)
	}
	b = b[len("HTTP/1.1"):]
	if len(b) < len(" 200\r\n\r\n") || b[0] != ' ' || run(b[1:], isDigit) != 3 {
		return nil, r.bad("malformed status")
	}
	res.Status = int(b[1]-'0')*100 + int(b[2]-'0')*10 + int(b[3]-'0')
	if res.Status < 100 || res.Status > 599 {
		return nil, r.bad("status outside 100 to 599")
	}
	b = b[len(" 200"):]
	n := textRun(b)
	if n > 0 && b[0] != ' ' || b[n] != '\r' || b[n+1] != '\n' {
		return nil, r.bad("malformed reason phrase")
	}
	res.Phrase = view(b[min(1, n):n])
	return b[n+2:], nil
}

func (r *Reader) startResponseBody(res *exchange.Response, requestMethod string) error {
	switch {
	case res.Status < 200 || res.Status == http.StatusNoContent:
		if res.Length == exchange.LengthUnknown || res.Length > 0 {
			return r.bad("status without body states one")
		}
		res.Length = exchange.LengthAbsent
	case requestMethod == http.MethodConnect && res.Status < 300:
		res.Length = exchange.LengthAbsent // what it states is to be ignored (RFC 9110, section 9.3.6)
	case requestMethod == http.MethodHead || res.Status == http.StatusNotModified:
	case res.Length == exchange.LengthUnknown:
		r.body.start(chunked, 0, &res.Trailer)
		res.Body = &r.body
	case res.Length == exchange.LengthAbsent:
		res.Length = exchange.LengthUnknown
		r.body.start(untilClose, 0, nil)
		res.Body = &r.body
	case res.Length > 0:
		r.body.start(fixed, res.Length, nil)
		res.Body = &r.body
	}
	return nil
}
