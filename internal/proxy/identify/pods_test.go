package identify

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// workloadOf is a Pod "namespace/name" of the ServiceAccount "account".
func workloadOf(name, uid, account string, addresses ...string) *plan.Workload {
	w := &plan.Workload{Name: "Pod/" + name, UID: uid, ServiceAccount: account, Owner: "Deployment/d"}
	for _, a := range addresses {
		w.Addresses = append(w.Addresses, netip.MustParseAddr(a))
	}
	return w
}

func ending(w *plan.Workload) *plan.Workload {
	c := *w
	c.Ending = true
	return &c
}

func set(list ...*plan.Workload) map[string]*plan.Workload {
	by := map[string]*plan.Workload{}
	for _, w := range list {
		by[w.Name] = w
	}
	return by
}

func gone(name string) map[string]*plan.Workload {
	return map[string]*plan.Workload{"Pod/" + name: nil}
}

// told are Pods that have been told of once.
func told(list ...*plan.Workload) *Pods {
	p := new(Pods)
	p.Update(set(list...), true)
	return p
}

func TestPodsByAddress(t *testing.T) {
	p := new(Pods)
	f := func(address, want string, answers bool) {
		t.Helper()
		pod, answered := p.named(netip.MustParseAddr(address))
		got := ""
		if pod != nil {
			got = pod.Namespace + "/" + pod.Name + " " + pod.ServiceAccount
		}
		if got != want || answered != answers {
			t.Errorf("%s: %q (answered: %t), want %q (%t)", address, got, answered, want, answers)
		}
	}
	f("10.0.0.1", "", false)
	if p.Known() {
		t.Error("all Pods are known before any were told of")
	}
	a, b := workloadOf("ai/a", "1", "x", "10.0.0.1", "fd00::1"), workloadOf("web/b", "2", "y", "10.0.0.2")
	p.Update(set(a, b), true)
	f("10.0.0.1", "ai/a x", true)
	f("fd00::1", "ai/a x", true)
	f("10.0.0.2", "web/b y", true)
	f("10.0.0.3", "", false)
	p.Update(set(ending(a)), false)
	f("10.0.0.1", "", false)
	p.Update(gone("ai/a"), false)
	f("10.0.0.1", "", false)

	// An address that two claim is nobody's until one of them has gone.
	p.Update(set(workloadOf("ai/c", "3", "x", "10.0.0.2")), false)
	f("10.0.0.2", "", true)
	p.Update(set(workloadOf("ai/d", "4", "x", "10.0.0.2")), false)
	p.Update(gone("web/b"), false)
	f("10.0.0.2", "", true)
	p.Update(gone("ai/d"), false)
	f("10.0.0.2", "ai/c x", true)

	// Another Pod of the name, then other addresses of the same one.
	p.Update(set(workloadOf("ai/c", "5", "z", "10.0.0.2")), false)
	f("10.0.0.2", "ai/c z", true)
	p.Update(set(workloadOf("ai/c", "5", "z", "10.0.0.9")), false)
	f("10.0.0.2", "", false)
	f("10.0.0.9", "ai/c z", true)
	p.Update(set(workloadOf("ai/e", "6", "x", "10.0.0.4")), true)
	f("10.0.0.9", "", false)
	f("10.0.0.4", "ai/e x", true)
	if len(p.byName) != 1 {
		t.Errorf("%d Pods are kept", len(p.byName))
	}
}

// TestPodsWhileTheyChange looks addresses up beside changes: whoever has an address is found with it all the while.
func TestPodsWhileTheyChange(t *testing.T) {
	p := told(workloadOf("ai/stays", "0", "x", "10.0.0.1"))
	var looking sync.WaitGroup
	var stop atomic.Bool
	for range 2 {
		looking.Go(func() {
			for !stop.Load() {
				if pod, _ := p.named(netip.MustParseAddr("10.0.0.1")); pod == nil || pod.Name != "stays" {
					t.Error("lost")
					return
				}
			}
		})
	}
	for i := range 2000 {
		name := fmt.Sprintf("ai/p%d", i%50)
		if i%3 == 0 {
			p.Update(gone(name), false)
		} else {
			p.Update(set(workloadOf(name, fmt.Sprint(i), "x", fmt.Sprintf("10.%d.0.1", i%50+1))), false)
		}
	}
	stop.Store(true)
	looking.Wait()
}

// TestAConnectionKeepsItsPod: who comes to have an address later is not who began the connection.
func TestAConnectionKeepsItsPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := workloadOf("ai/a", "1", "x", "10.0.0.1")
		p := told(a)
		cuts := 0
		connect := func() *Origin { return p.Connect(netip.MustParseAddr("10.0.0.1"), func() { cuts++ }) }
		f := func(o *Origin, want string, answers bool) {
			t.Helper()
			o.Settle(t.Context())
			pod, answered := o.named()
			got := ""
			if pod != nil {
				got = pod.Namespace + "/" + pod.ServiceAccount
			}
			if got != want || answered != answers {
				t.Errorf("%q (answered: %t), want %q (%t)", got, answered, want, answers)
			}
		}
		first := connect()
		f(first, "ai/x", true)
		p.Update(set(ending(a)), false)
		f(first, "ai/x", true) // it was begun before
		late := connect()
		f(late, "", false)
		p.Update(gone("ai/a"), false)
		f(first, "", true)
		if cuts != 1 {
			t.Errorf("%d connections were cut, want the first", cuts)
		}
		p.Update(set(workloadOf("web/b", "2", "y", "10.0.0.1")), false)
		f(first, "", true)
		f(late, "", false)
		if !late.Retire() || first.Retire() {
			t.Errorf("retire: %t, %t", late.Retire(), first.Retire())
		}
		second := connect()
		f(second, "web/y", true)
		if second.Retire() {
			t.Error("a connection whose Pod is known is to end")
		}
		for _, o := range []*Origin{first, late, second} {
			o.Gone()
		}
		if n := len(p.strangers) + len(p.byName["Pod/web/b"].life.origins); n != 0 {
			t.Errorf("%d connections are kept that have ended", n)
		}
		p.Update(gone("web/b"), false)
		if cuts != 1 {
			t.Error("a connection was cut that had ended")
		}
	})
}

// TestAnAddressWaitsForItsName, for half a second from the connection's begin, and not each time.
func TestAnAddressWaitsForItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := told()
		address := netip.MustParseAddr("10.0.0.1")
		settle := func(o *Origin) time.Duration {
			begin := time.Now()
			o.Settle(t.Context())
			return time.Since(begin)
		}
		o := p.Connect(address, func() {})
		go func() {
			time.Sleep(100 * time.Millisecond)
			p.Update(set(workloadOf("ai/other", "2", "y", "10.0.0.2")), false)
			time.Sleep(100 * time.Millisecond)
			p.Update(set(workloadOf("ai/a", "1", "x", "10.0.0.1")), false)
		}()
		if took := settle(o); took != 200*time.Millisecond {
			t.Errorf("waited %s", took)
		}
		if pod, _ := o.named(); pod == nil || pod.Name != "a" || o.Retire() {
			t.Errorf("%+v", pod)
		}
		p.Update(gone("ai/a"), false)

		stranger := p.Connect(address, func() {})
		if took := settle(stranger); took != patience {
			t.Errorf("waited %s", took)
		}
		if took := settle(stranger) + settle(p.Connect(address, func() {})); took != 0 {
			t.Errorf("waited %s more", took)
		}
		time.Sleep(forgetting)
		if took := settle(p.Connect(address, func() {})); took != patience {
			t.Errorf("waited %s after a while", took)
		}
		// Where the first request comes late, who has the address by then need not be who began the connection.
		idle := p.Connect(address, func() {})
		time.Sleep(time.Minute)
		p.Update(set(workloadOf("ai/a", "1", "x", "10.0.0.1")), false)
		if took := settle(idle); took != 0 {
			t.Errorf("waited %s", took)
		}
		if pod, _ := idle.named(); pod != nil || !idle.Retire() {
			t.Errorf("%+v (retire: %t)", pod, idle.Retire())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		left := p.Connect(netip.MustParseAddr("10.0.0.7"), func() {})
		left.Settle(ctx)
	})
}

func TestWhatIsRememberedOfStrangersIsBounded(t *testing.T) {
	p := told()
	for i := range maxMissed + 10 {
		p.miss(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(p.missed) > maxMissed {
		t.Errorf("%d addresses", len(p.missed))
	}
	address := netip.MustParseAddr("10.0.0.1")
	for range maxStranger + 10 {
		p.estrange(&Origin{pods: p, address: address})
	}
	if len(p.strangers[address]) != maxStranger {
		t.Errorf("%d connections", len(p.strangers[address]))
	}
}

// TestSourcesTogether holds the rule of strength and of disagreement over every source.
func TestSourcesTogether(t *testing.T) {
	s := newSigner(t)
	pods := told(workloadOf("ai/a", "1", "batch", "10.0.0.1"), workloadOf("web/b", "2", "front", "10.0.0.2"),
		workloadOf("ai/c", "3", "batch", "10.0.0.3"), workloadOf("web/c", "4", "front", "10.0.0.3"), workloadOf("ai/host", "5", "batch"), workloadOf("ai/d", "6", "batch", "10.0.0.4"))
	g := mesh()
	g.PodAddress, g.Token = true, s.source()
	g.Identity = []plan.StaticSource{
		{CIDR: "10.0.0.1/32", Namespace: "ai", ServiceAccount: "batch"}, {CIDR: "10.0.0.2/32", Namespace: "legacy", ServiceAccount: "job"},
		{CIDR: "10.1.0.0/16", Namespace: "legacy", ServiceAccount: "job"}, {CIDR: "10.2.0.0/16", Namespace: "ai", ServiceAccount: "batch"},
	}
	verifier, err := NewVerifier(g.Token, pods)
	if err != nil {
		t.Fatal(err)
	}
	id, err := New(g, true, pods, verifier)
	if err != nil {
		t.Fatal(err)
	}
	pods.miss(netip.MustParseAddr("192.0.2.1"))
	batch := s.token(nil)
	front := s.token(func(c map[string]any) { of(c, "web", "front", "b", "2") })
	f := func(what, address, spiffe, token, want string, source exchange.Source) {
		t.Helper()
		var h exchange.Header
		for _, lie := range []string{"Ebbgate-Client", "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Namespace"} {
			h.Add(lie, "for=10.0.0.2")
		}
		h.Add("X-Token", "Bearer "+token)
		o := pods.Connect(netip.MustParseAddr(address), func() {})
		defer o.Gone()
		o.Settle(t.Context())
		at := Connection{Address: netip.AddrPortFrom(netip.MustParseAddr(address), 1), SPIFFE: spiffe, Origin: o, Now: time.Now()}
		client, _, err := id.Identify(at, &h)
		if client.String() != want || client.Source != source || err != nil {
			t.Errorf("%s: %s by %s, want %s by %s (%v)", what, client, client.Source, want, source, err)
		}
		if len(h.Values("X-Token")) != 0 {
			t.Errorf("%s: the token stays", what)
		}
	}
	const ours, edge = "spiffe://cluster.local/ns/ai/sa/batch", "spiffe://cluster.local/some/thing"
	f("a range and a Pod that agree", "10.0.0.1", "", "", "ai/batch", exchange.SourcePodAddress)
	f("a range and a Pod that do not", "10.0.0.2", "", "", "unknown/unknown", exchange.SourceNone)
	f("an address of two", "10.0.0.3", "", "", "unknown/unknown", exchange.SourceNone)
	f("an address of two, and a token", "10.0.0.3", "", batch, "unknown/unknown", exchange.SourceNone)
	f("a range alone", "10.1.0.1", "", "", "legacy/job", exchange.SourceStatic)
	f("nothing", "192.0.2.1", "", "", "unknown/unknown", exchange.SourceNone)
	f("loopback on Kubernetes", "127.0.0.1", "", "", "unknown/unknown", exchange.SourceNone)
	f("its own token", "10.0.0.1", "", batch, "ai/batch", exchange.SourceToken)
	f("another's token", "10.0.0.1", "", front, "unknown/unknown", exchange.SourceNone)
	f("a token of another Pod of the same name", "10.0.0.4", "", batch, "unknown/unknown", exchange.SourceNone)
	f("no token at all", "10.0.0.1", "", "lies", "ai/batch", exchange.SourcePodAddress)
	f("a token from nowhere", "192.0.2.1", "", batch, "ai/batch", exchange.SourceToken)
	f("a token against a range", "10.1.0.1", "", batch, "unknown/unknown", exchange.SourceNone)
	f("an id", "192.0.2.1", ours, "", "ai/batch", exchange.SourceSPIFFE)
	f("an id and a Pod", "10.0.0.1", ours, "", "ai/batch", exchange.SourceSPIFFE)
	f("an id against a Pod", "10.0.0.2", ours, "", "unknown/unknown", exchange.SourceNone)
	f("an id against a token", "192.0.2.1", ours, front, "unknown/unknown", exchange.SourceNone)
	f("all three", "10.0.0.1", ours, batch, "ai/batch", exchange.SourceToken)
	f("an id of no workload", "192.0.2.1", edge, "", "unknown/unknown", exchange.SourceSPIFFE)
	f("an id of no workload and a token", "192.0.2.1", edge, batch, "ai/batch", exchange.SourceToken)
	f("an id of another domain", "10.0.0.1", "spiffe://gone/ns/web/sa/front", "", "ai/batch", exchange.SourcePodAddress)

	// A peer of another cluster that speaks for itself has no token of this one.
	var h exchange.Header
	h.Add("X-Token", "Bearer "+batch)
	client, _, _ := id.Identify(Connection{Address: netip.MustParseAddrPort("192.0.2.1:1"), SPIFFE: "spiffe://edge/proxy", Now: time.Now()}, &h)
	if client.Known() {
		t.Errorf("a far gateway's id and our token: %s", client)
	}
}

// TestPeersSpeakForPods: of the gateway's own cluster, not of another that has the same addresses.
func TestPeersSpeakForPods(t *testing.T) {
	pods := told(workloadOf("ai/a", "1", "batch", "10.0.0.1"))
	g := mesh()
	g.PodAddress, g.Identity = true, nil
	g.Peers = []plan.Peer{
		{SPIFFE: "spiffe://edge/near", Namespaces: []string{"ai"}}, {SPIFFE: "spiffe://edge/far", Cluster: "far", Namespaces: []string{"*"}},
		{SPIFFE: "spiffe://edge/mute", Namespaces: []string{"web"}},
	}
	id, err := New(g, true, pods, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(spiffe, want string) {
		t.Helper()
		client, _, _ := id.Identify(Connection{Address: netip.MustParseAddrPort("192.0.2.1:1"), SPIFFE: spiffe}, fields("for=10.0.0.1"))
		if client.String() != want {
			t.Errorf("%s: %s, want %s", spiffe, client, want)
		}
	}
	f("spiffe://edge/near", "ai/batch")
	f("spiffe://edge/far", "unknown/unknown")
	f("spiffe://edge/mute", "unknown/unknown")
}

func TestPodsNameNobodyWhereTheyAreOff(t *testing.T) {
	pods := told(workloadOf("ai/a", "1", "batch", "10.0.0.1"))
	id, err := New(&plan.Gateway{}, true, pods, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := pods.Connect(netip.MustParseAddr("10.0.0.1"), func() {})
	client, _, _ := id.Identify(Connection{Address: netip.MustParseAddrPort("10.0.0.1:1"), Origin: o}, &exchange.Header{})
	if client.Known() || id.Waits() {
		t.Errorf("%s (waits: %t)", client, id.Waits())
	}
}

func BenchmarkPodUpdate(b *testing.B) {
	p := new(Pods)
	all := map[string]*plan.Workload{}
	for i := range 20_000 {
		w := workloadOf(fmt.Sprintf("ns%d/p%d", i%100, i), fmt.Sprint(i), "x", fmt.Sprintf("10.%d.%d.1", i>>8, i&255))
		all[w.Name] = w
	}
	p.Update(all, true)
	w := workloadOf("ai/new", "x", "x", "10.200.0.1")
	for b.Loop() {
		p.Update(set(w), false)
		p.Update(gone("ai/new"), false)
	}
}
