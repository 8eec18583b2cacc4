package identify

import (
	"net/netip"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// The bounds of what is read of Forwarded; what exceeds them states nothing.
const (
	maxForwarded  = 8 << 10 // bytes of all fields
	maxHops       = 64      // elements of all fields
	maxParameters = 8       // of one element; four are registered
	maxNode       = 64      // bytes of an address with its port, quoting undone
)

// forwarded is the address that the last element of the Forwarded fields gives under "for": the one that the peer itself
// added (RFC 7239, section 4). Elements before it are what the peer was told, and only have to be well formed, since a
// quotation mark left open could make the peer's element part of theirs. present is false where there is no such field;
// the address is invalid where what there is states none.
func forwarded(header *exchange.Header) (address netip.Addr, present bool) {
	if header == nil {
		return netip.Addr{}, false
	}
	node, size, hops, ok := "", 0, 0, true
	for _, f := range header.Fields() {
		if !exchange.EqualFold(f.Name, "Forwarded") {
			continue
		}
		present = true
		if size += len(f.Value); size > maxForwarded {
			return netip.Addr{}, true
		}
		for s := (scanner{f.Value}); ok; {
			hops++
			node, ok = s.element()
			if ok = ok && hops <= maxHops; s.rest == "" {
				break
			}
		}
	}
	if !ok || node == "" {
		return netip.Addr{}, present
	}
	return addressOf(node), present
}

// scanner reads a field value from its start.
type scanner struct{ rest string }

// element takes one element with the comma behind it. node is the value of "for", empty where the element has none.
func (s *scanner) element() (node string, ok bool) {
	s.skipSpace()
	var names [maxParameters]string
	for n := 0; ; {
		if name := s.token(); name != "" {
			if n == maxParameters || listed(names[:n], name) || !s.take('=') {
				return "", false
			}
			value, ok := s.value()
			if !ok {
				return "", false
			}
			if names[n] = name; exchange.EqualFold(name, "for") {
				node = value
			}
			n++
		}
		if !s.take(';') {
			break
		}
	}
	s.skipSpace()
	if s.rest == "" {
		return node, true
	}
	if !s.take(',') {
		return "", false
	}
	if s.rest == "" { // an empty element follows, and is the last: it states nothing
		return "", true
	}
	return node, true
}

func listed(names []string, name string) bool {
	for _, n := range names {
		if exchange.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func (s *scanner) skipSpace() { s.rest = strings.TrimLeft(s.rest, " \t") }

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// token takes a token (RFC 9110, section 5.6.2); it may be empty.
func (s *scanner) token() string {
	i := 0
	for i < len(s.rest) && tokenByte(s.rest[i]) {
		i++
	}
	token := s.rest[:i]
	s.rest = s.rest[i:]
	return token
}

// value takes a token, or a quoted string (RFC 9110, section 5.6.4) without its quotation marks; pairs in it stay as they are.
func (s *scanner) value() (string, bool) {
	if !s.take('"') {
		token := s.token()
		return token, token != ""
	}
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", false
		case c == '\\':
			if i++; i == len(s.rest) || s.rest[i] < ' ' && s.rest[i] != '\t' || s.rest[i] == 0x7f {
				return "", false
			}
		}
	}
	return "", false
}

func tokenByte(c byte) bool {
	switch {
	case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// addressOf is the address of a node (RFC 7239, section 6), invalid for "unknown" and for an obfuscated identifier.
func addressOf(node string) netip.Addr {
	if strings.IndexByte(node, '\\') >= 0 {
		var room [maxNode]byte
		plain := room[:0]
		for i := 0; i < len(node) && len(plain) < maxNode; i++ {
			if node[i] == '\\' {
				i++
			}
			plain = append(plain, node[i])
		}
		node = string(plain)
	}
	if len(node) >= maxNode {
		return netip.Addr{}
	}
	host, port, six := node, "", false
	if inner, ok := strings.CutPrefix(node, "["); ok {
		end := strings.IndexByte(inner, ']')
		if end < 0 {
			return netip.Addr{}
		}
		host, port, six = inner[:end], inner[end+1:], true
	} else if i := strings.IndexByte(node, ':'); i >= 0 {
		host, port = node[:i], node[i:]
	}
	address, err := netip.ParseAddr(host)
	if err != nil || address.Is4() == six || address.Zone() != "" || !validPort(port) {
		return netip.Addr{}
	}
	return address.Unmap()
}

// validPort reports whether a text is no port, or one with its colon: digits or an obfuscated one.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	port, colon := strings.CutPrefix(port, ":")
	hidden, obfuscated := strings.CutPrefix(port, "_")
	if !colon || !obfuscated && len(port) > 5 || hidden == "" {
		return false
	}
	for i := range len(hidden) {
		c := hidden[i]
		digit := '0' <= c && c <= '9'
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '.' || c == '_' || c == '-'
		if !digit && !(obfuscated && letter) {
			return false
		}
	}
	return true
}
