// Package hostname holds host names against the patterns that policies list: a name, or "*." and a name for everything
// below it. It resolves nothing and knows no policy; the kinds of policy that list hosts call it.
package hostname

import (
	"fmt"
	"strings"
)

// Set is a compiled list of patterns. The nil Set is empty and matches nothing.
type Set struct{ exact, below map[string]struct{} }

// New compiles patterns. One that no host name can match is an error, since it would deny or allow nothing.
func New(patterns []string) (*Set, error) {
	s := &Set{exact: map[string]struct{}{}, below: map[string]struct{}{}}
	for _, pattern := range patterns {
		into, name := s.exact, pattern
		if rest, ok := strings.CutPrefix(pattern, "*."); ok {
			into, name = s.below, rest
		}
		name = fold(name)
		if name == "" || strings.ContainsAny(name, "*/@%: ") {
			return nil, fmt.Errorf("host pattern %q: neither a name nor \"*.\" and a name", pattern)
		}
		into[name] = struct{}{}
	}
	return s, nil
}

// Empty reports whether the list has no pattern.
func (s *Set) Empty() bool { return s == nil || len(s.exact)+len(s.below) == 0 }

// Match reports whether a host, in the form of Of, is listed. "*.example.com" matches names at any depth below
// example.com and not example.com itself.
func (s *Set) Match(host string) bool {
	if s.Empty() || host == "" {
		return false
	}
	if _, ok := s.exact[host]; ok {
		return true
	}
	if len(s.below) == 0 {
		return false
	}
	for {
		_, parent, more := strings.Cut(host, ".")
		if !more {
			return false
		}
		if _, ok := s.below[parent]; ok {
			return true
		}
		host = parent
	}
}

// Of is the host in an authority, or a host alone: without port and brackets, in lower case, and without the dots at
// its end, which change nothing about where a name leads.
func Of(authority string) string {
	host := authority
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return strings.ToLower(host[1:end])
		}
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.IndexByte(host, ':') == colon {
		host = host[:colon]
	}
	return fold(host)
}

func fold(host string) string { return strings.ToLower(strings.TrimRight(host, ".")) }
