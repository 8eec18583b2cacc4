package match

import (
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// ForbiddenName reports whether configuration may not set, add or remove the field: what frames a message or belongs to one hop
// (RFC 9110, section 7.6.1), Host (URLRewrite's business), Ebbgate-* and Proxy-* (ours and the neighbour's), and
// what is no field name at all.
func ForbiddenName(name string) bool { return !token(name) || exchange.Reserved(name) }

// ApplyRequestHeaders sets, adds and removes fields of a request, in this order; nil does nothing. What translate
// should have refused is ignored: forbidden names, and values that would end the line.
func ApplyRequestHeaders(h *exchange.Header, m *plan.HeaderModifier) { apply(h, m) }

// ApplyResponseHeaders is ApplyRequestHeaders for a response.
func ApplyResponseHeaders(h *exchange.Header, m *plan.HeaderModifier) { apply(h, m) }

func apply(h *exchange.Header, m *plan.HeaderModifier) {
	if m == nil {
		return
	}
	for _, f := range m.Set {
		if writable(f) {
			h.Set(f.Name, f.Value)
		}
	}
	for _, f := range m.Add {
		if writable(f) {
			h.Add(f.Name, f.Value)
		}
	}
	for _, name := range m.Remove {
		if !ForbiddenName(name) {
			h.Del(name)
		}
	}
}

func writable(f plan.HeaderValue) bool {
	return !ForbiddenName(f.Name) && !strings.ContainsAny(f.Value, "\r\n\x00")
}

// token reports whether the name is one (RFC 9110, section 5.6.2).
func token(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// RewritePath is the path after a URLRewrite or a redirect's path; nil leaves it. The prefix is Result.Prefix: a
// prefix is replaced in whole segments (HTTPPathModifier.replacePrefixMatch), and where none matched the path stays.
// What a modifier makes begins with "/", also of "*". Query and escapes are none of its business: translate checked the value.
func RewritePath(path string, m *plan.PathModifier, prefix string) string {
	switch {
	case m == nil:
		return path
	case m.Full != nil:
		return rooted(*m.Full)
	case m.Prefix == nil || prefix == "":
		return rooted(path)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	return rooted(strings.TrimSuffix(*m.Prefix, "/") + rest)
}

func rooted(path string) string {
	switch {
	case strings.HasPrefix(path, "/"):
		return path
	case path == "*":
		return "/"
	}
	return "/" + path
}
