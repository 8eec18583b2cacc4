package http1

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// facts are what a head says of its framing and of the connection.
type facts struct {
	hosts, lengths, codings int // how often the field stood there
	host, length, coding    string
	close, keepAlive        bool // named by Connection
	upgradeNamed            bool
	upgrade                 bool // an Upgrade field with a value
	expect                  bool
	trailer                 bool // a Trailer field
}

// field takes the first line of b, which ends with an empty line, as a field. What is wrong is in text.
func field(b []byte) (name, value, rest []byte, text string) {
	n := run(b, isToken)
	if n == 0 || b[n] != ':' {
		if n == 0 && (b[0] == ' ' || b[0] == '\t') {
			return nil, nil, nil, "folded line in the head" // RFC 9112, section 5.2
		}
		return nil, nil, nil, "malformed field name"
	}
	name, b = b[:n], b[n+1:]
	n = textRun(b)
	if b[n] != '\r' || b[n+1] != '\n' {
		return nil, nil, nil, "control, bare CR or bare LF in a field value"
	}
	return name, trim(b[:n]), b[n+2:], ""
}

// fields parses the lines behind the first one into h. Fields that Length and Authority stand for go to facts instead.
func (r *Reader) fields(b []byte, h *exchange.Header) error {
	for count := 1; b[0] != '\r' || b[1] != '\n'; count++ {
		name, value, rest, text := field(b)
		if text != "" {
			return r.bad(text)
		}
		if count > r.limits.Fields {
			return r.fail(http.StatusRequestHeaderFieldsTooLarge, "too many fields")
		}
		if n, v := view(name), view(value); !r.note(n, v) {
			h.Add(n, v)
		}
		b = rest
	}
	return nil
}

// note gathers facts from a field, and reports whether the field has no place in the header.
func (r *Reader) note(name, value string) bool {
	f := &r.facts
	switch len(name) {
	case len("Host"):
		if !r.response && exchange.EqualFold(name, "Host") {
			f.hosts++
			f.host = value
			return true
		}
	case len("Expect"):
		if exchange.EqualFold(name, "Expect") && exchange.EqualFold(value, "100-continue") {
			f.expect = true
		}
	case len("Upgrade"): // and Trailer
		if exchange.EqualFold(name, "Upgrade") {
			f.upgrade = f.upgrade || value != ""
		} else if exchange.EqualFold(name, "Trailer") {
			f.trailer = true
		}
	case len("Connection"):
		if exchange.EqualFold(name, "Connection") {
			f.noteConnection(value)
		}
	case len("Content-Length"):
		if exchange.EqualFold(name, "Content-Length") {
			f.lengths++
			f.length = value
			return true
		}
	case len("Transfer-Encoding"):
		if exchange.EqualFold(name, "Transfer-Encoding") {
			f.codings++
			f.coding = value
			return true
		}
	}
	return false
}

func (f *facts) noteConnection(value string) {
	for more := true; more; {
		var option string
		option, value, more = strings.Cut(value, ",")
		switch option = view(trim(bytesOf(option))); {
		case exchange.EqualFold(option, "close"):
			f.close = true
		case exchange.EqualFold(option, "keep-alive"):
			f.keepAlive = true
		case exchange.EqualFold(option, "upgrade"):
			f.upgradeNamed = true
		}
	}
}

// announcedTrailers refuses a Trailer field that names what must not be a trailer, before the body is waited for.
func (r *Reader) announcedTrailers(h *exchange.Header) error {
	if !r.facts.trailer || r.facts.codings == 0 {
		return nil
	}
	for _, f := range h.Fields() {
		if !exchange.EqualFold(f.Name, "Trailer") {
			continue
		}
		for list := bytesOf(f.Value); len(list) > 0; {
			var name []byte
			name, list, _ = bytes.Cut(list, []byte(","))
			if ForbiddenTrailer(view(trim(name))) {
				return r.bad("Trailer names a field that is no trailer")
			}
		}
	}
	return nil
}

// HopOrFraming reports whether a field belongs to one connection of HTTP/1.1, or frames a message there: no other version
// has a place for it.
func HopOrFraming(name string) bool { return exchange.HopByHop(name) || framingField(name) }
