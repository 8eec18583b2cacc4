package accept

import "testing"

// A request to speak another HTTP is ignored, however it is spelled; what else is asked for stays as it is.
func TestSwitchable(t *testing.T) {
	f := func(list, want string) {
		t.Helper()
		if got := switchable(list); got != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
	f("", "")
	f("websocket", "websocket")
	f("foo/1,websocket", "foo/1,websocket")
	for _, protocol := range []string{"h2c", "H2C", "h2c-14", "h2c;q=1", "h2c/2", "h2", "HTTP/2.0", "TLS/1.0"} {
		f(protocol, "")
		f(protocol+", websocket", "websocket")
		f(" echo ,,\t"+protocol+" ,websocket", "echo, websocket")
	}
}
