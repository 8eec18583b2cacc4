package health

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

func TestAddressesAreEjectedForThemselves(t *testing.T) {
	f := func(name string, percent int, act func(*Backend, *fake), skipped ...byte) {
		t.Helper()
		s := setting()
		s.Passive.MaxEjectedPercent = percent
		b, clock := backend(s)
		b.SetAddresses([]netip.AddrPort{addr(0), addr(1), addr(2), addr(3)})
		act(b, clock)
		for i := range byte(4) {
			want := false
			for _, n := range skipped {
				want = want || n == i
			}
			if got := b.Skip(addr(i)); got != want {
				t.Errorf("%s: skips address %d: %t, want %t", name, i, got, want)
			}
		}
		if !b.Admits() {
			t.Errorf("%s: the backend is out", name)
		}
	}
	unconnected := func(b *Backend, n int, list ...byte) {
		for _, i := range list {
			for range n {
				b.Unconnected(policy.FaultConnect, addr(i))
			}
		}
	}
	f("none", 100, func(*Backend, *fake) {})
	f("too few faults", 100, func(b *Backend, _ *fake) { unconnected(b, 4, 0, 1, 2, 3) })
	f("enough", 100, func(b *Backend, _ *fake) { unconnected(b, 5, 1) }, 1)
	f("all may be", 100, func(b *Backend, _ *fake) { unconnected(b, 5, 0, 1, 2, 3) }, 0, 1, 2, 3)
	f("half may be", 50, func(b *Backend, _ *fake) { unconnected(b, 5, 3, 2, 1, 0) }, 3, 2)
	f("too few may be", 24, func(b *Backend, _ *fake) { unconnected(b, 5, 0) })
	f("a connection between", 100, func(b *Backend, _ *fake) { unconnected(b, 4, 0); b.Connected(addr(0)); unconnected(b, 4, 0) })
	f("resets", 100, func(b *Backend, _ *fake) {
		for range 5 {
			b.Connected(addr(2)) // proves nothing of what the address does with requests
			b.Failed(policy.FaultReset, addr(2))
			b.Succeeded(addr(1))
		}
	}, 2)
	f("answers between resets", 100, func(b *Backend, _ *fake) {
		for range 9 {
			b.Failed(policy.FaultReset, addr(2))
			b.Succeeded(addr(2))
		}
	})
	f("a backend's connect faults are told by dial", 100, func(b *Backend, _ *fake) {
		for range 9 {
			b.Failed(policy.FaultConnect, addr(2))
			b.Succeeded(addr(1))
		}
	})
	f("over its time", 100, func(b *Backend, c *fake) { unconnected(b, 5, 1); c.pass(30 * time.Second) })
	f("again at once", 100, func(b *Backend, c *fake) { unconnected(b, 5, 1); c.pass(30 * time.Second); unconnected(b, 1, 1) }, 1)
	f("for longer", 100, func(b *Backend, c *fake) {
		unconnected(b, 5, 1)
		c.pass(30 * time.Second)
		unconnected(b, 1, 1)
		c.pass(59 * time.Second)
	}, 1)
	f("back after a success", 100, func(b *Backend, c *fake) {
		unconnected(b, 5, 1)
		c.pass(30 * time.Second)
		b.Succeeded(addr(1))
		unconnected(b, 4, 1)
	})
	f("its checks fail", 100, func(b *Backend, _ *fake) {
		b.Set(policy.Health{Active: &policy.Active{HealthyAfter: 2, UnhealthyAfter: 2}})
		for range 2 {
			b.Checked(addr(0), true)
			b.Checked(addr(1), false)
		}
	}, 1)
}

func TestTheOnlyAddressIsNeverSkipped(t *testing.T) {
	b, _ := backend(setting())
	for range 10 {
		b.Unconnected(policy.FaultTLS, addr(1))
	}
	if b.Skip(addr(1)) {
		t.Error("the only address is skipped")
	}
	b.Connected(addr(2))
	if !b.Skip(addr(1)) || b.Skip(addr(2)) {
		t.Error("with another one it is not")
	}
}

func TestAddressesAreBounded(t *testing.T) {
	b, _ := backend(setting())
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 443)
	}
	for i := range 1000 {
		b.Connected(at(i))
		b.Succeeded(at(0)) // stays in use
	}
	known := *b.addresses.Load()
	if len(known) != maxAddresses || known[at(0)] == nil || known[at(999)] == nil || known[at(1)] != nil {
		t.Errorf("%d addresses are known, and the wrong ones", len(known))
	}
}

func TestChecks(t *testing.T) {
	s := setting()
	s.Active = &policy.Active{HealthyAfter: 2, UnhealthyAfter: 3}
	b, clock := backend(s)
	check := func(a byte, ok bool, n int, want Phase) {
		t.Helper()
		for range n {
			b.Checked(addr(a), ok)
		}
		if got := b.State().Phase; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	check(1, false, 2, Healthy)
	check(1, false, 1, FailingChecks)
	check(2, true, 1, ComingBack) // one that does not fail is enough
	clock.pass(30 * time.Second)
	check(2, false, 3, FailingChecks)
	if b.Admits() {
		t.Error("admitted while its checks fail")
	}
	check(1, true, 1, FailingChecks)
	check(1, true, 1, ComingBack)
	b.Failed(policy.FaultReset, addr(1))
	if got := b.State().Phase; got != Ejected {
		t.Errorf("%s after a fault while it came back, want %s", got, Ejected)
	}
	clock.pass(time.Hour)
	check(1, false, 3, FailingChecks)
	b.SetAddresses([]netip.AddrPort{addr(3)})
	check(3, true, 0, ComingBack) // what failed is no address of it any more
	clock.pass(time.Hour)
	check(3, false, 3, FailingChecks)
	s.Active = nil
	b.Set(s)
	check(3, false, 9, ComingBack)
}
