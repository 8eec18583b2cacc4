package health

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a clock that tests move.
type fake struct {
	mu  sync.Mutex
	now time.Time
}

func (f *fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fake) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func setting() policy.Health { return policy.NewSettings().Health }

func backend(s policy.Health) (*Backend, *fake) {
	clock := &fake{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	random := rand.New(rand.NewPCG(1, 2))
	return New(Config{Setting: s, Now: clock.Now, Rand: random.Float64}), clock
}

func addr(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 443)
}

var nowhere netip.AddrPort

func fail(b *Backend, n int) {
	for range n {
		b.Failed(policy.FaultConnect, nowhere)
	}
}

func TestConsecutiveErrorsEject(t *testing.T) {
	f := func(name string, change func(*policy.Health), act func(*Backend), want Phase) {
		t.Helper()
		s := setting()
		if change != nil {
			change(&s)
		}
		b, _ := backend(s)
		act(b)
		if got := b.State().Phase; got != want || b.Admits() != (want == Healthy) {
			t.Errorf("%s: %s, admitted %t; want %s", name, got, b.Admits(), want)
		}
	}
	f("new", nil, func(*Backend) {}, Healthy)
	f("one too few", nil, func(b *Backend) { fail(b, 4) }, Healthy)
	f("enough", nil, func(b *Backend) { fail(b, 5) }, Ejected)
	f("a success between", nil, func(b *Backend) { fail(b, 4); b.Succeeded(nowhere); fail(b, 4) }, Healthy)
	f("a rejection between", nil, func(b *Backend) { fail(b, 4); b.Rejected(true); fail(b, 4) }, Healthy)
	f("not listed", nil, func(b *Backend) {
		for range 10 {
			b.Failed(policy.FaultTimeout, nowhere)
			b.Failed(policy.FaultGatewayError, nowhere)
		}
	}, Healthy)
	f("listed", func(s *policy.Health) { s.Passive.On = policy.FaultTimeout }, func(b *Backend) {
		for range 5 {
			b.Failed(policy.FaultTimeout, nowhere)
		}
	}, Ejected)
	f("none eject", func(s *policy.Health) { s.Passive.ConsecutiveErrors = 0 }, func(b *Backend) { fail(b, 100) }, Healthy)
	f("for no time", func(s *policy.Health) { s.Passive.Ejection = 0 }, func(b *Backend) { fail(b, 100) }, Healthy)
	f("nothing set", func(s *policy.Health) { *s = policy.Health{} }, func(b *Backend) { fail(b, 100); b.Checked(addr(1), false) }, Healthy)
}

func TestErrorRateEjects(t *testing.T) {
	f := func(name string, act func(*Backend, *fake), want Phase) {
		t.Helper()
		s := setting()
		s.Passive.ConsecutiveErrors, s.Passive.ErrorPercent = 0, 50
		b, clock := backend(s)
		act(b, clock)
		if got := b.State().Phase; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	alternate := func(b *Backend, n int) {
		for range n {
			b.Failed(policy.FaultReset, addr(1))
			b.Succeeded(addr(1))
		}
	}
	f("half, and enough requests", func(b *Backend, _ *fake) { alternate(b, 10); fail(b, 1) }, Ejected)
	f("half, and too few requests", func(b *Backend, _ *fake) { alternate(b, 9); fail(b, 1) }, Healthy)
	f("below", func(b *Backend, _ *fake) {
		for range 20 {
			alternate(b, 1)
			b.Succeeded(addr(1))
		}
	}, Healthy)
	f("over two windows", func(b *Backend, c *fake) { alternate(b, 9); c.pass(10 * time.Second); alternate(b, 9); fail(b, 1) }, Healthy)
	f("after a long good time", func(b *Backend, c *fake) {
		for range 1000 {
			b.Succeeded(addr(1))
		}
		c.pass(time.Hour)
		alternate(b, 10)
		fail(b, 1)
	}, Ejected)
}

// out is how long the backend is not drawn at all from now on.
func out(b *Backend, clock *fake) (d time.Duration) {
	for ; b.State().Share == 0; d += time.Second {
		clock.pass(time.Second)
	}
	return d
}

func TestEjectionsGrowAndWane(t *testing.T) {
	b, clock := backend(setting())
	next := func(faults int, want time.Duration) {
		t.Helper()
		fail(b, faults)
		if got := out(b, clock); got != want {
			t.Errorf("ejected for %s, want %s", got, want)
		}
	}
	next(5, 30*time.Second)
	for n := 2; n <= 10; n++ {
		next(1, time.Duration(n)*30*time.Second) // while it comes back, one fault is enough
	}
	next(1, 5*time.Minute)
	clock.pass(time.Minute)
	next(4, 0) // it has come back whole
	next(1, 5*time.Minute)
	clock.pass(2 * 5 * time.Minute)
	next(5, 9*30*time.Second)
	clock.pass(24 * time.Hour)
	next(5, 30*time.Second)
	if got := b.State().Ejections; got != 14 {
		t.Errorf("%d ejections, want 14", got)
	}
}

func TestReturnIsGradual(t *testing.T) {
	f := func(name string, leave func(*Backend, *fake), ramp time.Duration) {
		t.Helper()
		b, clock := backend(setting())
		leave(b, clock)
		if b.Admits() {
			t.Errorf("%s: admitted at once", name)
		}
		out(b, clock)
		for i := range 10 {
			const n = 20_000
			drawn := 0
			for range n {
				if b.Admits() {
					drawn++
				}
			}
			want := 0.1 + 0.9*float64(i)/10
			if got := float64(drawn) / n; got < want-0.015 || got > want+0.015 {
				t.Errorf("%s: after %d tenths it gets %.3f of its draws, want %.3f", name, i, got, want)
			}
			clock.pass(ramp / 10)
		}
		if s := b.State(); s.Phase != Healthy || s.Share != 1 || !b.Admits() || !b.calm.Load() {
			t.Errorf("%s: %+v after slow start, want it healthy", name, s)
		}
	}
	f("ejected", func(b *Backend, _ *fake) { fail(b, 5) }, 30*time.Second)
	f("set aside for long", func(b *Backend, _ *fake) { b.SetAside(time.Minute) }, 30*time.Second)
	f("set aside for a short time", func(b *Backend, _ *fake) { b.SetAside(10 * time.Second) }, 10*time.Second)
}

func TestSetAside(t *testing.T) {
	f := func(name string, act func(*Backend, *fake), want time.Duration) {
		t.Helper()
		b, clock := backend(setting())
		act(b, clock)
		if got := out(b, clock); got != want {
			t.Errorf("%s: set aside for %s, want %s", name, got, want)
		}
	}
	f("for nothing", func(b *Backend, _ *fake) { b.SetAside(0); b.SetAside(-time.Second) }, 0)
	f("never shortened", func(b *Backend, _ *fake) { b.SetAside(time.Minute); b.SetAside(time.Second) }, time.Minute)
	f("lengthened", func(b *Backend, c *fake) { b.SetAside(time.Minute); c.pass(50 * time.Second); b.SetAside(time.Minute) }, time.Minute)
	f("bounded", func(b *Backend, _ *fake) { b.SetAside(1000 * time.Hour) }, time.Hour)
	f("a fault later is one of five", func(b *Backend, c *fake) { b.SetAside(time.Second); c.pass(time.Second); fail(b, 4) }, 0)
	f("the longer of both", func(b *Backend, _ *fake) { b.SetAside(time.Minute); fail(b, 5) }, time.Minute)
}

func TestRejectionsInARow(t *testing.T) {
	b, clock := backend(setting())
	reject := func(n int, want time.Duration) {
		t.Helper()
		for range n {
			b.Rejected(false)
		}
		if got := out(b, clock); got != want {
			t.Errorf("set aside for %s, want %s", got, want)
		}
	}
	reject(4, 0)
	b.Succeeded(addr(1))
	reject(4, 0)
	reject(8, time.Second) // those that were under way change nothing
	for _, want := range []time.Duration{2, 4, 8, 16, 30, 30} {
		reject(1, want*time.Second)
	}
	b.Succeeded(addr(1))
	reject(4, 0)
	b.Rejected(true)
	reject(1, time.Second)
}

// TestAnythingAtRandom holds every state to what is promised of it, over random histories.
func TestAnythingAtRandom(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := setting()
		s.Active = &policy.Active{HealthyAfter: 1 + r.IntN(3), UnhealthyAfter: 1 + r.IntN(3)}
		s.Passive.ErrorPercent, s.Passive.ConsecutiveErrors = r.IntN(2)*50, r.IntN(6)
		s.Passive.MaxEjectedPercent = r.IntN(101)
		b, clock := backend(s)
		for step := range 500 {
			before := b.State().Share
			switch a := addr(byte(r.IntN(5))); r.IntN(9) {
			case 0, 1:
				b.Failed(policy.Fault(1<<r.IntN(5)), a)
			case 2:
				b.Unconnected(policy.Fault(1<<r.IntN(2)), a)
			case 3:
				b.Succeeded(a)
			case 4:
				b.Connected(a)
			case 5:
				b.Rejected(r.IntN(2) == 0)
			case 6:
				b.SetAside(time.Duration(r.IntN(100)) * time.Second)
			case 7:
				b.Checked(a, r.IntN(3) > 0)
			case 8:
				clock.pass(time.Duration(r.IntN(60)) * time.Second)
				before = 0
			}
			hold(t, b, clock, s, before)
			if t.Failed() {
				t.Fatalf("seed %d, step %d: %+v", seed, step, b.State())
			}
		}
		recovers(t, b, clock)
	}
}

func hold(t *testing.T, b *Backend, clock *fake, s policy.Health, before float64) {
	t.Helper()
	state, admitted := b.State(), b.Admits()
	if admitted && state.Share == 0 || !admitted && state.Share == 1 {
		t.Errorf("admitted %t with a share of %v", admitted, state.Share)
	}
	if (state.Phase == Healthy) != (state.Share == 1) || (state.Phase == ComingBack) != (state.Share > 0 && state.Share < 1) {
		t.Errorf("%s with a share of %v", state.Phase, state.Share)
	}
	if b.calm.Load() && state.Share < 1 {
		t.Error("calm, and not whole")
	}
	if before < state.Share && before > 0 {
		t.Errorf("the share grew from %v to %v, and no time passed", before, state.Share)
	}
	if state.Until != nil {
		if left := state.Until.Sub(clock.now); left <= 0 || state.Phase == Ejected && left > s.Passive.MaxEjection || left > time.Hour {
			t.Errorf("%s for another %s", state.Phase, left)
		}
	}
	ejected := 0
	for _, a := range state.Addresses {
		if a.Ejected != nil {
			ejected++
		}
		if skip := b.Skip(a.Address); skip != ((a.Ejected != nil || a.Failing) && len(state.Addresses) > 1) {
			t.Errorf("skips %v: %t, and its state is %+v", a.Address, skip, a)
		}
	}
	if ejected*100 > s.Passive.MaxEjectedPercent*len(state.Addresses) {
		t.Errorf("%d of %d addresses are ejected, and %d percent may be", ejected, len(state.Addresses), s.Passive.MaxEjectedPercent)
	}
}

// recovers holds that whatever came before, good conduct ends it.
func recovers(t *testing.T, b *Backend, clock *fake) {
	t.Helper()
	clock.pass(2 * time.Hour)
	for range 5 {
		for i := range byte(5) {
			b.Checked(addr(i), true)
			b.Connected(addr(i))
			b.Succeeded(addr(i))
		}
	}
	clock.pass(time.Minute)
	if state := b.State(); state.Phase != Healthy || !b.Admits() || !b.calm.Load() {
		t.Errorf("after good conduct: %+v", state)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := setting()
	s.Active = &policy.Active{HealthyAfter: 1, UnhealthyAfter: 1}
	s.Passive.ErrorPercent = 50
	b := New(Config{Setting: s})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				a := addr(byte((g + i) % 250))
				switch (g*31 + i) % 10 {
				case 0:
					b.Failed(policy.FaultReset, a)
				case 1:
					b.Unconnected(policy.FaultConnect, a)
				case 2:
					b.Connected(a)
				case 3:
					b.Checked(a, i%2 == 0)
				case 4:
					b.State()
				case 5:
					b.SetAddresses([]netip.AddrPort{a, addr(1)})
				case 6:
					b.Set(s)
				case 7:
					b.Rejected(false)
				default:
					b.Succeeded(a)
					b.Admits()
					b.Skip(a)
				}
			}
		})
	}
	all.Wait()
}

func TestAHealthyBackendCostsNothing(t *testing.T) {
	b, _ := backend(setting())
	b.Connected(addr(1))
	b.mu.Lock() // nothing here may want it
	defer b.mu.Unlock()
	if n := testing.AllocsPerRun(100, func() {
		b.Connected(addr(1))
		if !b.Admits() || b.Skip(addr(1)) {
			t.Error("not healthy")
		}
		b.Succeeded(addr(1))
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
