package http1

import (
	"net/http"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Foreign is the head of a request that another version's codec has read, in parts.
type Foreign struct {
	Target    string   // path and query as they came; empty for a CONNECT
	Authority string   // as the version names it: HTTP/2's :authority, or Host where that is absent
	Hosts     []string // Host fields
	Lengths   []string // Content-Length fields
	Body      bool     // a body follows
	Fields    int      // how many fields there are
}

// Adopt holds such a request to the rules of this codec, since HTTP/1.1 may carry it on: one authority, a target that
// reads in one way, one length. It sets Authority, Path, Query and Length; Method, Version and Upgrade are set already.
// An *Error says what the client did wrong.
func Adopt(req *exchange.Request, f Foreign, limits Limits) error {
	limits = limits.withDefaults()
	bad := func(status int, text string) error { return &Error{Status: status, Text: text} }
	switch {
	case req.Method == "" || run(bytesOf(req.Method), isToken) != len(req.Method):
		return bad(http.StatusBadRequest, "malformed method")
	case run(bytesOf(req.Upgrade), isToken) != len(req.Upgrade):
		return bad(http.StatusBadRequest, "malformed protocol")
	case UpgradesHTTP(req.Upgrade):
		return bad(http.StatusNotImplemented, "a switch to HTTP/2")
	case f.Fields > limits.Fields:
		return bad(http.StatusRequestHeaderFieldsTooLarge, "too many fields")
	case len(f.Target) > limits.Target:
		return bad(http.StatusRequestURITooLong, "target too long")
	case len(f.Hosts) > 1:
		return bad(http.StatusBadRequest, "more than one Host")
	case f.Authority == "":
		return bad(http.StatusBadRequest, "no authority")
	}
	req.Authority = f.Authority
	host, port, ok := splitAuthority(f.Authority)
	if !ok {
		return bad(http.StatusBadRequest, "malformed authority")
	}
	if len(f.Hosts) == 1 {
		name, stated, ok := splitAuthority(f.Hosts[0])
		if !ok || !exchange.EqualFold(name, host) || !samePort(stated, port, req.Scheme) {
			return bad(http.StatusBadRequest, "Host and authority differ")
		}
	}
	if err := adoptTarget(req, f.Target, port); err != nil {
		return err
	}
	return adoptLength(req, f)
}

// UpgradesHTTP reports whether a protocol that a client asks to switch to is HTTP again, in another version or within TLS
// (RFC 2817), whatever draft of it or parameter behind it: requests in it would pass that nobody has read.
func UpgradesHTTP(protocol string) bool {
	return hasPrefixFold(protocol, "h2") || hasPrefixFold(protocol, "HTTP/") || hasPrefixFold(protocol, "TLS/")
}

func adoptTarget(req *exchange.Request, target, port string) error {
	if req.Method == http.MethodConnect && req.Upgrade == "" {
		if port == "" {
			return &Error{Status: http.StatusBadRequest, Text: "malformed CONNECT target"}
		}
		return nil
	}
	switch {
	case target == "" || run(bytesOf(target), isTarget) != len(target):
		return &Error{Status: http.StatusBadRequest, Text: "malformed target"}
	case target == "*" && req.Method == http.MethodOptions:
		req.Path = "*"
	case target[0] == '/':
		setPath(req, target)
	default:
		return &Error{Status: http.StatusBadRequest, Text: "malformed target"}
	}
	return nil
}

// adoptLength is RFC 9113, section 8.1.1, from the stricter side: a stated length is one number, of a body that exists.
func adoptLength(req *exchange.Request, f Foreign) error {
	req.Length = exchange.LengthAbsent
	if f.Body {
		req.Length = exchange.LengthUnknown
	}
	switch len(f.Lengths) {
	case 0:
		return nil
	case 1:
	default:
		return &Error{Status: http.StatusBadRequest, Text: "more than one Content-Length"}
	}
	n, text := parseLength(f.Lengths[0])
	switch {
	case text != "":
		return &Error{Status: http.StatusBadRequest, Text: text}
	case n > 0 && !f.Body:
		return &Error{Status: http.StatusBadRequest, Text: "Content-Length without the body that it states"}
	}
	req.Length = n
	return nil
}
