package proxy

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
	"github.com/ebbgate/ebbgate/internal/policy/regions"
)

// connections counts those that reach it, and closes them.
func connections(t testing.TB, n *atomic.Int64) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// No packet goes to a region that is not allowed, whatever becomes of those that are.
func TestRegionsHoldAcrossFailover(t *testing.T) {
	f := func(allowed, regionOfB string, first *plan.Backend, status int, reason exchange.Reason, vetoed int) {
		t.Helper()
		var elsewhere atomic.Int64
		r := two(t, []*policy.Kind{egress.Kind(), regions.Kind()}, first, service("b", connections(t, &elsewhere)))
		target := func(kind plan.TargetKind, name string) []plan.Target { return []plan.Target{{Kind: kind, Name: name}} }
		r.plan.Policies = []*plan.Policy{
			{Name: "EgressPolicy/t/a", Kind: "EgressPolicy", Targets: target(plan.TargetBackend, "Service/t/a"), Config: &egress.Config{Region: "eu-west-1"}},
			{Name: "RegionAllowListPolicy/t/r", Kind: "RegionAllowListPolicy", Targets: target(plan.TargetGateway, "t/g"), Config: &regions.Config{Regions: []string{allowed}}},
		}
		if regionOfB != "" {
			r.plan.Policies = append(r.plan.Policies, &plan.Policy{
				Name: "EgressPolicy/t/b", Kind: "EgressPolicy", Targets: target(plan.TargetBackend, "Service/t/b"), Config: &egress.Config{Region: regionOfB},
			})
		}
		r.update()
		for range 20 {
			if res, _ := r.do("POST", "/0", "hello"); res.StatusCode != status {
				t.Fatalf("%s, b in %q: status %d, want %d", allowed, regionOfB, res.StatusCode, status)
			}
			if e := r.seen.last(t); e.reason != reason || vetoed >= 0 && e.vetoed != vetoed {
				t.Fatalf("%s, b in %q: logged %+v", allowed, regionOfB, e)
			}
		}
		if n := elsewhere.Load(); n != 0 {
			t.Errorf("%s, b in %q: %d connections to where data may not go", allowed, regionOfB, n)
		}
	}
	fine := func() *plan.Backend { return service("a", testFar(t, &counting{status: 200})) }
	f("eu-*", "us-east-1", fine(), 200, "", -1) // b may not have been drawn at all
	f("eu-*", "us-east-1", service("a", deadAddress(t)), 502, exchange.ConnectFailed, 1)
	f("eu-*", "us-east-1", service("a", testFar(t, &counting{status: 429})), 429, "", 1)
	f("eu-*", "", service("a", deadAddress(t)), 502, exchange.ConnectFailed, 1)
	f("ap-*", "us-east-1", fine(), 403, exchange.RegionNotAllowed, 2)
}
