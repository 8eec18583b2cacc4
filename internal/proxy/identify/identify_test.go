package identify

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

func made(t testing.TB, g *plan.Gateway, kubernetes bool) *Identifier {
	t.Helper()
	id, err := New(g, kubernetes, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentify(t *testing.T) {
	g := &plan.Gateway{Identity: []plan.StaticSource{
		{CIDR: "10.0.0.0/8", Namespace: "wide", ServiceAccount: "a"},
		{CIDR: "10.1.0.0/16", Namespace: "narrow", ServiceAccount: "b"},
		{CIDR: "10.2.0.0/16", Namespace: "one", ServiceAccount: "c"},
		{CIDR: "10.2.0.0/16", Namespace: "other", ServiceAccount: "c"},
	}}
	f := func(kubernetes bool, address, want string) {
		t.Helper()
		at := Connection{Address: netip.AddrPortFrom(netip.MustParseAddr(address), 1234)}
		client, _, _ := made(t, g, kubernetes).Identify(at, &exchange.Header{})
		if client.String() != want || client.Known() == (want == "unknown/unknown") || client.Address != at.Address {
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
}

func TestNewRefuses(t *testing.T) {
	f := func(g plan.Gateway) {
		t.Helper()
		if _, err := New(&g, false, nil, nil); err == nil {
			t.Errorf("%+v passed", g)
		}
	}
	f(plan.Gateway{Identity: []plan.StaticSource{{CIDR: "nonsense"}}})
	f(plan.Gateway{SPIFFE: []plan.SPIFFESource{{TrustDomain: "Upper.Case"}}})
	f(plan.Gateway{SPIFFE: []plan.SPIFFESource{{}}})
	f(plan.Gateway{Peers: []plan.Peer{{SPIFFE: "spiffe://edge"}}})
	f(plan.Gateway{Peers: []plan.Peer{{SPIFFE: "https://edge/a"}}})
}

// mesh knows two trust domains, a range that agrees with one workload, one that does not, and two peers.
func mesh() *plan.Gateway {
	return &plan.Gateway{
		Identity: []plan.StaticSource{
			{CIDR: "10.1.0.0/16", Namespace: "ai", ServiceAccount: "batch"},
			{CIDR: "10.2.0.0/16", Namespace: "legacy", ServiceAccount: "job"},
			{CIDR: "2001:db8::/32", Namespace: "ai", ServiceAccount: "six"},
			{CIDR: "10.3.0.0/16", Namespace: "one", ServiceAccount: "c"},
			{CIDR: "10.3.0.0/16", Namespace: "other", ServiceAccount: "c"},
		},
		SPIFFE: []plan.SPIFFESource{{TrustDomain: "cluster.local"}, {TrustDomain: "edge"}},
		Peers: []plan.Peer{
			{SPIFFE: "spiffe://edge/ns/egress/sa/ebbgate", Cluster: "edge", Namespaces: []string{"ai"}},
			{SPIFFE: "spiffe://edge/proxy", Cluster: "far", Namespaces: []string{"*"}},
			{SPIFFE: "spiffe://edge/mute"},
			{SPIFFE: "spiffe://edge/laptop", Namespaces: []string{"*", "local"}},
			{SPIFFE: "spiffe://gone/proxy", Cluster: "far", Namespaces: []string{"*"}},
		},
	}
}

func TestSPIFFENamesTheClient(t *testing.T) {
	f := func(spiffe, address, want string, source exchange.Source) {
		t.Helper()
		client, _, _ := made(t, mesh(), false).Identify(Connection{Address: netip.MustParseAddrPort(address), SPIFFE: spiffe}, &exchange.Header{})
		id := ""
		if source == exchange.SourceSPIFFE {
			id = spiffe
		}
		if client.String() != want || client.Source != source || client.SPIFFE != id {
			t.Errorf("%s at %s is %s %q by %s, want %s by %s", spiffe, address, client, client.SPIFFE, client.Source, want, source)
		}
	}
	f("spiffe://cluster.local/ns/ai/sa/batch", "192.0.2.1:1", "ai/batch", exchange.SourceSPIFFE)
	f("spiffe://cluster.local/ns/ai/sa/batch", "127.0.0.1:1", "ai/batch", exchange.SourceSPIFFE) // the fallback disagrees with nobody
	f("spiffe://cluster.local/ns/ai/sa/batch", "10.1.0.1:1", "ai/batch", exchange.SourceSPIFFE)
	f("spiffe://cluster.local/ns/ai/sa/batch", "10.2.0.1:1", "unknown/unknown", exchange.SourceNone)
	f("spiffe://cluster.local/ns/ai/sa/other", "10.1.0.1:1", "unknown/unknown", exchange.SourceNone)
	f("spiffe://cluster.local/ns/one/sa/c", "10.3.0.1:1", "unknown/unknown", exchange.SourceNone)
	f("spiffe://cluster.local/payments/web", "10.2.0.1:1", "unknown/unknown", exchange.SourceSPIFFE)
	f("spiffe://cluster.local/ns/ai/sa/batch/x", "192.0.2.1:1", "unknown/unknown", exchange.SourceSPIFFE)
	f("spiffe://cluster.local/ns/ai", "192.0.2.1:1", "unknown/unknown", exchange.SourceSPIFFE)
	f("spiffe://gone/ns/ai/sa/batch", "192.0.2.1:1", "unknown/unknown", exchange.SourceNone) // no trust domain of ours any more
	f("spiffe://gone/ns/ai/sa/batch", "10.2.0.1:1", "legacy/job", exchange.SourceStatic)
	f("spiffe://edge/ns/egress/sa/ebbgate", "192.0.2.1:1", "edge/egress/ebbgate", exchange.SourceSPIFFE) // a peer for itself
	f("spiffe://edge/ns/egress/sa/ebbgate", "10.2.0.1:1", "unknown/unknown", exchange.SourceNone)
}

func TestPeersSpeakForTheirClients(t *testing.T) {
	f := func(spiffe, want string, fields ...string) {
		t.Helper()
		var h exchange.Header
		for i := 0; i < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		client, _, _ := made(t, mesh(), false).Identify(Connection{Address: netip.MustParseAddrPort("10.2.0.9:1"), SPIFFE: spiffe}, &h)
		if client.String() != want || client.Known() == (want == "unknown/unknown") || client.Address.Port() != 1 {
			t.Errorf("%s, %v: %s (known: %t), want %s", spiffe, fields, client, client.Known(), want)
		}
	}
	const own, any, mute = "spiffe://edge/ns/egress/sa/ebbgate", "spiffe://edge/proxy", "spiffe://edge/mute"
	f(own, "edge/ai/batch", "Forwarded", "for=10.1.0.1")
	f(own, "edge/ai/batch", "forwarded", "for=10.2.0.1, for=10.1.0.1")
	f(own, "edge/ai/batch", "Forwarded", "for=10.2.0.1", "Forwarded", "for=10.1.0.1")
	f(own, "edge/ai/six", "Forwarded", `for="[2001:db8::7]:443"`)
	f(own, "unknown/unknown", "Forwarded", "for=10.2.0.1") // not a namespace that it may speak for
	f(own, "unknown/unknown", "Forwarded", "for=10.1.0.1, for=10.2.0.1")
	f(own, "unknown/unknown", "Forwarded", "for=10.3.0.1")
	f(own, "unknown/unknown", "Forwarded", "for=127.0.0.1") // its loopback is not ours
	f(own, "unknown/unknown", "Forwarded", "for=unknown")
	f(own, "unknown/unknown", "Forwarded", "for=")
	f(own, "unknown/unknown", "Forwarded", "")
	f(any, "far/legacy/job", "Forwarded", "for=10.2.0.1")
	f(mute, "unknown/unknown", "Forwarded", "for=10.1.0.1")

	f(any, "far/unknown/unknown", "X-Forwarded-For", "10.1.0.1") // itself, by an id without a namespace
	f("spiffe://gone/proxy", "legacy/job", "Forwarded", "for=10.1.0.1")
	f("spiffe://edge/ns/x/sa/y", "unknown/unknown", "X-Real-IP", "10.1.0.1", "Ebbgate-Hop", "x") // no peer: nobody reads it
	f("", "legacy/job", "Forwarded", "for=10.1.0.1", "X-Forwarded-For", "10.1.0.1")
	f("spiffe://cluster.local/ns/legacy/sa/job", "legacy/job", "Forwarded", "for=10.1.0.1")
}

// hopOf is an Ebbgate-Hop that speaks for a client.
func hopOf(cluster, namespace, serviceAccount string) string {
	return fmt.Sprintf(`name="b", depth=2, attempt=1, retries=1, client=(%q %q %q), regions=("eu-*")`, cluster, namespace, serviceAccount)
}

func TestGatewaysSpeakForTheirClients(t *testing.T) {
	f := func(spiffe, want string, values ...string) {
		t.Helper()
		var h exchange.Header
		h.Add("Forwarded", "for=10.1.0.1")
		for _, value := range values {
			h.Add("Ebbgate-Hop", value)
		}
		client, hop, err := made(t, mesh(), false).Identify(Connection{Address: netip.MustParseAddrPort("10.2.0.9:1"), SPIFFE: spiffe}, &h)
		if client.String() != want || client.Known() == (want == "unknown/unknown") || client.SPIFFE != "" || err != nil {
			t.Errorf("%s, %v: %s by %s, %v, want %s", spiffe, values, client, client.Source, err, want)
		}
		if told := client.Source == exchange.SourcePeer || want == "unknown/unknown"; told != (hop.Depth == 2 && len(hop.Regions) == 1) {
			t.Errorf("%s, %v: %+v", spiffe, values, hop)
		}
	}
	const own, any, mute = "spiffe://edge/ns/egress/sa/ebbgate", "spiffe://edge/proxy", "spiffe://edge/mute"
	f(own, "edge/ai/batch", hopOf("", "ai", "batch"))
	f(own, "edge/third/ai/batch", hopOf("third", "ai", "batch"))
	f(own, "edge/edge/ai/batch", hopOf("edge", "ai", "batch"))
	f(own, "unknown/unknown", hopOf("", "legacy", "job")) // not a namespace that it may speak for
	f(own, "unknown/unknown", hopOf("", "unknown", "unknown"))
	f(own, "unknown/unknown", hopOf("", "ai", "unknown"))
	f(own, "unknown/unknown", hopOf("", "ai", ""))
	f(any, "far/legacy/job", hopOf("", "legacy", "job"))
	f(any, "unknown/unknown", hopOf("far", "unknown", "job"))
	f(any, "unknown/unknown", hopOf("far", "", ""))
	f(any, "unknown/unknown", hopOf("", "local", "local"))
	f("spiffe://edge/laptop", "local/local", hopOf("", "local", "local"))
	f("spiffe://edge/laptop", "x/ai/batch", hopOf("x", "ai", "batch"))
	f(mute, "unknown/unknown", hopOf("", "legacy", "job"))
	f("spiffe://gone/proxy", "legacy/job", hopOf("", "ai", "batch")) // no trust domain of ours any more: its address names it
	f("", "legacy/job", hopOf("", "ai", "batch"))
}

// TestClusters: clients of a cluster that has a name have it too, and only those of others are foreign.
func TestClusters(t *testing.T) {
	g := mesh()
	g.Cluster = "home"
	g.Peers = append(g.Peers, plan.Peer{SPIFFE: "spiffe://edge/beside", Cluster: "home", Namespaces: []string{"*"}})
	f := func(spiffe, address, want string, foreign, certified bool, fields ...string) {
		t.Helper()
		var h exchange.Header
		for i := 0; i < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		client, _, err := made(t, g, false).Identify(Connection{Address: netip.MustParseAddrPort(address + ":1"), SPIFFE: spiffe}, &h)
		if client.String() != want || client.Foreign != foreign || client.Certified != certified || err != nil {
			t.Errorf("%q at %s, %v: %s, foreign %t, certified %t, %v", spiffe, address, fields, client, client.Foreign, client.Certified, err)
		}
	}
	f("", "10.1.0.1", "home/ai/batch", false, false)
	f("", "127.0.0.1", "home/local/local", false, false)
	f("", "192.0.2.1", "unknown/unknown", false, false)
	f("", "10.3.0.1", "unknown/unknown", false, false)
	f("spiffe://cluster.local/ns/ai/sa/batch", "10.1.0.1", "home/ai/batch", false, true)
	f("spiffe://cluster.local/payments/web", "192.0.2.1", "home/unknown/unknown", false, true)
	f("spiffe://edge/ns/egress/sa/ebbgate", "192.0.2.1", "edge/egress/ebbgate", true, true)
	f("spiffe://edge/ns/egress/sa/ebbgate", "192.0.2.1", "edge/ai/batch", true, false, "Forwarded", "for=10.1.0.1")
	f("spiffe://edge/proxy", "192.0.2.1", "far/legacy/job", true, false, "Ebbgate-Hop", hopOf("", "legacy", "job"))
	f("spiffe://edge/proxy", "192.0.2.1", "far/home/legacy/job", true, false, "Ebbgate-Hop", hopOf("home", "legacy", "job"))
	f("spiffe://edge/beside", "192.0.2.1", "home/legacy/job", false, false, "Ebbgate-Hop", hopOf("", "legacy", "job"))
	f("spiffe://edge/beside", "192.0.2.1", "home/legacy/job", false, false, "Forwarded", "for=10.2.0.1")
	f("spiffe://edge/beside", "192.0.2.1", "home/edge/legacy/job", true, false, "Ebbgate-Hop", hopOf("edge", "legacy", "job"))
	f("spiffe://edge/laptop", "192.0.2.1", "home/legacy/job", false, false, "Ebbgate-Hop", hopOf("", "legacy", "job"))
	f("spiffe://edge/laptop", "192.0.2.1", "x/legacy/job", true, false, "Ebbgate-Hop", hopOf("x", "legacy", "job"))
}

// TestAPeersWordMustBeReadable: what could not be read might have kept the request from somewhere.
func TestAPeersWordMustBeReadable(t *testing.T) {
	f := func(spiffe string, wrong bool, values ...string) {
		t.Helper()
		var h exchange.Header
		for _, value := range values {
			h.Add("Ebbgate-Hop", value)
		}
		client, hop, err := made(t, mesh(), false).Identify(Connection{Address: netip.MustParseAddrPort("192.0.2.1:1"), SPIFFE: spiffe}, &h)
		if (err != nil) != wrong || client.Known() || hop.Depth != 0 {
			t.Errorf("%s, %q: %s %+v %v", spiffe, values, client, hop, err)
		}
	}
	f("spiffe://edge/proxy", true, "")
	f("spiffe://edge/proxy", true, "forged")
	f("spiffe://edge/proxy", true, hopOf("", "ai", "batch"), hopOf("", "ai", "batch"))
	f("", false, "forged")
	f("", false, hopOf("", "ai", "batch"), hopOf("", "ai", "batch"))
}

func TestIdentifyAllocates(t *testing.T) {
	id := made(t, mesh(), false)
	var h exchange.Header
	h.Add("Forwarded", `for=10.2.0.1, for="[2001:db8::1]:80";proto=https`)
	for _, spiffe := range []string{"", "spiffe://cluster.local/ns/ai/sa/batch", "spiffe://edge/proxy"} {
		at := Connection{Address: netip.MustParseAddrPort("10.1.0.1:1"), SPIFFE: spiffe}
		if n := testing.AllocsPerRun(100, func() { id.Identify(at, &h) }); n != 0 {
			t.Errorf("%q: %v allocations", spiffe, n)
		}
	}
}
