package observe

import (
	"net/netip"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// Buffers in which lines are made. Those that a hostile exchange has blown up are not kept.
const (
	lineCapacity = 2 << 10
	lineKept     = 16 << 10
)

var linePool = sync.Pool{New: func() any {
	b := make([]byte, 0, lineCapacity)
	return &b
}}

func getLine() *[]byte { return linePool.Get().(*[]byte) }

func putLine(b *[]byte) {
	if cap(*b) > lineKept {
		return
	}
	*b = (*b)[:0]
	linePool.Put(b)
}

// appendField appends key (with its comma, quotes and colon) and value, or nothing where value is empty.
func appendField[S ~string](b []byte, key string, value S, limit int) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value, limit)
}

// appendNumber appends key and value.
func appendNumber(b []byte, key string, value int64) []byte {
	return strconv.AppendInt(append(b, key...), value, 10)
}

// appendMillis appends key and the duration in milliseconds with three decimals.
func appendMillis(b []byte, key string, d time.Duration) []byte {
	return strconv.AppendFloat(append(b, key...), float64(max(d, 0).Microseconds())/1000, 'f', 3, 64)
}

// appendAddress appends a quoted address and port; what is none is empty.
func appendAddress(b []byte, a netip.AddrPort) []byte {
	switch {
	case !a.IsValid():
		return append(b, `""`...)
	case a.Addr().Zone() != "":
		return appendString(b, a.String(), maxShort)
	}
	return append(a.AppendTo(append(b, '"')), '"')
}

// appendString appends s as a JSON string (RFC 8259, section 7) made of no more than limit bytes of s. What does not
// print is escaped, so that a line shown in a terminal does nothing there: controls, line separators, directional marks.
// Each byte that is no UTF-8 becomes U+FFFD.
func appendString[S ~string](b []byte, s S, limit int) []byte {
	cut := len(s) > limit
	if cut {
		s = s[:runeStart(s, limit)]
	}
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if plain(c) {
				i++
				continue
			}
			b = append(b, s[done:i]...)
			b = appendEscaped(b, rune(c))
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:]))
		if r != utf8.RuneError && strconv.IsPrint(r) {
			i += size
			continue
		}
		b = append(b, s[done:i]...)
		b = appendEscaped(b, r)
		i += size
		done = i
	}
	b = append(b, s[done:]...)
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

func plain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c != 0x7f }

// runeStart is the last place at or before i where s may be cut without splitting a character.
func runeStart[S ~string](s S, i int) int {
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
