package observe

import (
	"strconv"
	"unicode/utf8"
)

// appendField appends key (with its comma, quotes and colon) and value, or nothing where value is empty.
func appendField(b []byte, key, value string, limit int) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value, limit)
}

// appendString appends s as a JSON string (RFC 8259, section 7) made of no more than limit bytes of s. What does not
// print is escaped, so that a line shown in a terminal does nothing there: controls, line separators, directional marks.
// Each byte that is no UTF-8 becomes U+FFFD.
func appendString(b []byte, s string, limit int) []byte {
	b = append(b, '"')
	if len(s) > limit {
		b = appendEscapedText(b, s[:runeStart(s, limit)])
		return append(b, `…"`...)
	}
	if plainLength(s) == len(s) {
		return append(append(b, s...), '"')
	}
	return append(appendEscapedText(b, s), '"')
}

func appendEscapedText(b []byte, s string) []byte {
	for s != "" {
		n := plainLength(s)
		b, s = append(b, s[:n]...), s[n:]
		if s == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		if r >= utf8.RuneSelf && r != utf8.RuneError && strconv.IsPrint(r) {
			b = append(b, s[:size]...)
		} else {
			b = appendEscaped(b, r)
		}
		s = s[size:]
	}
	return b
}

// A byte in each of a word's eight.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plainLength is the length of the beginning of s that stands in a line as it is: ASCII that prints but quotation mark
// and backslash. Nearly every text is plain to its end, so eight bytes are tested at a time, the last eight with some of
// those before.
func plainLength(s string) int {
	i := 0
	for len(s) >= 8 && i < len(s) {
		i = min(i, len(s)-8)
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// A byte's high bit stays clear where the byte is under 0x80 and, one added, still is (0x7f); no less than a
		// space; and not zero once its difference from '"' or '\\' is taken. Borrows between bytes begin at a byte that
		// is found anyway.
		quote, slash := w^'"'*ones, w^'\\'*ones
		if (w|(w+ones)|(w-' '*ones)|(quote-ones)|(slash-ones))&highs != 0 {
			break
		}
		i += 8
	}
	for i < len(s) && plain(s[i]) {
		i++
	}
	return i
}

func plain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c < 0x7f }

// runeStart is the last place at or before i where s may be cut without splitting a character.
func runeStart(s string, i int) int {
	for back := 0; back < utf8.UTFMax && i-back > 0; back++ {
		if utf8.RuneStart(s[i-back]) {
			return i - back
		}
	}
	return i
}

func appendEscaped(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r == '\n':
		return append(b, `\n`...)
	case r == '\t':
		return append(b, `\t`...)
	case r > 0xffff: // as a surrogate pair
		r -= 0x10000
		return appendUnit(appendUnit(b, 0xd800|r>>10), 0xdc00|r&0x3ff)
	}
	return appendUnit(b, r)
}

func appendUnit(b []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[u>>12&0xf], hex[u>>8&0xf], hex[u>>4&0xf], hex[u&0xf])
}
