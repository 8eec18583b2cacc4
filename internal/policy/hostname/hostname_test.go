package hostname

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	f := func(pattern, host string, want bool) {
		t.Helper()
		s, err := New([]string{"other.test", pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Match(Of(host)); got != want {
			t.Errorf("%s on %s: %t", pattern, host, got)
		}
	}
	f("api.example.com", "api.example.com", true)
	f("api.example.com", "API.Example.COM:443", true)
	f("api.example.com", "api.example.com.", true)
	f("api.example.com", "api.example.com.:8443", true)
	f("api.example.com", "x.api.example.com", false)
	f("api.example.com", "example.com", false)
	f("*.example.com", "a.example.com", true)
	f("*.example.com", "a.b.c.example.com", true)
	f("*.example.com", "example.com", false)
	f("*.example.com", "aexample.com", false)
	f("*.example.com", "example.com.evil.test", false)
	f("*.test", "localhost", false)
	f("*.test", "", false)
	f("*.test", "[2001:db8::1]:443", false)
	f("*.test", "2001:db8::1", false)
}

func TestOf(t *testing.T) {
	f := func(authority, want string) {
		t.Helper()
		if got := Of(authority); got != want {
			t.Errorf("%q: %q, want %q", authority, got, want)
		}
	}
	f("", "")
	f("Host:80", "host")
	f("host..", "host")
	f("[::1]:80", "::1")
	f("[2001:DB8::1]", "2001:db8::1")
	f("2001:db8::1", "2001:db8::1")
}

func TestNewRefuses(t *testing.T) {
	for _, pattern := range []string{"", "*.", "*", "a.*.b", "host:80", "*.*.b", "ev%69l.test"} {
		if _, err := New([]string{pattern}); err == nil {
			t.Errorf("%q passed", pattern)
		}
	}
}

func TestNilSet(t *testing.T) {
	var s *Set
	if !s.Empty() || s.Match("a") {
		t.Error("the nil Set is not empty")
	}
}

func TestMatchAllocates(t *testing.T) {
	s, err := New([]string{"*.example.com", "b.test"})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { s.Match(Of("a.b.example.com:443")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzOf(f *testing.F) {
	f.Add("a.example.com:443")
	f.Add("[::1")
	f.Add("...")
	s, err := New([]string{"*.example.com"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		host := Of(authority)
		if want := strings.HasSuffix(host, ".example.com"); s.Match(host) != want {
			t.Errorf("%q: matched is not %t", host, want)
		}
	})
}
