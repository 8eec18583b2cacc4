package http1

import (
	"math"
	"net/http"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// framing is the stated length of the current message. It refuses what two parsers could read in two ways
// (RFC 9112, sections 6.1 to 6.3 and 11.2).
func (r *Reader) framing() (int64, error) {
	f := &r.facts
	switch {
	case f.codings > 0 && f.lengths > 0:
		return 0, r.bad("both Transfer-Encoding and Content-Length")
	case f.codings > 0 && r.version == exchange.HTTP10:
		return 0, r.bad("Transfer-Encoding in HTTP/1.0")
	case f.codings > 1:
		return 0, r.bad("more than one Transfer-Encoding")
	case f.codings == 1:
		return exchange.LengthUnknown, r.coding(f.coding)
	case f.lengths > 1:
		return 0, r.bad("more than one Content-Length")
	case f.lengths == 1:
		return r.length(f.length)
	}
	return exchange.LengthAbsent, nil
}

// coding accepts "chunked" and nothing else, not even in other letters. A coding that we do not know before a last
// "chunked" leaves the framing clear, and gets 501 (RFC 9112, section 6.1); the rest gets 400 (section 6.3).
func (r *Reader) coding(value string) error {
	if value == "chunked" {
		return nil
	}
	if i := strings.LastIndexByte(value, ','); i > 0 && view(trim(bytesOf(value[i+1:]))) == "chunked" {
		first := view(trim(bytesOf(value[:i])))
		if first != "" && run(bytesOf(first), isToken) == len(first) && !exchange.EqualFold(first, "chunked") {
			return r.fail(http.StatusNotImplemented, "transfer coding that is not chunked")
		}
	}
	return r.bad("malformed Transfer-Encoding")
}

func (r *Reader) length(value string) (int64, error) {
	n, text := parseLength(value)
	if text != "" {
		return 0, r.bad(text)
	}
	return n, nil
}

// parseLength accepts digits alone (RFC 9110, section 8.6): no sign, list, prefix or overflow. What is wrong is in text.
func parseLength(value string) (n int64, text string) {
	if value == "" || len(value) > 19 || run(bytesOf(value), isDigit) != len(value) {
		return 0, "malformed Content-Length"
	}
	var u uint64 // 19 digits fit
	for _, c := range []byte(value) {
		u = 10*u + uint64(c-'0')
	}
	if u > math.MaxInt64 {
		return 0, "Content-Length overflows"
	}
	return int64(u), ""
}
