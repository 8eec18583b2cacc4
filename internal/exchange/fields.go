package exchange

import "strings"

// HopByHop reports whether a field concerns one connection alone (RFC 9110, section 7.6.1), whatever Connection names
// besides: accept removes it from requests, forward from answers.
func HopByHop(name string) bool {
	switch len(name) {
	case 2:
		return EqualFold(name, "TE")
	case 7:
		return EqualFold(name, "Upgrade")
	case 10:
		return EqualFold(name, "Connection") || EqualFold(name, "Keep-Alive")
	}
	return len(name) >= 6 && EqualFold(name[:6], "Proxy-") // Proxy-Authorization, Proxy-Connection, Proxy-Authenticate …
}

// Framing reports whether a field frames a message or names its authority: the codecs alone read and write it.
func Framing(name string) bool {
	switch len(name) {
	case 4:
		return EqualFold(name, "Host")
	case 14:
		return EqualFold(name, "Content-Length")
	case 17:
		return EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// GRPC reports whether the request is a gRPC call. gRPC-Web is none: it is HTTP to a proxy. Of several types none is
// believed.
func (r *Request) GRPC() bool {
	kind, found := "", false
	for _, f := range r.Header.Fields() {
		if EqualFold(f.Name, "Content-Type") {
			if found {
				return false
			}
			kind, found = f.Value, true
		}
	}
	rest, ok := strings.CutPrefix(kind, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// Ours reports whether a field is Ebbgate's own: read from trusted peers, never passed on.
func Ours(name string) bool { return len(name) >= 8 && EqualFold(name[:8], "Ebbgate-") }

// Reserved reports whether configuration may not touch a field: it is hop-by-hop, frames the message, asks for
// 100 Continue, or is ours.
func Reserved(name string) bool {
	return HopByHop(name) || Framing(name) || Ours(name) || EqualFold(name, "Expect") || EqualFold(name, "Trailer") || EqualFold(name, "HTTP2-Settings")
}

// StripHop removes the hop-by-hop fields and those that Connection names (RFC 9110, section 7.6.1). Framing fields are
// no part of a Header, and naming end-to-end fields that a message depends on does not hide them from anybody: they are
// gone for policies and backends alike.
func StripHop(h *Header) {
	named := h.Get("Connection")
	h.Filter(func(f Field) bool { return !HopByHop(f.Name) && !lists(named, f.Name) })
}

// lists reports whether a comma-separated list holds a token.
func lists(list, token string) bool {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		if EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}
