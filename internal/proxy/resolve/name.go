package resolve

import (
	"errors"
	"net/netip"
	"strings"
)

var (
	errLiteral = errors.New("an IP address is not a name")
	errName    = errors.New("not a valid host name")
)

// normalise is the name in lower case without its root dot. Addresses in any of the notations that some resolver would
// read as one (127.1, 0x7f000001) are refused: a name whose last label is a number is no name (WHATWG URL, section 3.5).
func normalise(host string) (string, error) {
	host = strings.TrimSuffix(host, ".")
	if len(host) == 0 || len(host) > 253 {
		return "", errName
	}
	upper, label := false, 0
	for i := range len(host) {
		switch c := host[i]; {
		case c == '.':
			if label == 0 {
				return "", errName
			}
			label = -1
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
				return "", errLiteral
			}
			return "", errName
		}
		if label++; label > 63 {
			return "", errName
		}
	}
	if label == 0 {
		return "", errName
	}
	if numeric(host[strings.LastIndexByte(host, '.')+1:]) {
		return "", errLiteral
	}
	if upper {
		host = strings.ToLower(host)
	}
	return host, nil
}

// numeric reports a label that a URL parser takes for the last part of an IPv4 address.
func numeric(label string) bool {
	hexadecimal := len(label) >= 2 && label[0] == '0' && label[1]|0x20 == 'x'
	if hexadecimal {
		label = label[2:]
	}
	for i := range len(label) {
		c := label[i] | 0x20
		if (label[i] < '0' || label[i] > '9') && (!hexadecimal || c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
