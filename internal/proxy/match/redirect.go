package match

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// Location is the redirect's Location field (HTTPRequestRedirectFilter). Scheme ("http" or "https") and port are the
// listener's: the scheme holds where the redirect names none, whatever an absolute target claimed. The port is the
// redirect's, else the well-known one of the scheme that the redirect names, else the listener's, and is left out where
// it is the scheme's well-known one. The query is kept.
//
// A request without a host (HTTP/1.0) to a redirect without one gets a reference relative to wherever it asked, for
// there is no authority to name (RFC 9110, section 10.2.2).
func Location(r *exchange.Request, scheme string, port int, redirect *plan.Redirect, prefix string) string {
	path := rooted(RewritePath(r.Path, redirect.Path, prefix)) + r.Query
	host := cmp.Or(redirect.Hostname, hostname(r.Authority))
	if host == "" {
		if strings.HasPrefix(path, "//") {
			return "/." + path // else its first segment would be read as an authority (RFC 3986, section 4.2)
		}
		return path
	}
	if redirect.Scheme != "" {
		scheme = redirect.Scheme
		port = cmp.Or(wellKnown(scheme), port)
	}
	port = cmp.Or(redirect.Port, port)
	if port == 0 || port == wellKnown(scheme) {
		return scheme + "://" + host + path
	}
	return scheme + "://" + host + ":" + strconv.Itoa(port) + path
}

func wellKnown(scheme string) int {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}
