package gather

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a connection whose writes wait to be let through.
type gate struct {
	net.Conn
	begun  chan int // sizes of writes
	let    chan error
	late   chan struct{}
	closed chan struct{}
	once   sync.Once
	reads  time.Duration // that reads may take
	out    bytes.Buffer
}

func newGate() *gate {
	return &gate{begun: make(chan int), let: make(chan error), late: make(chan struct{}), closed: make(chan struct{})}
}

func (g *gate) Write(p []byte) (int, error) {
	g.begun <- len(p)
	select {
	case err := <-g.let:
		if err != nil {
			return 0, err
		}
		return g.out.Write(p)
	case <-g.late:
		return 0, os.ErrDeadlineExceeded
	case <-g.closed:
		return 0, net.ErrClosed
	}
}

func (g *gate) SetReadDeadline(t time.Time) error {
	g.reads = time.Until(t)
	return nil
}

func (g *gate) SetWriteDeadline(t time.Time) error {
	time.AfterFunc(time.Until(t), func() { close(g.late) })
	return nil
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return nil
}

var errLost = errors.New("lost")

const farewell = 100 * time.Millisecond

// in runs f with a connection on which something was written, and its gate, where time passes once all wait.
func in(t *testing.T, f func(t *testing.T, c *Conn, g *gate, gone chan struct{})) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g, gone := newGate(), make(chan struct{})
		c := New(g, farewell, func() { close(gone) })
		go func() { <-g.begun; g.let <- nil }()
		put(t, c, "!")
		f(t, c, g, gone)
	})
}

func put(t *testing.T, c *Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("wrote %d of %q: %v", n, text, err)
	}
}

// late writes what has to wait.
func late(t *testing.T, c *Conn, text string) (wrote chan error) {
	t.Helper()
	wrote = make(chan error, 1)
	go func() { _, err := c.Write([]byte(text)); wrote <- err }()
	synctest.Wait()
	select {
	case err := <-wrote:
		t.Errorf("did not wait: %v", err)
		wrote <- err
	default:
	}
	return wrote
}

func closes(t *testing.T, c *Conn) {
	t.Helper()
	begun := time.Now()
	if err := c.Close(); err != nil || time.Since(begun) != 0 {
		t.Errorf("closed after %v: %v", time.Since(begun), err)
	}
}

func is(t *testing.T, wrote chan error, want error) {
	t.Helper()
	if err := <-wrote; !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

// What is written while a write is under way goes out with the next one, in order; and what waits for that when it is closed.
func TestGathers(t *testing.T) {
	in(t, func(t *testing.T, c *Conn, g *gate, gone chan struct{}) {
		put(t, c, "a")
		if n := <-g.begun; n != 1 {
			t.Errorf("%d bytes are written first", n)
		}
		for _, piece := range []string{"b", "cd", "", "e"} {
			put(t, c, piece)
		}
		if err := c.SetDeadline(time.Now().Add(-time.Second)); err != nil { // as crypto/tls does
			t.Error(err)
		}
		closes(t, c)
		if _, err := c.Write([]byte("f")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		g.let <- nil
		if n := <-g.begun; n != 4 {
			t.Errorf("%d bytes are written then", n)
		}
		select {
		case <-gone:
			t.Error("gone while it is written to")
		default:
		}
		g.let <- nil
		<-gone
		<-g.closed
		if got := g.out.String(); got != "!abcde" {
			t.Errorf("%q went out", got)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// The first write tells what became of it: a connection that was never one is not taken for one.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, gone := newGate(), make(chan struct{})
		c := New(g, farewell, func() { close(gone) })
		wrote := late(t, c, "!")
		<-g.begun
		g.let <- errLost
		is(t, wrote, errLost)
		closes(t, c)
		<-gone
	})
}

// As much waits as may, and no more; but who closes does not wait.
func TestBound(t *testing.T) {
	in(t, func(t *testing.T, c *Conn, g *gate, gone chan struct{}) {
		put(t, c, "a")
		<-g.begun
		put(t, c, string(make([]byte, most)))
		wrote := late(t, c, "b")
		g.let <- nil
		if n := <-g.begun; n != most {
			t.Errorf("%d bytes are written", n)
		}
		is(t, wrote, nil)
		put(t, c, string(make([]byte, most-1)))
		wrote = late(t, c, "c")
		if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		is(t, wrote, nil)
		put(t, c, "d")
		if err := c.SetWriteDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		wrote = late(t, c, "e")
		g.let <- nil
		if n := <-g.begun; n != most+2 {
			t.Errorf("%d bytes are written", n)
		}
		is(t, wrote, nil)
		g.let <- nil
		<-g.begun
		g.let <- nil
		synctest.Wait()
		closes(t, c)
		<-gone
	})
}

// What is large is written from where it is, and what is written meanwhile after it.
func TestLarge(t *testing.T) {
	in(t, func(t *testing.T, c *Conn, g *gate, gone chan struct{}) {
		big := strings.Repeat("x", 2*most)
		wrote := late(t, c, big)
		if n := <-g.begun; n != len(big) {
			t.Errorf("%d bytes are written", n)
		}
		put(t, c, "y")
		g.let <- nil
		is(t, wrote, nil)
		<-g.begun
		wrote = late(t, c, big)
		g.let <- nil
		<-g.begun
		closes(t, c)
		g.let <- nil
		is(t, wrote, nil)
		<-gone
		if want := "!" + big + "y" + big; g.out.String() != want {
			t.Errorf("%d bytes went out, want %d, or others", g.out.Len(), len(want))
		}
	})
}

// A write that fails frees who waits for room, and is told to who writes next; what has come can be read for a moment.
func TestFails(t *testing.T) {
	in(t, func(t *testing.T, c *Conn, g *gate, gone chan struct{}) {
		put(t, c, "a")
		<-g.begun
		put(t, c, string(make([]byte, most)))
		wrote := late(t, c, "b")
		g.let <- errLost
		is(t, wrote, errLost)
		if _, err := c.Write([]byte("c")); !errors.Is(err, errLost) {
			t.Error(err)
		}
		select {
		case <-gone:
			t.Error("gone before it was closed")
		case <-g.closed:
			t.Error("closed for who reads")
		default:
		}
		if g.reads != lastReads {
			t.Errorf("reads may take %v", g.reads)
		}
		closes(t, c)
		<-gone
		<-g.closed
	})
}

// A peer that does not read holds up neither the close nor, for longer than it has, the connection.
func TestFarewell(t *testing.T) {
	in(t, func(t *testing.T, c *Conn, g *gate, gone chan struct{}) {
		put(t, c, "a")
		<-g.begun
		put(t, c, "b")
		begun := time.Now()
		closes(t, c)
		if g.reads >= 0 {
			t.Errorf("reads may take %v", g.reads)
		}
		<-gone
		if d := time.Since(begun); d != farewell {
			t.Errorf("gone after %v", d)
		}
	})
}

// A connection that is cut is closed at once, whether it was told to close before or not.
func TestCut(t *testing.T) {
	f := func(before func(c *Conn, g *gate)) {
		t.Helper()
		in(t, func(t *testing.T, c *Conn, g *gate, gone chan struct{}) {
			before(c, g)
			begun := time.Now()
			c.Cut()
			<-gone
			if d := time.Since(begun); d != 0 {
				t.Errorf("gone after %v", d)
			}
			if _, err := c.Write([]byte("c")); err == nil {
				t.Error("was written")
			}
			c.Cut()
		})
	}
	f(func(*Conn, *gate) {})
	f(func(c *Conn, g *gate) { put(t, c, "a"); <-g.begun })
	f(func(c *Conn, g *gate) { put(t, c, "a"); <-g.begun; closes(t, c) })
}

// sockets are the two ends of a connection.
func sockets(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// Pieces of many goroutines reach the far end of a socket whole.
func TestMany(t *testing.T) {
	near, far := sockets(t)
	defer far.Close()
	const writers, rounds = 8, 200
	gone := make(chan struct{})
	c := New(near, time.Minute, func() { close(gone) })
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for n := range rounds {
				piece := bytes.Repeat([]byte{byte('a' + i)}, 1+n*n%(2*large))
				piece[len(piece)-1] = '\n'
				if _, err := c.Write(piece); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { all.Wait(); _ = c.Close() }()
	got, err := io.ReadAll(far)
	if err != nil {
		t.Error(err)
	}
	<-gone
	seen := map[byte]int{}
	for piece := range bytes.SplitSeq(bytes.TrimSuffix(got, []byte("\n")), []byte("\n")) {
		if len(piece) == 0 {
			seen[0]++
			continue
		}
		if n := seen[piece[0]]; len(bytes.Trim(piece, string(piece[:1]))) > 0 {
			t.Fatalf("piece %d of %c is torn: %.50q", n, piece[0], piece)
		}
		seen[piece[0]]++
	}
	pieces := 0
	for _, n := range seen {
		pieces += n
	}
	if pieces != writers*rounds {
		t.Errorf("%d pieces came, want %d", pieces, writers*rounds)
	}
}

func BenchmarkWrite(b *testing.B) {
	near, far := sockets(b)
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(io.Discard, far); _ = far.Close() }()
	for name, c := range map[string]net.Conn{"gathered": New(near, farewell, nil), "each": near} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			piece := make([]byte, 100)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Write(piece); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	_ = near.Close()
	<-read
}
