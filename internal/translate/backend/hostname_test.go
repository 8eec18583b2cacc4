package backend

import "testing"

func TestExternal(t *testing.T) {
	f := func(hostname string, want bool) {
		t.Helper()
		what, mend := external(hostname)
		if (what == "") != want || (mend == "") != want {
			t.Errorf("%q: %s (%s)", hostname, what, mend)
		}
	}
	f("api.example.com", true)
	f("*.example.com", true)
	f("api.example.com.", true)
	f("svc.example.com", true)
	f("localhost.example.com", true)
	f("cluster.local.example.com", true)
	f("10x.example.0xyz", true)
	f("", false)
	f("*.", false)
	f("web", false)
	f("localhost", false)
	f("api.localhost", false)
	f("web.ai.svc", false)
	f("web.ai.svc.cluster.local", false)
	f("cluster.local", false)
	f("cluster.local.", false)
	f("192.0.2.1", false)
	f("127.1", false)
	f("0x7f.1", false)
	f("a.0x7f", false)
	f("a.0x", false)
	f("2130706433", false)
	f("2001:db8::1", false)
	f("::1", false)
}
