// Package cors speaks the server's side of the Fetch standard's CORS protocol for a rule, as Gateway API's HTTPCORSFilter
// (GEP-1767) configures it: what answers a preflight, and which fields mark other answers. It judges no request: one from
// an origin that is not allowed is served, and its browser keeps the answer from the page. It sends nothing; proxy
// builds a CORS for each rule that has the filter, and calls it.
package cors

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// The fields of the protocol (Fetch, section 3.3.2 and 3.3.3).
const (
	origin           = "Origin"
	requestMethod    = "Access-Control-Request-Method"
	requestHeaders   = "Access-Control-Request-Headers"
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	allowMethods     = "Access-Control-Allow-Methods"
	allowHeaders     = "Access-Control-Allow-Headers"
	exposeHeaders    = "Access-Control-Expose-Headers"
	maxAge           = "Access-Control-Max-Age"
	family           = "Access-Control-" // what all of the answer's begin with
)

// everything is a configured value that stands for all. In an answer to a request with credentials "*" is a name like any
// other (Fetch, section 3.3.3), so there it is never sent.
const everything = "*"

// defaultMaxAge is what HTTPCORSFilter.maxAge states where it is left out: seconds.
const defaultMaxAge = "5"

// CORS is a rule's filter, compiled. It is immutable.
type CORS struct {
	any         bool // every origin
	origins     []pattern
	credentials bool
	methods     string // as answered; "*" for all; empty: those that need no permission
	headers     string // alike
	expose      string // alike
	maxAge      string
}

// New compiles a filter. Origins that are none allow nobody: translate refuses them before.
func New(p *plan.CORS) *CORS {
	c := &CORS{
		any: slices.Contains(p.Origins, everything), credentials: p.Credentials,
		methods: list(p.Methods), headers: list(p.Headers), expose: list(p.Expose), maxAge: defaultMaxAge,
	}
	for _, text := range p.Origins {
		if o, ok := split(text); ok {
			c.origins = append(c.origins, compile(o))
		}
	}
	if p.MaxAge > 0 {
		c.maxAge = strconv.Itoa(p.MaxAge)
	}
	return c
}

func list(values []string) string {
	if slices.Contains(values, everything) {
		return everything
	}
	return strings.Join(values, ", ")
}

// Preflight reports whether the request is a preflight (Fetch, section 3.3.2), and then adds to res what answers it with
// status 204. To an origin that is not allowed the answer says nothing.
func (c *CORS) Preflight(req *exchange.Request, res *exchange.Header) bool {
	if req.Method != http.MethodOptions || !req.Header.Has(origin) || !req.Header.Has(requestMethod) {
		return false
	}
	if !c.share(&req.Header, res) {
		return true
	}
	if allowed := c.allowedMethods(req.Header.Get(requestMethod)); allowed != "" {
		res.Set(allowMethods, allowed)
	}
	if allowed := c.allowedHeaders(req.Header.Get(requestHeaders)); allowed != "" {
		res.Set(allowHeaders, allowed)
	}
	// Browsers heed what is exposed in other answers alone; Gateway API's suite looks for it here too.
	if c.expose != "" && (c.expose != everything || !c.credentials) {
		res.Set(exposeHeaders, c.expose)
	}
	res.Set(maxAge, c.maxAge)
	return true
}

// Allows reports whether pages of the request's origin may see its answer.
func (c *CORS) Allows(req *exchange.Request) bool {
	asking, ok := only(&req.Header, origin)
	return ok && c.allows(asking)
}

// Mark puts the filter's fields into the answer to a request that is no preflight, in the place of the destination's own.
// The strings may be the request's.
func (c *CORS) Mark(req *exchange.Request, res *exchange.Header) {
	res.Filter(func(f exchange.Field) bool { return !ours(f.Name) })
	if !c.share(&req.Header, res) {
		return
	}
	switch {
	case c.expose == "":
	case c.expose == everything && c.credentials:
		if names := exposable(res); names != "" {
			res.Set(exposeHeaders, names)
		}
	default:
		res.Set(exposeHeaders, c.expose)
	}
}

func ours(name string) bool {
	return len(name) >= len(family) && exchange.EqualFold(name[:len(family)], family)
}

// share says whether the answer may be shared with the request's origin, and says so in the answer. Where the answer
// depends on the origin, caches are told, whatever the origin is (Fetch, section 3.3.5).
func (c *CORS) share(req, res *exchange.Header) bool {
	if c.any && !c.credentials { // for all alike: said to requests without an origin too
		res.Set(allowOrigin, everything)
		return true
	}
	vary(res)
	asking, ok := only(req, origin)
	if !ok || !c.allows(asking) {
		return false
	}
	res.Set(allowOrigin, asking)
	if c.credentials {
		res.Set(allowCredentials, "true")
	}
	return true
}

func (c *CORS) allows(asking string) bool {
	if c.any {
		return true
	}
	o, ok := split(asking)
	if !ok {
		return false
	}
	for i := range c.origins {
		if c.origins[i].matches(o) {
			return true
		}
	}
	return false
}

// allowedMethods is the configured list; with credentials the one asked for in the place of "*".
func (c *CORS) allowedMethods(wanted string) string {
	switch {
	case c.methods != everything || !c.credentials:
		return c.methods
	case tokens(wanted, ""):
		return wanted
	}
	return ""
}

// allowedHeaders is the configured list; those asked for in the place of "*", which would leave out Authorization
// (Fetch, section 3.3.5).
func (c *CORS) allowedHeaders(wanted string) string {
	switch {
	case c.headers != everything:
		return c.headers
	case tokens(wanted, ", \t"):
		return wanted
	case c.credentials:
		return ""
	}
	return everything
}

// tokens reports whether a text is made of tokens (RFC 9110, section 5.6.2) and what may separate them, and is not empty.
func tokens(text, separators string) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 && strings.IndexByte(separators, c) < 0 {
			return false
		}
	}
	return text != ""
}

// only is the value of a field that came once.
func only(h *exchange.Header, name string) (value string, ok bool) {
	for _, f := range h.Fields() {
		if exchange.EqualFold(f.Name, name) {
			if ok {
				return "", false
			}
			value, ok = f.Value, true
		}
	}
	return value, ok && value != ""
}

// vary adds Origin to what the answer depends on (RFC 9110, section 12.5.5).
func vary(res *exchange.Header) {
	for _, f := range res.Fields() {
		if !exchange.EqualFold(f.Name, "Vary") {
			continue
		}
		for rest := f.Value; rest != ""; {
			var name string
			name, rest, _ = strings.Cut(rest, ",")
			if name = strings.Trim(name, " \t"); name == "*" || exchange.EqualFold(name, origin) {
				return
			}
		}
	}
	res.Add("Vary", origin)
}

// exposable are the names of an answer's fields that a page may be shown and is not shown anyway (Fetch, section 2.2.2:
// CORS-safelisted and forbidden response-header names).
func exposable(res *exchange.Header) string {
	var names []string
	for _, f := range res.Fields() {
		switch strings.ToLower(f.Name) {
		case "cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma", "set-cookie", "set-cookie2":
			continue
		}
		if !ours(f.Name) && !slices.ContainsFunc(names, func(n string) bool { return exchange.EqualFold(n, f.Name) }) {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}
