package dialect

import (
	"bytes"
	"iter"
)

// value is the text of a JSON value, with nothing but whitespace around it. It is searched where it stands: nothing is
// copied or decoded, and nesting costs no depth. Text that is no JSON has no members or elements from where it goes
// wrong; a key or string with escapes is compared as it is written, and so is unknown.
type value []byte

// members are the keys and values of an object. There are none in anything else.
func (v value) members() iter.Seq2[[]byte, value] {
	return func(yield func([]byte, value) bool) {
		i := space(v, 0)
		if i == len(v) || v[i] != '{' {
			return
		}
		for {
			key := space(v, i+1)
			colon := skip(v, key)
			if colon < 0 || v[key] != '"' {
				return
			}
			name := v[key+1 : colon-1]
			from := space(v, space(v, colon)+1)
			to := skip(v, from)
			if to < 0 || !yield(name, v[from:to]) {
				return
			}
			if i = space(v, to); i == len(v) || v[i] != ',' {
				return
			}
		}
	}
}

// elements are those of an array. There are none in anything else.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		i := space(v, 0)
		if i == len(v) || v[i] != '[' {
			return
		}
		for {
			from := space(v, i+1)
			to := skip(v, from)
			if to < 0 || !yield(v[from:to]) {
				return
			}
			if i = space(v, to); i == len(v) || v[i] != ',' {
				return
			}
		}
	}
}

// get is the first member of the key, or nil.
func (v value) get(key string) value {
	for k, member := range v.members() {
		if string(k) == key {
			return member
		}
	}
	return nil
}

// empty reports whether the value says nothing: absent, null, false, "", {} or [].
func (v value) empty() bool {
	v = bytes.TrimSpace(v)
	switch string(v) {
	case "", "null", "false", `""`:
		return true
	}
	return len(v) >= 2 && (v[0] == '{' || v[0] == '[') && space(v, 1) == len(v)-1
}

// only reports whether the value is an object that says nothing besides these keys, or is empty.
func (v value) only(keys ...string) bool {
	if v.empty() {
		return true
	}
	members := 0
	for k, member := range v.members() {
		members++
		if !member.empty() && !among(k, keys) {
			return false
		}
	}
	return members > 0
}

func among(k []byte, keys []string) bool {
	for _, key := range keys {
		if string(k) == key {
			return true
		}
	}
	return false
}

// text is a string's content as it is written, or empty.
func (v value) text() []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

// number is a small number that is not negative, or -1.
func (v value) number() int {
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' || n > 1<<20 {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func space(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t' || v[i] == '\n' || v[i] == '\r') {
		i++
	}
	return min(i, len(v))
}

// skip is the place after the value that begins at i, or -1 where none does.
func skip(v []byte, i int) int {
	if i >= len(v) {
		return -1
	}
	switch v[i] {
	case '"':
		return quoted(v, i)
	case '{', '[':
	case '}', ']', ',', ':':
		return -1
	default:
		for i < len(v) && v[i] != ',' && v[i] != '}' && v[i] != ']' && v[i] > ' ' {
			i++
		}
		return i
	}
	for depth := 0; i < len(v); {
		switch v[i] {
		case '"':
			if i = quoted(v, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// quoted is the place after the string that begins at i, or -1 where it does not end.
func quoted(v []byte, i int) int {
	for from := i + 1; ; {
		n := bytes.IndexByte(v[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		slashes := 0
		for end-1-slashes >= from && v[end-1-slashes] == '\\' {
			slashes++
		}
		from = end + 1
		if slashes%2 == 0 {
			return from
		}
	}
}
