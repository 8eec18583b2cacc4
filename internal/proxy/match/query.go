package match

import "strings"

// inQuery compares the first value of the parameter.
func (c *condition) inQuery(query string) bool {
	rest := strings.TrimPrefix(query, "?")
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		if !equalDecoded(name, c.name) {
			continue
		}
		if c.expression != nil {
			return c.expression.MatchString(decode(value))
		}
		return equalDecoded(value, c.exact)
	}
	return false
}

// equalDecoded reports whether the escaped text stands for the wanted one, without decoding it into memory.
func equalDecoded(escaped, want string) bool {
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped == want
	}
	for escaped != "" && want != "" {
		c, size := octet(escaped)
		if c != want[0] {
			return false
		}
		escaped, want = escaped[size:], want[1:]
	}
	return escaped == want // both at their end
}

// decode is the text that the escaped one stands for.
func decode(escaped string) string {
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped
	}
	decoded := make([]byte, 0, len(escaped))
	for escaped != "" {
		c, size := octet(escaped)
		decoded, escaped = append(decoded, c), escaped[size:]
	}
	return string(decoded)
}

// octet is the first octet that the text stands for, and the characters it took (RFC 3986, section 2.1).
func octet(escaped string) (byte, int) {
	if escaped[0] == '%' && len(escaped) >= 3 {
		if high, low := nibble(escaped[1]), nibble(escaped[2]); high|low <= 0xf {
			return high<<4 | low, 3
		}
	}
	return escaped[0], 1
}

// nibble is the hexadecimal digit's value; 0xff where it is none.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
