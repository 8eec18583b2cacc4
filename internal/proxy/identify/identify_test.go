package identify

import (
	"net/netip"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
)

func TestIdentify(t *testing.T) {
	sources := []plan.StaticSource{
		{CIDR: "10.0.0.0/8", Namespace: "wide", ServiceAccount: "a"},
		{CIDR: "10.1.0.0/16", Namespace: "narrow", ServiceAccount: "b"},
		{CIDR: "10.2.0.0/16", Namespace: "one", ServiceAccount: "c"},
		{CIDR: "10.2.0.0/16", Namespace: "other", ServiceAccount: "c"},
	}
	f := func(kubernetes bool, address, want string) {
		t.Helper()
		id, err := New(sources, kubernetes)
		if err != nil {
			t.Fatal(err)
		}
		client := id.Identify(netip.AddrPortFrom(netip.MustParseAddr(address), 1234))
		if client.String() != want || client.Known() == (want == "unknown/unknown") {
			t.Errorf("%s is %s (known: %t), want %s", address, client, client.Known(), want)
		}
	}
	f(false, "10.9.0.1", "wide/a")
	f(false, "10.1.0.1", "narrow/b")
	f(false, "::ffff:10.1.0.1", "narrow/b")
	f(false, "10.2.0.1", "unknown/unknown") // two entries of one range disagree
	f(false, "192.0.2.1", "unknown/unknown")
	f(false, "127.0.0.1", "local/local")
	f(false, "::1", "local/local")
	f(true, "127.0.0.1", "unknown/unknown")
	if _, err := New([]plan.StaticSource{{CIDR: "nonsense"}}, false); err == nil {
		t.Error("a CIDR that is none passed")
	}
}
