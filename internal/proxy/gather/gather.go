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
	most     = 16 << 10               // bytes that wait while others are written
	large    = 8 << 10                // is written without waiting, where nothing waits
	farewell = 100 * time.Millisecond // for what waits to be written, once the connection is closed
)

var rooms = sync.Pool{New: func() any { return new([most]byte) }}

// Conn is a connection whose Write waits for room, not for the peer: what it takes is written once all who could have written
// more have had their turn. Where that fails the connection is closed, and the next Write says why. Deadlines bound reads
// alone.
type Conn struct {
	net.Conn
	gone  func()
	flush func() // the method, made a value once: a goroutine of it then costs no allocation

	mu    sync.Mutex
	calm  sync.Cond // something was written
	room  *[most]byte
	held  []byte // waits, in room
	busy  bool   // somebody writes, or is about to
	ended bool   // Close was called
	err   error
}

// New gathers what is written to a connection. It calls gone, if that is not nil, once after Close, when nothing is written
// any more.
func New(c net.Conn, gone func()) *Conn {
	g := &Conn{Conn: c, gone: gone}
	g.calm.L, g.flush = &g.mu, g.writeHeld
	return g
}

// Write implements net.Conn.
func (g *Conn) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.busy && len(g.held)+len(p) > most && g.err == nil {
		g.calm.Wait()
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case g.ended:
		return 0, net.ErrClosed
	case !g.busy && len(p) >= large:
		g.busy = true
		n, err := g.write(p)
		if len(g.held) > 0 && err == nil {
			go g.flush()
		} else {
			g.rest()
		}
		return n, err
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
	return len(p), nil
}

func (g *Conn) writeHeld() {
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.held) > 0 && g.err == nil {
		room, held := g.room, g.held
		g.room, g.held = nil, nil
		_, _ = g.write(held)
		rooms.Put(room)
	}
	g.rest()
}

// write lets others write to what is held meanwhile.
func (g *Conn) write(p []byte) (int, error) {
	g.mu.Unlock()
	n, err := g.Conn.Write(p)
	g.mu.Lock()
	g.calm.Broadcast()
	if err != nil {
		g.err = err
		_ = g.Conn.Close() // so that who reads finds out
	}
	return n, err
}

// rest is the end of writing, for now.
func (g *Conn) rest() {
	g.busy = false
	g.calm.Broadcast()
	if g.ended {
		_ = g.end()
	}
}

func (g *Conn) end() error {
	err := g.Conn.Close()
	if g.gone != nil {
		g.gone()
	}
	return err
}

// Close ends the connection at once for who reads, and as soon as what waits is written, or cannot be for a moment, for the
// peer. It does not wait for that.
func (g *Conn) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.ended:
		return net.ErrClosed
	case !g.busy:
		g.ended = true
		return g.end()
	}
	g.ended = true
	_ = g.SetReadDeadline(time.Unix(1, 0))
	return g.Conn.SetWriteDeadline(time.Now().Add(farewell))
}

// SetDeadline implements net.Conn.
func (g *Conn) SetDeadline(t time.Time) error { return g.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn: crypto/tls sets one that has passed before it closes, when its last words may still
// wait.
func (g *Conn) SetWriteDeadline(time.Time) error { return nil }
