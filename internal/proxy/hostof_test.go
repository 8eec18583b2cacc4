package proxy

import "testing"

func TestHostOf(t *testing.T) {
	f := func(authority, want string) {
		t.Helper()
		if got := hostOf(authority); got != want {
			t.Errorf("%q: %q, want %q", authority, got, want)
		}
	}
	f("", "")
	f("a.test", "a.test")
	f("a.test:80", "a.test")
	f("[::1]", "::1")
	f("[::1]:80", "::1")
	f("10.0.0.1:80", "10.0.0.1")
}
