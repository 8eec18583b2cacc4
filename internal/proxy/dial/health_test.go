package dial

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// chart is a Health that skips what it is told to.
type chart struct {
	mu    sync.Mutex
	skips []netip.AddrPort
	told  map[netip.AddrPort]policy.Fault // 0: connected
}

func (c *chart) Skip(a netip.AddrPort) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.skips, a)
}

func (c *chart) Connected(a netip.AddrPort) { c.Unconnected(0, a) }

func (c *chart) Unconnected(f policy.Fault, a netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = map[netip.AddrPort]policy.Fault{}
	}
	c.told[a] = f
}

func (c *chart) skip(list ...netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skips = list
}

// wantTold takes what has been told.
func (c *chart) wantTold(t *testing.T, want map[netip.AddrPort]policy.Fault) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !maps.Equal(c.told, want) {
		t.Errorf("told %v, want %v", c.told, want)
	}
	c.told = nil
}

func at(f *far) netip.AddrPort { return netip.MustParseAddrPort(f.Addr().String()) }

func TestSkippedAddressesComeLast(t *testing.T) {
	a, b := twins(t)
	f := func(name string, c TargetConfig, n *near) {
		health := &chart{}
		c.Health = health
		target := n.prepare(t, c)
		health.skip(at(a))
		for range 6 {
			up := n.get(t, target)
			if up.Address() != at(b) {
				t.Errorf("%s: connected to the address that is to be skipped", name)
			}
			defer func() { _ = up.Close() }()
		}
		health.skip(at(a), at(b))
		_ = n.get(t, target).Close() // nothing else is left
		health.skip(at(a))
		_ = b.Close()
		b.hangUp()
		if up := n.get(t, target); up.Address() != at(a) {
			t.Errorf("%s: connected to nowhere", name)
		}
		b = serve(t, b.Addr().String(), nil)
	}
	n := dialer(t)
	f("fixed", n.endpoints(a, b), n)
	n = dialer(t)
	n.pin("api.test", "127.0.0.1", "127.0.0.2")
	f("resolved", n.config(a, nil), n)
}

func TestIdleConnectionsToSkippedAddressesRest(t *testing.T) {
	a, _ := twins(t)
	n := dialer(t)
	n.pin("api.test", "127.0.0.1", "127.0.0.2")
	health := &chart{}
	c := n.config(a, nil)
	c.Health = health
	target := n.prepare(t, c)
	idle := n.get(t, target)
	ping(t, idle)
	idle.Put()
	health.skip(idle.Address())
	other := n.get(t, target)
	if other == idle {
		t.Error("an idle connection to an address that is to be skipped was reused")
	}
	health.skip(idle.Address(), other.Address())
	if n.get(t, target) != idle {
		t.Error("not reused, though nothing else is left")
	}
}

func TestAddressesAreToldOf(t *testing.T) {
	authority := newAuthority(t)
	good := authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}})
	bad := authority.server(t, ca.Leaf{DNSNames: []string{"other.test"}})
	plain, secure, wrong := serve(t, "127.0.0.1:0", nil), serve(t, "127.0.0.1:0", good), serve(t, "127.0.0.1:0", bad)
	gone := serve(t, "127.0.0.1:0", nil)
	_ = gone.Close()
	f := func(name string, setting *TLS, stage policy.AddressStage, want map[netip.AddrPort]policy.Fault, list ...*far) {
		t.Helper()
		n := dialer(t)
		health := &chart{}
		c := n.endpoints(list...)
		c.Health, c.TLS, c.Hostname = health, setting, "api.test"
		if stage != nil {
			c.Address = []policy.AddressStage{stage}
		}
		target := n.prepare(t, c)
		for range list { // each begins once
			if up, err := n.Get(t.Context(), target, Want{}); err == nil {
				_ = up.Close()
			}
		}
		if t.Failed() {
			t.Log(name)
		}
		health.wantTold(t, want)
	}
	type told = map[netip.AddrPort]policy.Fault
	f("plain", nil, nil, told{at(plain): 0}, plain)
	f("gone", nil, nil, told{at(gone): policy.FaultConnect}, gone)
	f("gone, and another one there", nil, nil, told{at(gone): policy.FaultConnect, at(plain): 0}, gone, plain)
	f("TLS", authority.setting(t, nil), nil, told{at(secure): 0}, secure)
	f("another certificate", authority.setting(t, nil), nil, told{at(wrong): policy.FaultTLS}, wrong)
	f("no TLS", authority.setting(t, nil), nil, told{at(plain): policy.FaultTLS, at(secure): 0}, plain, secure)
	f("refused by policy", nil, addressStage(func(context.Context, *policy.AddressCheck) *exchange.Refusal {
		return exchange.Refuse(exchange.AddressDenied, "not for this route")
	}), nil, plain)
}

// TestSilentAddressesAreToldOf has a far side that takes connections and says nothing: the connect timeout is its fault,
// the caller's leaving is not.
func TestSilentAddressesAreToldOf(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	n := dialer(t)
	n.settings.Timeouts.Connect = 50 * time.Millisecond
	health := &chart{}
	c := n.config(silent, newAuthority(t).setting(t, nil))
	c.Health = health
	n.fails(t, n.prepare(t, c), exchange.ConnectTimeout)
	address := netip.MustParseAddrPort(silent.Addr().String())
	health.wantTold(t, map[netip.AddrPort]policy.Fault{address: policy.FaultTLS})

	n.settings.Timeouts.Connect = time.Minute
	c.Settings = &n.settings
	if _, err := n.Get(t.Context(), n.prepare(t, c), Want{Limit: 50 * time.Millisecond}); err == nil {
		t.Error("connected")
	}
	health.wantTold(t, nil)
}

// TestADeadNameServerTakesNoLonger holds the whole of a Get, those that wait for another's connection too, to the
// connect timeout.
func TestADeadNameServerTakesNoLonger(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Close() })
	f, _ := shares(t, nil)
	n := dialer(t)
	n.settings.DNS.Resolvers = []policy.Resolver{{Address: netip.MustParseAddrPort(dead.LocalAddr().String())}}
	n.settings.Timeouts.Connect = 100 * time.Millisecond
	var all sync.WaitGroup
	for range 8 {
		c := n.shared(f, nil)
		c.Hostname = "dead.test"
		target := n.prepare(t, c)
		all.Go(func() {
			_, err := n.Get(t.Context(), target, Want{})
			if failure, ok := errors.AsType[*Error](err); !ok || failure.Reason != exchange.ConnectTimeout {
				t.Errorf("%v, want %s", err, exchange.ConnectTimeout)
			}
		})
	}
	all.Wait()
}
