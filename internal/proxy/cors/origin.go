package cors

import (
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// parts are an origin's: scheme://host[:port].
type parts struct{ scheme, host, port string }

// split takes an origin apart. Without a port it has the scheme's own. "null", and whatever else is no origin of the web,
// has no parts.
func split(text string) (p parts, ok bool) {
	p.scheme, p.host, ok = strings.Cut(text, "://")
	switch {
	case !ok:
		return parts{}, false
	case exchange.EqualFold(p.scheme, "http"):
		p.port = "80"
	case exchange.EqualFold(p.scheme, "https"):
		p.port = "443"
	default:
		return parts{}, false
	}
	if i := strings.LastIndexByte(p.host, ':'); i > strings.LastIndexByte(p.host, ']') {
		p.host, p.port = p.host[:i], strings.TrimLeft(p.host[i+1:], "0")
		if !number(p.port) {
			return parts{}, false
		}
	}
	if p.host == "" || strings.ContainsAny(p.host, "/?#@, \t") {
		return parts{}, false
	}
	return p, true
}

func number(port string) bool {
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return port != "" && len(port) <= 5
}

// pattern is a configured origin. Its host is exact, or a suffix that something stands before.
type pattern struct {
	parts
	wildcard bool
}

// compile makes a pattern of a configured origin: "*" at the start of the host stands for any number of labels, dots
// included, and alone for every host (HTTPCORSFilter.allowOrigins).
func compile(o parts) pattern {
	p := pattern{parts: o}
	p.host, p.wildcard = strings.CutPrefix(o.host, everything)
	return p
}

func (p *pattern) matches(o parts) bool {
	if !exchange.EqualFold(p.scheme, o.scheme) || p.port != o.port {
		return false
	}
	if !p.wildcard {
		return exchange.EqualFold(p.host, o.host)
	}
	before := len(o.host) - len(p.host)
	return before > 0 && exchange.EqualFold(o.host[before:], p.host) && o.host[0] != '.'
}
