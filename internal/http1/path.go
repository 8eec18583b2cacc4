package http1

import (
	"net/http"
	"strings"
)

// NormalizePath decodes the escapes of unreserved characters and resolves dot segments (RFC 3986, sections 6.2.2.2 and
// 5.2.4). Other escapes stay as they came, the case of their digits too: what was matched is what is sent, byte for
// byte, and signatures over the path hold. Empty segments stay. "*" and the empty path of a CONNECT are normal.
//
// An encoded slash or backslash separates nothing; a path where decoding it would make a dot segment is an *Error with
// status 400, and so is one with parameters on a dot segment ("..;"), a backslash, an encoded NUL, an invalid escape, or a byte that no target can have.
//
// The path that comes back is the one that went in where that is normal already; else it is a view of the returned
// buffer, which is buf where its capacity suffices.
func NormalizePath(path string, buf []byte) (string, []byte, error) {
	if path == "" || path == "*" {
		return path, buf, nil
	}
	normal, text := checkPath(path)
	if text != "" {
		return "", buf, &Error{Status: http.StatusBadRequest, Text: text}
	}
	if normal {
		return path, buf, nil
	}
	if cap(buf) < len(path) {
		buf = make([]byte, 0, len(path))
	}
	buf = rewritePath(buf[:0], path)
	return view(buf), buf, nil
}

// piece is what stands between two separators, of which encoded slashes and backslashes are some.
type piece struct {
	dots    int
	more    bool // than dots
	encoded bool // the separator before it was encoded
}

func (p piece) isDots() bool { return !p.more && (p.dots == 1 || p.dots == 2) }

// checkPath reports whether nothing is to be done to the path. What is wrong is in text.
func checkPath(path string) (normal bool, text string) {
	if path[0] != '/' {
		return false, "path without leading slash"
	}
	normal = true
	var p piece
	for i := 1; i <= len(path); i++ {
		var c byte
		escaped := false
		switch {
		case i == len(path) || path[i] == '/':
			if p.isDots() {
				if p.encoded {
					return false, encodedDots
				}
				normal = false
			}
			p = piece{}
			continue
		case path[i] == '%':
			if len(path)-i < 3 || class[path[i+1]]&class[path[i+2]]&isHex == 0 {
				return false, "invalid escape in the path"
			}
			c, escaped = unhex(path[i+1])<<4|unhex(path[i+2]), true
			i += 2
		default:
			c = path[i]
		}
		switch {
		case escaped && c == 0:
			return false, "NUL in the path"
		case escaped && (c == '/' || c == '\\'):
			if p.isDots() {
				return false, encodedDots
			}
			p = piece{encoded: true}
			continue
		case !escaped && (class[c]&isTarget == 0 || c == '\\' || c == '?'):
			return false, "byte that no path can have"
		}
		if c == ';' && p.isDots() { // some servers take parameters off a segment before they resolve it
			return false, "parameters on a dot segment"
		}
		if escaped && class[c]&isUnreserved != 0 {
			normal = false
		}
		if c == '.' {
			p.dots++
		} else {
			p.more = true
		}
	}
	return normal, ""
}

const encodedDots = "encoded separator beside a dot segment"

// rewritePath appends the normal form of a path that checkPath found nothing wrong with.
func rewritePath(out []byte, path string) []byte {
	last := 0 // offset in out of the slash that began the segment
	for i := 0; i < len(path); i++ {
		switch c := path[i]; c {
		case '/':
			out = resolve(out, last)
			last = len(out)
			out = append(out, '/')
		case '%':
			if d := unhex(path[i+1])<<4 | unhex(path[i+2]); class[d]&isUnreserved != 0 {
				out = append(out, d)
			} else {
				out = append(out, path[i:i+3]...)
			}
			i += 2
		default:
			out = append(out, c)
		}
	}
	if end := resolve(out, last); len(end) < len(out) {
		return append(end, '/')
	}
	return out
}

// resolve takes the segment that begins at last off out if it is a dot segment, and the one before it if it is "..".
func resolve(out []byte, last int) []byte {
	if last == len(out) {
		return out
	}
	switch string(out[last:]) {
	case "/.":
		return out[:last]
	case "/..":
		return out[:max(0, strings.LastIndexByte(view(out[:last]), '/'))]
	}
	return out
}
