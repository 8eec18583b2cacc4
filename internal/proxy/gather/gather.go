// Package gather makes few large writes of many small ones: net/http writes each frame of each HTTP/2 stream by itself, and
// a write to a socket costs more than all else that a frame does.
package gather

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	most      = 8 << 10     // bytes that wait while others are written
	large     = 4 << 10     // is written without waiting, where nothing waits
	lastReads = time.Second // of what has come, once nothing can be written any more
)

var rooms = sync.Pool{New: func() any { return new([most]byte) }}

// Conn is a connection whose Write waits for room, not for the peer: what it takes is written once all who could have written
// more have had their turn. The first Write alone tells whether it was written; where a later one was not, the next says why,
// and reads fail soon.
type Conn struct {
	net.Conn
	farewell time.Duration
	gone     func()
	flush    func() // the method, made a value once: a goroutine of it then costs no allocation

	mu      sync.Mutex
	calm    sync.Cond // something was written
	room    *[most]byte
	held    []byte // waits, in room
	begun   bool   // something was written
	busy    bool   // somebody writes, or is about to
	hurried bool   // there is a deadline
	ended   bool   // Close was called
	err     error
}

// New gathers what is written to a connection. Once it is closed, what waits has the time of farewell to be written; then gone
// is called, if that is not nil.
func New(c net.Conn, farewell time.Duration, gone func()) *Conn {
	g := &Conn{Conn: c, farewell: farewell, gone: gone}
	g.calm.L, g.flush = &g.mu, g.writeHeld
	return g
}

// Write implements net.Conn.
func (g *Conn) Write(p []byte) (int, error) {
	g.mu.Lock()
	n, over, err := g.take(p)
	g.mu.Unlock()
	if over {
		_ = g.end()
	}
	return n, err
}

func (g *Conn) take(p []byte) (n int, over bool, err error) {
	for g.busy && len(g.held)+len(p) > most && g.err == nil && !g.hurried {
		g.calm.Wait()
	}
	switch {
	case g.err != nil:
		return 0, false, g.err
	case g.ended:
		return 0, false, net.ErrClosed
	case !g.busy && (len(p) >= large || !g.begun):
		g.busy, g.begun = true, true
		n, err = g.write(p)
		if len(g.held) > 0 && err == nil {
			go g.flush()
			return n, false, nil
		}
		return n, g.rest(), err
	}
	if g.room == nil {
		g.room = rooms.Get().(*[most]byte)
		g.held = g.room[:0]
	}
	g.held = append(g.held, p...)
	if !g.busy {
		g.busy = true
		go g.flush()
	}
	return len(p), false, nil
}

func (g *Conn) writeHeld() {
	runtime.Gosched()
	g.mu.Lock()
	for len(g.held) > 0 && g.err == nil {
		room, held := g.room, g.held
		g.room, g.held = nil, nil
		_, _ = g.write(held)
		rooms.Put(room)
	}
	over := g.rest()
	g.mu.Unlock()
	if over {
		_ = g.end()
	}
}

// write lets others write to what is held meanwhile. Where it fails, what has come can still be read: it may say why.
func (g *Conn) write(p []byte) (int, error) {
	g.mu.Unlock()
	n, err := g.Conn.Write(p)
	g.mu.Lock()
	g.calm.Broadcast()
	if err != nil {
		g.err = err
		if !g.ended {
			_ = g.SetReadDeadline(time.Now().Add(lastReads))
		}
	}
	return n, err
}

// rest is the end of writing, for now, and tells whether it is for ever.
func (g *Conn) rest() (over bool) {
	g.busy = false
	g.calm.Broadcast()
	return g.ended
}

func (g *Conn) end() error {
	err := g.Conn.Close()
	if g.gone != nil {
		g.gone()
	}
	return err
}

// Close ends the connection at once for who reads, and for the peer as soon as what waits is written, or cannot be in time. It
// does not wait for that.
func (g *Conn) Close() error {
	g.mu.Lock()
	busy, ended := g.busy, g.ended
	g.ended = true
	g.mu.Unlock()
	switch {
	case ended:
		return net.ErrClosed
	case !busy:
		return g.end()
	}
	_ = g.SetReadDeadline(time.Unix(1, 0))
	return g.Conn.SetWriteDeadline(time.Now().Add(g.farewell))
}

// Cut closes the connection at once for the peer too: what waits is lost.
func (g *Conn) Cut() {
	_ = g.Conn.Close()
	_ = g.Close()
}

// SetDeadline implements net.Conn.
func (g *Conn) SetDeadline(t time.Time) error {
	_ = g.SetWriteDeadline(t)
	return g.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. While there is one, no Write waits, which is all that it does: crypto/tls sets one for its
// last words, and another, which has passed, when those may still be held.
func (g *Conn) SetWriteDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hurried = !t.IsZero()
	g.calm.Broadcast()
	return nil
}
