package match

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// maxHost bounds a host that can match: 253 characters of name (RFC 1035, section 2.3.4), with room for brackets.
const maxHost = 255

// hosts finds things by hostname: exact, then wildcard with the longest suffix first, then the one without hostname.
type hosts[T any] struct {
	exact     map[string]*T
	wildcards map[string]*T // by suffix, with its leading dot
	lengths   []int         // of the suffixes, each once, longest first
	rest      *T            // without hostname
}

// at is the thing of the pattern, made where there is none yet.
func (h *hosts[T]) at(pattern string) *T {
	if pattern == "" {
		if h.rest == nil {
			h.rest = new(T)
		}
		return h.rest
	}
	where, key := &h.exact, pattern
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		where, key = &h.wildcards, suffix
	}
	if *where == nil {
		*where = make(map[string]*T)
	}
	if (*where)[key] == nil {
		(*where)[key] = new(T)
	}
	return (*where)[key]
}

// finish makes what at collected ready to be asked.
func (h *hosts[T]) finish() { h.lengths = lengthsOf(h.wildcards) }

// all are the things of every hostname, in no order.
func (h *hosts[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, t := range h.exact {
			if !yield(t) {
				return
			}
		}
		for _, t := range h.wildcards {
			if !yield(t) {
				return
			}
		}
		if h.rest != nil {
			yield(h.rest)
		}
	}
}

// best is the thing of the most specific hostname that the folded host matches, or nil.
func (h *hosts[T]) best(host []byte) *T {
	t, _ := h.next(host, 0)
	return t
}

// next is the thing of the next less specific hostname, from step 0 on, and the step to go on with; nil at the end. It
// is a cursor and no iterator, because an iterator's closure would be allocated.
func (h *hosts[T]) next(host []byte, step int) (*T, int) {
	if step == 0 {
		step++
		if t := h.exact[string(host)]; t != nil {
			return t, step
		}
	}
	for ; step <= len(h.lengths); step++ {
		from := len(host) - h.lengths[step-1]
		if from <= 0 || host[from] != '.' { // the wildcard stands for one label at least
			continue
		}
		if t := h.wildcards[string(host[from:])]; t != nil {
			return t, step + 1
		}
	}
	if step == len(h.lengths)+1 {
		return h.rest, step + 1
	}
	return nil, step
}

// pattern is a configured hostname in the form that hosts are compared in.
func pattern(hostname string) string { return strings.ToLower(strings.TrimSuffix(hostname, ".")) }

// patterns are a route's hostnames, each once; the empty one where it has none.
func patterns(hostnames []string) []string {
	if len(hostnames) == 0 {
		return []string{""}
	}
	list := make([]string, len(hostnames))
	for i, h := range hostnames {
		list[i] = pattern(h)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// intersect reports whether a host can match both patterns.
func intersect(a, b string) bool { return a == b || covers(a, b) || covers(b, a) }

// covers reports whether the pattern matches whatever the other one, exact or wildcard, matches.
func covers(pattern, other string) bool {
	if pattern == "" {
		return true
	}
	suffix, wild := strings.CutPrefix(pattern, "*")
	return wild && len(other) > len(suffix) && strings.HasSuffix(other, suffix)
}

// hostname is the authority without port; the brackets of an IPv6 address stay.
func hostname(authority string) string {
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		return authority[:max(end+1, 0)]
	}
	if colon := strings.LastIndexByte(authority, ':'); colon >= 0 {
		return authority[:colon]
	}
	return authority
}

// fold writes the host without trailing dot and in lower case into the buffer; false where it is too long to be one.
func fold(host string, into *[maxHost]byte) ([]byte, bool) {
	host = strings.TrimSuffix(host, ".")
	if len(host) > len(into) {
		return nil, false
	}
	for i := range len(host) {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		into[i] = c
	}
	return into[:len(host)], true
}

// lengthsOf are the lengths of the keys, each once, longest first.
func lengthsOf[V any](m map[string]V) []int {
	list := make([]int, 0, len(m))
	for key := range m {
		list = append(list, len(key))
	}
	slices.SortFunc(list, func(a, b int) int { return cmp.Compare(b, a) })
	return slices.Clip(slices.Compact(list))
}
