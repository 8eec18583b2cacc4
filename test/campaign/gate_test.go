package campaign

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
)

const (
	stallFor = 5 * time.Second       // at most; whoever waits is to leave before
	openFor  = 2 * time.Second       // on the average, between two times that a gate is shut
	shutFor  = 30 * time.Millisecond // at most
	sessions = 1300                  // bytes to a client in which a handshake is not over
)

// end is how a gate ends a connection.
type end uint8

const (
	reset end = iota
	closed
	silence
)

func (e end) String() string { return [...]string{"reset", "closed", "silent"}[e] }

// gate stands before a far side, passes bytes, and fails at random: it is shut, resets what it has accepted, or ends a
// connection, in one of three ways, after a number of bytes that may lie within the handshake or anywhere after it.
type gate struct {
	port   int
	behind string
	dice   *rand.Rand
	faults *tally
	stop   context.CancelFunc
	ends   sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

func newGate(t *testing.T, behind string, dice *rand.Rand, faults *tally) *gate {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g := &gate{port: testkit.Ports(t, 1)[0], behind: behind, dice: dice, faults: faults, stop: stop, open: map[net.Conn]bool{}}
	listener, err := g.listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	g.ends.Go(func() { g.serve(ctx, listener) })
	t.Cleanup(g.close)
	return g
}

func (g *gate) listen(ctx context.Context) (*net.TCPListener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: g.port}).String())
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

func (g *gate) close() {
	g.stop()
	g.mu.Lock()
	for c := range g.open {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.ends.Wait()
}

// serve accepts, and is shut for a while again and again.
func (g *gate) serve(ctx context.Context, listener *net.TCPListener) {
	for ctx.Err() == nil {
		until := time.Now().Add(time.Duration(g.dice.ExpFloat64() * float64(openFor)))
		g.accept(ctx, listener, until)
		_ = listener.Close()
		select {
		case <-time.After(rand.N(shutFor)):
		case <-ctx.Done():
			return
		}
		g.faults.add("the port is shut for a moment")
		for listener = nil; listener == nil && ctx.Err() == nil; {
			listener, _ = g.listen(ctx) // the port is ours as soon as it is free
		}
	}
}

func (g *gate) accept(ctx context.Context, listener *net.TCPListener, until time.Time) {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	_ = listener.SetDeadline(until)
	for {
		near, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		allowance, way := g.draw()
		if allowance == 0 {
			_ = near.SetLinger(0)
			_ = near.Close()
			continue
		}
		far, err := net.Dial("tcp", g.behind) //nolint:noctx // loopback: it is there, or the campaign is over
		if err != nil {
			_ = near.Close()
			return
		}
		g.keep(near, far)
		g.ends.Go(func() {
			g.pass(ctx, near, far.(*net.TCPConn), allowance, way)
			g.drop(near, far)
		})
	}
}

// draw says after how many bytes a connection ends, and how.
func (g *gate) draw() (allowance int64, way end) {
	way = end(g.dice.IntN(2)) // silence costs time
	if g.dice.IntN(5) == 0 {
		way = silence
	}
	switch n := g.dice.IntN(100); {
	case n < 5:
		g.faults.add("a connection is reset before the handshake")
		return 0, way
	case n < 12:
		g.faults.add("the handshake breaks off: " + way.String())
		return 1 + g.dice.Int64N(sessions), way
	}
	g.faults.add("a connection ends anywhere: " + way.String())
	return int64(math.Exp(math.Log(4<<10) + g.dice.Float64()*(math.Log(400<<10)-math.Log(4<<10)))), way
}

// pass carries bytes both ways until the allowance is used up, by either, or until either side ends.
func (g *gate) pass(ctx context.Context, near, far *net.TCPConn, allowance int64, way end) {
	left := &atomic.Int64{}
	left.Store(allowance)
	over := make(chan bool, 2) // whether the allowance is what ended it
	copyBytes := func(to, from *net.TCPConn) {
		buffer := make([]byte, 16<<10)
		for {
			n, err := from.Read(buffer)
			rest := left.Add(-int64(n)) + int64(n)
			if _, wrong := to.Write(buffer[:max(0, min(int64(n), rest))]); wrong != nil {
				err = wrong
			}
			if rest <= int64(n) {
				over <- true
				return
			}
			if err != nil {
				over <- false
				return
			}
		}
	}
	g.ends.Go(func() { copyBytes(far, near) })
	g.ends.Go(func() { copyBytes(near, far) })
	if !<-over {
		return
	}
	switch way {
	case reset:
		_ = near.SetLinger(0)
	case silence:
		select {
		case <-time.After(stallFor):
		case <-ctx.Done():
		}
	case closed:
		_ = near.CloseWrite()
		_ = near.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, near) // unread bytes would make it a reset
	}
}

func (g *gate) keep(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		g.open[c] = true
	}
}

func (g *gate) drop(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		delete(g.open, c)
		_ = c.Close()
	}
}
