package http1

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes.
const (
	isToken      = 1 << iota // tchar (RFC 9110, section 5.6.2)
	isText                   // field-vchar, space and tab (RFC 9110, section 5.5); obs-text too
	isTarget                 // visible ASCII but "#": spaces, controls and fragments have no place in a target
	isHost                   // what a registered name is made of; escapes and sub-delims are no names that resolve
	isUnreserved             // RFC 3986, section 2.3
	isHex
	isDigit
)

var class = classes()

func classes() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if letter || digit {
			t[i] |= isToken | isHost | isUnreserved
		}
		if digit {
			t[i] |= isDigit | isHex
		}
		if 'a' <= c|0x20 && c|0x20 <= 'f' {
			t[i] |= isHex
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[i] |= isText
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[i] |= isTarget
		}
	}
	mark := func(set string, bit uint8) {
		for _, c := range []byte(set) {
			t[c] |= bit
		}
	}
	mark("!#$%&'*+-.^_`|~", isToken)
	mark("-._", isHost)
	mark("-._~", isUnreserved)
	return t
}

// run is the number of bytes at the start of b that are of the class.
func run(b []byte, bit uint8) int {
	for i, c := range b {
		if class[c]&bit == 0 {
			return i
		}
	}
	return len(b)
}

// textRun is run(b, isText), eight bytes at a time.
func textRun(b []byte) int {
	i := 0
	for {
		for len(b)-i >= 8 {
			if m := controls(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) || class[b[i]]&isText == 0 {
			return i
		}
		i++
	}
}

// controls has the top bit set of the lowest byte of x that is below 0x20 or is 0x7F. A borrow can set bits above that
// byte, never below it.
func controls(x uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	del := x ^ 0x7f*ones
	return ((x-0x20*ones) & ^x | (del-ones) & ^del) & tops
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
