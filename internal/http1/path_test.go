package http1

import (
	"strings"
	"testing"
)

func TestNormalizePath(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "*": "*", "/": "/", "/a/b": "/a/b", "/a/": "/a/", "//a///b//": "//a///b//",
		"/.well-known/x": "/.well-known/x", "/a.b/..c/d../...": "/a.b/..c/d../...",
		"/%61%2D%2e%5f%7Eb": "/a-._~b", "/%2f%2F%5c%5C": "/%2f%2F%5c%5C", "/%c3%A9%20": "/%c3%A9%20", "/a%2541": "/a%2541",
		"/a/./b": "/a/b", "/./a": "/a", "/a/.": "/a/", "/.": "/", "/a/../b": "/b", "/a/b/..": "/a/", "/..": "/",
		"/../../a": "/a", "/a/b/c/../../d": "/a/d", "/%2e%2E/a": "/a", "/a/%2e": "/a/", "/a/.%2e/b": "/b",
		"/a//../b": "/a/b", "//..": "/", "/a/..//b": "//b", "/a%2Fb/../c": "/c", "/a%2F..c": "/a%2F..c", "/a..%2Fc": "/a..%2Fc",
		"/a%2f.../b": "/a%2f.../b", "/%0a": "/%0a", "/a|b{c}": "/a|b{c}",
	} {
		got, _, err := NormalizePath(in, nil)
		if got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestNormalizePathRefuses(t *testing.T) {
	for _, in := range []string{
		"a", "?", "/a\\b", "\\", "/a\x00", "/%00", "/a\x01", "/a\x7f", "/a b", "/\xc3\xa9", "/a?b", "/a#b",
		"/%", "/%2", "/%g0", "/%0g", "/a%", "/%%32e", "/%2%65",
		"/a%2F..", "/..%2Fa", "/a%2f../b", "/a/..%5Cb", "/a%5C../b", "/.%2Fa", "/a%2F.", "/a%2F./b", "/%2e%2e%2fa", "/a%2f%2e%2E",
		"/a%5C..%5Cb", "/a%2F../..", "/a/%2F../../b",
	} {
		got, _, err := NormalizePath(in, nil)
		if err == nil {
			t.Errorf("%q: got %q, want an error", in, got)
			continue
		}
		wantError(t, err, 400)
	}
}

func TestNormalizePathAllocations(t *testing.T) {
	buf := make([]byte, 0, 100)
	for _, in := range []string{"/v1.2/chat/completions", "/.well-known/a%20b", "/a/../%62"} {
		if n := testing.AllocsPerRun(100, func() {
			_, b, err := NormalizePath(in, buf)
			if err != nil || cap(b) != cap(buf) {
				t.Error(err, cap(b))
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", in, n)
		}
	}
}

// plainNormal is NormalizePath told once more, slowly: by segments, from the words of RFC 3986, section 5.2.4.
func plainNormal(path string) string {
	var decoded strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' {
			if c := unhex(path[i+1])<<4 | unhex(path[i+2]); strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", c) >= 0 {
				decoded.WriteByte(c)
				i += 2
				continue
			}
		}
		decoded.WriteByte(path[i])
	}
	segments := strings.Split(decoded.String(), "/")[1:]
	var out []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/", "*", "/a/./b/../c", "/%2e%2E/%2f", "/a%2f..", "//..//.", "/%41%zz", "/a\\", "/..%5c", "/a/b%2F/../c/."} {
		f.Add(s)
	}
	separators := strings.NewReplacer("%2F", "/", "%2f", "/", "%5C", "/", "%5c", "/", "%2e", ".", "%2E", ".")
	f.Fuzz(func(t *testing.T, in string) {
		got, buf, err := NormalizePath(in, nil)
		if err != nil {
			wantError(t, err, 400)
			return
		}
		again, _, err := NormalizePath(got, buf[len(buf):])
		if err != nil || again != got {
			t.Errorf("%q gives %q gives %q, %v", in, got, again, err)
		}
		if in == "" || in == "*" {
			return
		}
		if want := plainNormal(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		for _, segment := range strings.Split(separators.Replace(got), "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q gives %q, which decodes to a dot segment", in, got)
			}
		}
	})
}
