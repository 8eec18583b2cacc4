package egress

import (
	"fmt"
	"strings"

	"github.com/ebbgate/ebbgate/internal/http1"
)

// pattern is a compiled path pattern: segments to be matched one by one, for "*" does not cross a "/". An escape that
// the normal form of paths keeps, %2F above all, separates nothing.
type pattern struct {
	segments []segment
	below    bool // ends in "/**": whatever comes behind the segments and a "/"
}

// segment is literal text between the "*" of one segment; with no "*" there is one piece, which is all of it.
type segment []string

// newPattern compiles a pattern, in the normal form of the paths it will meet.
func newPattern(text string) (pattern, error) {
	if !strings.HasPrefix(text, "/") {
		return pattern{}, fmt.Errorf("path pattern %q: does not begin with a slash", text)
	}
	rest, below := strings.CutSuffix(text, "/**")
	if strings.Contains(rest, "**") || strings.ContainsAny(rest, "?#") {
		return pattern{}, fmt.Errorf("path pattern %q: ** stands elsewhere than at the end, or there is a query or fragment", text)
	}
	p := pattern{below: below}
	if rest == "" {
		return p, nil
	}
	rest, _, err := http1.NormalizePath(rest, nil)
	if err != nil {
		return pattern{}, fmt.Errorf("path pattern %q: %w", text, err)
	}
	for _, s := range strings.Split(rest[1:], "/") {
		p.segments = append(p.segments, strings.Split(s, "*"))
	}
	return p, nil
}

// match reports whether the pattern matches a path in normal form.
func (p *pattern) match(path string) bool {
	for _, s := range p.segments {
		if path == "" || path[0] != '/' {
			return false
		}
		path = path[1:]
		end := strings.IndexByte(path, '/')
		if end < 0 {
			end = len(path)
		}
		if !s.match(path[:end]) {
			return false
		}
		path = path[end:]
	}
	if p.below {
		return strings.HasPrefix(path, "/")
	}
	return path == ""
}

// match holds the first piece against the beginning and the last against the end; those between may stand anywhere in
// their order, and the leftmost place for each leaves the most room for the next.
func (s segment) match(text string) bool {
	last := len(s) - 1
	if last == 0 {
		return text == s[0]
	}
	text, ok := strings.CutPrefix(text, s[0])
	if !ok {
		return false
	}
	for _, piece := range s[1:last] {
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return strings.HasSuffix(text, s[last])
}
