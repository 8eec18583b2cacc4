package attacks

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// faker is a far side on a raw socket.
type faker struct {
	address string
	more    chan struct{} // asks for what comes later, and tells that it was written

	mu    sync.Mutex
	conns int
	on    map[string][]int // which connections a path was asked for on
}

// fakeConn is one of its connections.
type fakeConn struct {
	net.Conn
	fake   *faker
	number int
}

// fake starts a far side that has each connection to itself.
func fake(t *testing.T, serve func(*fakeConn)) *faker {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	f := &faker{address: l.Addr().String(), more: make(chan struct{}), on: map[string][]int{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns++
			conn := &fakeConn{Conn: c, fake: f, number: f.conns}
			f.mu.Unlock()
			stop := context.AfterFunc(t.Context(), func() { _ = c.Close() })
			running.Go(func() {
				defer stop()
				defer func() { _ = c.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return f
}

// asked notes that a path was asked for, and tells whether it is an attack's, and which one's.
func (c *fakeConn) asked(path string) (id int, attack bool) {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	c.fake.on[path] = append(c.fake.on[path], c.number)
	digits, attack := strings.CutPrefix(path, "/a")
	id, err := strconv.Atoi(digits)
	return id, attack && err == nil
}

// check asks for an attack, and then as another client for a canary. kept says that the attack's connection may carry it,
// and again that the attack may be asked for a second time.
func (f *faker) check(t *testing.T, g *gateway, name string, id int, want string, kept, again bool, ask func(context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f.mu.Lock()
	clear(f.on)
	f.mu.Unlock()
	if got := ask(ctx); got != want {
		t.Errorf("%s: the client sees %.300q, want %q", name, got, want)
	}
	other := g.dial(t, g.plain)
	defer other.Close()
	_, err := io.WriteString(other, marked(canary, host, id))
	check(t, err)
	if got := answers(bufio.NewReader(other), []string{canaryOf(id)}); got[0] != canaryOf(id) {
		t.Errorf("%s: the next client is answered %q", name, got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	attacked, after := f.on[marked("/attack", host, id)], f.on[marked("/canary", host, id)]
	if len(attacked) != 1 && !again || !kept && slices.Contains(after, attacked[0]) {
		t.Errorf("%s: asked for on the connections %v, and the next on %v", name, attacked, after)
	}
}
