package dial

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

func TestReuseIsLastInFirstOut(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.prepare(t, n.config(far, nil))
	a, b := n.get(t, target), n.get(t, target)
	ping(t, a)
	ping(t, b)
	if a.Reused() || b.Reused() {
		t.Error("a new connection says it was used before")
	}
	a.Put()
	b.Put()
	b.Put() // the second says nothing more
	if c := n.get(t, target); c != b || !c.Reused() {
		t.Error("not the last one put back")
	}
	if c := n.get(t, target); c != a {
		t.Error("not the one before")
	}
	if c := n.get(t, target); c == a || c == b {
		t.Error("a connection was lent twice")
	}
}

func TestDeadConnectionsAreNotReused(t *testing.T) {
	authority := newAuthority(t)
	secure := authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}})
	old := secure.Clone()
	old.MaxVersion = tls.VersionTLS12
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS 1.3": secure, "TLS 1.2": old} {
		f := func(what string, alive bool, after func(t *testing.T, far *far, c *Conn)) {
			t.Run(name+" "+what, func(t *testing.T) {
				far, n := serve(t, "127.0.0.1:0", config), dialer(t)
				var setting *TLS
				if config != nil {
					setting = authority.setting(t, nil)
				}
				target := n.prepare(t, n.config(far, setting))
				c := n.get(t, target)
				after(t, far, c)
				c.Put()
				if again := n.get(t, target); (again == c) != alive {
					t.Errorf("reused: %t, want %t", again == c, alive)
				}
			})
		}
		f("alive", true, func(t *testing.T, _ *far, c *Conn) { ping(t, c) })
		f("closed", false, func(t *testing.T, far *far, c *Conn) {
			ping(t, c)
			far.hangUp()
			readable(t, c)
		})
		f("unasked words", false, func(t *testing.T, far *far, c *Conn) {
			said := make(chan struct{})
			far.pong = func(conn net.Conn) {
				pong(conn)
				conn.(interface{ NetConn() net.Conn }).NetConn().(*batch).flush()
				<-said
				_, _ = io.WriteString(conn, "more\n")
			}
			if setting := c.tls; setting == nil {
				far.pong = func(conn net.Conn) {
					pong(conn)
					conn.(*batch).flush()
					<-said
					_, _ = io.WriteString(conn, "more\n")
				}
			}
			ping(t, c)
			close(said)
			readable(t, c)
		})
		f("unasked words in the same segment", false, func(t *testing.T, far *far, c *Conn) {
			far.pong = func(conn net.Conn) { pong(conn); pong(conn) }
			read5(t, c, 5)
		})
		f("unasked words in the same record", false, func(t *testing.T, far *far, c *Conn) {
			far.pong = func(conn net.Conn) { _, _ = io.WriteString(conn, "pong\npong\n") }
			read5(t, c, 5)
		})
		if config == nil {
			continue
		}
		f("unasked record behind a short read", false, func(t *testing.T, far *far, c *Conn) {
			far.pong = func(conn net.Conn) { pong(conn); pong(conn) }
			read5(t, c, 64) // room for more, yet crypto/tls gives one record
		})
		f("exact read", true, func(t *testing.T, _ *far, c *Conn) { read5(t, c, 5) })
		f("end in the same segment", false, func(t *testing.T, far *far, c *Conn) {
			far.pong = func(conn net.Conn) { pong(conn); _ = conn.(*tls.Conn).CloseWrite() }
			read5(t, c, 5)
		})
	}
}

// read5 is one exchange whose answer is read with so much room, once.
func read5(t *testing.T, c *Conn, room int) {
	t.Helper()
	if _, err := io.WriteString(c, "ping\n"); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, room)
	if n, err := c.Read(buffer); n != 5 || err != nil && err != io.EOF {
		t.Fatalf("read %d bytes, %v", n, err)
	}
}

func TestBrokenConnectionIsNotPutBack(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.prepare(t, n.config(far, nil))
	c := n.get(t, target)
	ping(t, c)
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("a read beyond its deadline")
	}
	c.Put() // a deadline alone breaks nothing, and does not outlive the use
	if again := n.get(t, target); again != c {
		t.Fatal("not reused after a deadline")
	}
	ping(t, c)
	far.hangUp()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from a closed connection")
	}
	c.Put()
	if len(target.pool.idle) != 0 {
		t.Error("a broken connection is in the pool")
	}
}

func TestIdleTime(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.prepare(t, n.config(far, nil))
	a, b, kept := n.get(t, target), n.get(t, target), n.get(t, target)
	b.KeepAlive(5 * time.Second)
	for _, c := range []*Conn{a, b, kept} {
		ping(t, c)
	}
	kept.Put()
	b.Put()
	n.offset.Store(int64(4 * time.Second))
	if c := n.get(t, target); c != kept {
		t.Error("a connection was reused that its far side is about to close")
	}
	receive(t, "end of b", far.ended)
	a.Put()
	kept.Put()
	n.offset.Add(int64(idleLimit))
	n.Sweep()
	receive(t, "end of a", far.ended)
	receive(t, "end of kept", far.ended)
}

func TestSweepFindsTheDead(t *testing.T) {
	far, n := serve(t, "127.0.0.1:0", nil), dialer(t)
	target := n.prepare(t, n.config(far, nil))
	c := n.get(t, target)
	ping(t, c)
	far.hangUp()
	readable(t, c)
	c.Put()
	n.Sweep()
	if len(target.pool.idle) != 0 || !c.closed.Load() {
		t.Error("a dead connection survived the sweep")
	}
}

// TestRotation replaces roots: a new table's target has a new pool, and the old one's idle connections end with it.
func TestRotation(t *testing.T) {
	authority := newAuthority(t)
	far, n := serve(t, "127.0.0.1:0", authority.server(t, ca.Leaf{DNSNames: []string{"api.test"}})), dialer(t)
	before := n.prepare(t, n.config(far, authority.setting(t, nil)))
	same := n.prepare(t, n.config(far, authority.setting(t, nil)))
	idle, busy := n.get(t, before), n.get(t, before)
	ping(t, idle)
	idle.Put()
	before.Release()
	before.Release() // once is enough
	if c := n.get(t, same); c != idle {
		t.Error("an unchanged setting lost its connections in a rebuild")
	}
	idle.Put()

	authority.object("Secret/ai/next", "ca.crt", newAuthority(t).PEM())
	after := n.prepare(t, n.config(far, authority.setting(t, func(s *plan.TLS) { s.Roots = append(s.Roots, "Secret/ai/next") })))
	if c := n.get(t, after); c == idle || c.Reused() || c.TLS().DidResume {
		t.Error("a changed setting took over a connection or a session")
	}
	same.Release()
	receive(t, "end of the idle connection", far.ended)
	ping(t, busy)
	busy.Put()
	receive(t, "end of the one in use", far.ended)
	if len(n.pools) != 1 {
		t.Errorf("%d pools, want 1", len(n.pools))
	}
	late := n.get(t, same) // a request that still runs on the old table
	ping(t, late)
	late.Put()
	receive(t, "end of the late one", far.ended)
}

func TestWildcard(t *testing.T) {
	authority := newAuthority(t)
	far, n := serve(t, "127.0.0.1:0", authority.server(t, ca.Leaf{DNSNames: []string{"*.api.test"}})), dialer(t)
	setting := authority.setting(t, func(s *plan.TLS) { s.Hostname = "" })
	n.pin("a.api.test", "127.0.0.1")
	n.pin("b.api.test", "127.0.0.1")
	c := n.config(far, setting)
	c.Hostname = "*.api.test"
	wild := n.prepare(t, c)
	if _, err := n.Get(t.Context(), wild, Want{}); err == nil {
		t.Error("a wildcard was dialled")
	}
	for _, name := range []string{"api.test", ".api.test", "a.api.test.evil.test", "aapi.test", "*.api.test", ""} {
		if _, err := wild.Host(name); err == nil {
			t.Errorf("%q is taken for a name below *.api.test", name)
		}
	}
	one := func(name string) *Target {
		t.Helper()
		target, err := wild.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	a := n.get(t, one("a.api.test"))
	ping(t, a)
	if a.TLS().ServerName != "a.api.test" {
		t.Errorf("server name %s", a.TLS().ServerName)
	}
	a.Put()
	if b := n.get(t, one("b.api.test")); b == a || b.TLS().ServerName != "b.api.test" {
		t.Error("a connection of another name")
	}
	if again := n.get(t, one("a.api.test")); again != a {
		t.Error("not reused")
	}
	a.Put()
	for i := range maxHosts {
		n.offset.Add(1)
		one(fmt.Sprintf("n%d.api.test", i))
	}
	if len(wild.pool.hosts) != maxHosts {
		t.Errorf("%d pools, want %d", len(wild.pool.hosts), maxHosts)
	}
	receive(t, "end of the longest unused", far.ended)
	b := n.get(t, one("b.api.test"))
	ping(t, b)
	b.Put()
	wild.Release()
	receive(t, "end of the rest", far.ended)
}

func TestRecords(t *testing.T) {
	record := func(n int) []byte { return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...) }
	one, two := record(300), record(7)
	f := func(border, ahead bool, reads ...[]byte) {
		t.Helper()
		var r records
		for _, b := range reads {
			r.pass(b)
		}
		if r.border() != border || r.ahead != ahead {
			t.Errorf("border %t, ahead %t; want %t, %t", r.border(), r.ahead, border, ahead)
		}
	}
	f(true, false)
	f(true, false, one)
	f(true, false, one[:3], one[3:5], one[5:])
	f(false, false, one[:5])
	f(true, true, append(one[:len(one):len(one)], two...))
	f(false, true, append(one[:len(one):len(one)], two[:4]...))
	f(true, false, append(one[:len(one):len(one)], two[:4]...), two[4:])
	f(true, false, record(0))
	f(true, false, one, two)
}
