package http1

import (
	"iter"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// forbiddenTrailers is the one list of fields that no trailer may be, because an intermediary or a recipient that
// merged them would be led astray (RFC 9110, section 6.5.1). Content-* that frame nothing, and whatever else is not
// here, is forwarded.
var forbiddenTrailers = [...]string{
	// framing
	"Content-Length", "Transfer-Encoding", "Trailer", "Expect",
	// hop by hop
	"Connection", "Keep-Alive", "TE", "Upgrade", "HTTP2-Settings",
	// routing
	"Host", "Max-Forwards", "Forwarded", "Via", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override",
	// credentials
	"Authorization", "WWW-Authenticate", "Authentication-Info", "Cookie", "Set-Cookie",
	"X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token", "X-Access-Token", "X-CSRF-Token",
	"X-Amz-Security-Token", "X-Amz-Date", "X-Amz-Content-SHA256",
}

// forbiddenTrailerPrefixes are the families of such fields: proxies' credentials, routing, our own.
var forbiddenTrailerPrefixes = [...]string{"Proxy-", "X-Forwarded-", "Ebbgate-"}

// ForbiddenTrailer reports whether a field of the name must not be a trailer: it frames, routes, authenticates, or
// belongs to one hop.
func ForbiddenTrailer(name string) bool {
	for _, f := range forbiddenTrailers {
		if exchange.EqualFold(name, f) {
			return true
		}
	}
	for _, p := range forbiddenTrailerPrefixes {
		if hasPrefixFold(name, p) {
			return true
		}
	}
	return false
}

// Announce is the value of a Trailer field with those of the names that may be trailers, in order; empty where none may.
func Announce(names iter.Seq[string]) string {
	return strings.Join(slices.DeleteFunc(slices.Sorted(names), ForbiddenTrailer), ", ")
}
