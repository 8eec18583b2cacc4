package dial

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// limited is a target with limits on its connections.
func (n *near) limited(t testing.TB, f net.Listener, limits policy.Connections) *Target {
	t.Helper()
	n.settings.Connections = limits
	return n.prepare(t, n.config(f, nil))
}

// later is a Get in the background, which waits when later returns.
func (n *near) later(t *testing.T, target *Target) <-chan Upstream {
	t.Helper()
	ctx := &waiting{Context: t.Context(), begun: make(chan struct{})}
	got := make(chan Upstream, 1)
	go func() {
		up, err := n.Get(ctx, target, Want{})
		if err != nil {
			t.Error(err)
		}
		got <- up
	}()
	receive(t, "wait", ctx.begun)
	return got
}

func noRoom(t *testing.T, err error) {
	t.Helper()
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Reason != exchange.Overloaded || !errors.Is(err, ErrNoRoom) {
		t.Errorf("%v, want that there is no room", err)
	}
}

func TestWhoWaitsIsServedInOrder(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.limited(t, far, policy.Connections{Max: 2, Pending: 4, Wait: time.Minute})
	a := n.get(t, target)
	if target.Full() {
		t.Error("full with a place left")
	}
	b := n.get(t, target)
	if !target.Full() {
		t.Error("not full")
	}
	var queue []<-chan Upstream
	for range 4 {
		queue = append(queue, n.later(t, target))
	}
	_, err := n.Get(t.Context(), target, Want{}) // more than may wait
	noRoom(t, err)
	n.Connections(func(gateway, backend string, open, pending int64) {
		if gateway != "infra/egress" || backend != "Backend/ai/api" || open != 2 || pending != 4 {
			t.Errorf("%s %s: %d open, %d pending", gateway, backend, open, pending)
		}
	})
	ping(t, a)
	a.Put()
	first := receive(t, "first", queue[0])
	if first != Upstream(a) {
		t.Error("not the connection put back")
	}
	_ = b.Close()
	second := receive(t, "second", queue[1])
	if second.Reused() {
		t.Error("the second has no connection of its own")
	}
	first.Put()
	_ = second.Close()
	third, fourth := receive(t, "third", queue[2]), receive(t, "fourth", queue[3])
	third.Put()
	fourth.Put()
	if target.Full() {
		t.Error("full with idle connections")
	}
}

func TestWaitsEnd(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	f := func(name string, limits policy.Connections) {
		t.Helper()
		limits.Max = 1
		target := n.limited(t, far, limits)
		c := n.get(t, target)
		_, err := n.Get(t.Context(), target, Want{})
		noRoom(t, err)
		_ = c.Close()
		n.get(t, target).Put()
		if r := target.pool.room; r.waiting.Load() != 0 || len(r.queue) != 0 {
			t.Errorf("%s: somebody still waits", name)
		}
	}
	f("over", policy.Connections{Pending: 1, Wait: time.Millisecond})
	f("nobody may wait", policy.Connections{Wait: time.Minute})
	f("for no time", policy.Connections{Pending: 1})

	target := n.limited(t, far, policy.Connections{Max: 1, Pending: 2, Wait: time.Minute})
	c := n.get(t, target)
	ctx, cancel := context.WithCancel(t.Context())
	leaves := &waiting{Context: ctx, begun: make(chan struct{})}
	left := make(chan error, 1)
	go func() {
		_, err := n.Get(leaves, target, Want{})
		left <- err
	}()
	receive(t, "wait", leaves.begun)
	stays := n.later(t, target)
	cancel()
	if err := receive(t, "end", left); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the caller left", err)
	}
	c.Put()
	defer receive(t, "connection for the one behind", stays).Put()
	_, err := n.Get(t.Context(), target, Want{Limit: time.Nanosecond})
	if err == nil {
		t.Error("connected beyond the caller's limit")
	}
}

func TestAFailedConnectGivesItsPlaceBack(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.limited(t, far, policy.Connections{Max: 1})
	_ = far.Close()
	for range 3 {
		n.fails(t, target, exchange.ConnectFailed)
	}
	if open := target.pool.room.open.Load(); open != 0 {
		t.Errorf("%d connections are counted, want none", open)
	}
}

func TestIdleConnectionsOfOthersMakeRoom(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	n.settings.Connections = policy.Connections{Max: 2}
	c := n.config(far, nil)
	c.Hostname = "*.api.test"
	wild := n.prepare(t, c)
	one := func(name string) *Target {
		n.settings.DNS.Hosts[name] = n.settings.DNS.Hosts["api.test"]
		target, err := wild.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	a, b := n.get(t, one("a.api.test")), n.get(t, one("b.api.test"))
	if !wild.Full() {
		t.Error("not full")
	}
	ping(t, a)
	a.Put()
	n.offset.Add(1)
	ping(t, b)
	b.Put()
	if wild.Full() {
		t.Error("full with idle connections")
	}
	n.get(t, one("c.api.test"))
	receive(t, "end of the one longest idle", far.ended)
	if again := n.get(t, one("b.api.test")); again != b {
		t.Error("it was the wrong one")
	}
	_, err := n.Get(t.Context(), one("a.api.test"), Want{})
	noRoom(t, err)
}

func TestLimitsChange(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.limited(t, far, policy.Connections{Max: 1, Pending: 1, Wait: time.Minute})
	a := n.get(t, target)
	waits := n.later(t, target)
	n.limited(t, far, policy.Connections{Max: 3, Pending: 1, Wait: time.Minute})
	b := receive(t, "connection after the limit was raised", waits)
	c := n.get(t, target)
	for _, up := range []*Conn{a, c} {
		ping(t, up)
		up.Put()
	}
	n.limited(t, far, policy.Connections{Max: 1, Pending: 1, Wait: time.Minute})
	receive(t, "end of one that is too many", far.ended)
	receive(t, "end of another", far.ended)
	ping(t, b.(*Conn))
	b.Put()
	if again := n.get(t, target); again != b {
		t.Error("the one that may stay did not")
	}
	n.limited(t, far, policy.Connections{Max: 1, Idle: time.Second})
	b.Put()
	n.offset.Add(int64(time.Second))
	n.Sweep()
	receive(t, "end of one that was idle too long", far.ended)
}

func TestEndpointsShareTheRoom(t *testing.T) {
	first := serve(t, "127.0.0.1:0", nil)
	n := dialer(t)
	n.settings.Connections = policy.Connections{Max: 1}
	target := n.prepare(t, n.endpoints(first, serve(t, "127.0.0.2:0", nil)))
	c := n.get(t, target)
	for range 4 {
		c.Put()
		if again := n.get(t, target); again != c { // whosever turn it is: there is no room to connect to the other
			t.Fatal("a connection was given up for one to the other endpoint")
		}
	}
	c.Put()
	preferred := target.fixed[0]
	if preferred == c.address {
		preferred = target.fixed[1]
	}
	up, err := n.Get(t.Context(), target, Want{Endpoint: preferred})
	if err != nil || up.Address() != preferred {
		t.Fatalf("%v, want a connection to the endpoint that is preferred", err)
	}
	up.Put()
}

func TestStreamsShareTheRoom(t *testing.T) {
	const streams = 100 // what the far side allows
	f, connections := shares(t, nil)
	n := dialer(t)
	n.settings.Connections = policy.Connections{Max: 1, Pending: 3, Wait: time.Minute}
	target := n.prepare(t, n.shared(f, nil))
	var all []Upstream
	for len(all) < streams {
		up, err := n.Get(t.Context(), target, Want{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, up)
	}
	if !target.Full() || target.pool.room.open.Load() != 1 {
		t.Errorf("not full, %d open", target.pool.room.open.Load())
	}
	got := make(chan Upstream, 3)
	for range 3 {
		go func() {
			up, err := n.Get(t.Context(), target, Want{})
			if err != nil {
				t.Error(err)
			}
			got <- up
		}()
	}
	for _, up := range all {
		up.Put()
	}
	for range 3 {
		receive(t, "stream", got).Put()
	}
	if target.Full() || connections.Load() > 1 { // the far side may not have taken the one yet
		t.Errorf("full, or %d connections", connections.Load())
	}
	n.offset.Add(int64(idleLimit))
	n.Sweep()
	if open := target.pool.room.open.Load(); open != 0 {
		t.Errorf("%d connections after their idle time, want none", open)
	}
}

func TestIdleStreamsOfOthersMakeRoom(t *testing.T) {
	f, _ := shares(t, nil)
	n := dialer(t)
	n.settings.Connections = policy.Connections{Max: 1}
	c := n.shared(f, nil)
	c.Hostname = "*.api.test"
	wild := n.prepare(t, c)
	made := map[*shared]bool{}
	for _, name := range []string{"a.api.test", "b.api.test", "a.api.test"} {
		n.settings.DNS.Hosts[name] = n.settings.DNS.Hosts["api.test"]
		target, err := wild.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		up, err := n.Get(t.Context(), target, Want{})
		if err != nil {
			t.Fatal(err)
		}
		made[up.(*Stream).shared] = true
		up.Put()
	}
	if len(made) != 3 || wild.pool.room.open.Load() != 1 {
		t.Errorf("%d connections, %d open; want 3, 1", len(made), wild.pool.room.open.Load())
	}
}

// TestNothingIsLost has many want few connections, over several pools, with every way to end a use and a wait.
func TestNothingIsLost(t *testing.T) {
	const most = 3
	plain, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	n.settings.Connections = policy.Connections{Max: most, Pending: 1000, Wait: time.Minute}
	c := n.config(plain, nil)
	c.Hostname = "*.api.test"
	wild := n.prepare(t, c)
	hosts := []string{"a.api.test", "b.api.test", "c.api.test", "d.api.test"}
	for _, h := range hosts {
		n.settings.DNS.Hosts[h] = n.settings.DNS.Hosts["api.test"]
	}
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					go cancel()
				}
				target, err := wild.Host(hosts[random.IntN(len(hosts))])
				if err != nil {
					t.Error(err)
				}
				up, err := n.Get(ctx, target, Want{})
				switch {
				case err != nil && ctx.Err() == nil:
					t.Error(err)
				case err == nil && random.IntN(4) == 0:
					_ = up.Close()
				case err == nil:
					up.Put()
				}
				if open := wild.pool.room.open.Load(); open > most {
					t.Errorf("%d connections", open)
				}
				cancel()
			}
		})
	}
	all.Wait()
	r := wild.pool.room
	if r.waiting.Load() != 0 || r.open.Load() != r.idle.Load() || len(r.queue) != 0 {
		t.Errorf("in the end %d wait, %d are open, %d idle", r.waiting.Load(), r.open.Load(), r.idle.Load())
	}
	wild.Release()
	if r.open.Load() != 0 || r.idle.Load() != 0 || !r.empty() {
		t.Errorf("after release %d are open, %d idle", r.open.Load(), r.idle.Load())
	}
	n.Sweep()
	if len(n.rooms) != 0 {
		t.Error("the room is kept")
	}
}
