package accept

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
)

// Sizes of the buffers that answers pass through.
const (
	roomSize = 16 << 10 // body bytes at a time: a TLS record
	joinMax  = 4 << 10  // body bytes that are copied behind the head rather than written apart
)

// LeanRoom is how much a lean Room holds.
const LeanRoom = 1 << 10

// ErrClient is a failure to write to the client.
var ErrClient = errors.New("write to client")

var (
	heads = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}
	rooms = sync.Pool{New: func() any { return newRoom(roomSize) }}
	leans = sync.Pool{New: func() any { return newRoom(LeanRoom) }}
)

func newRoom(size int) *[]byte {
	b := make([]byte, http1.ChunkBefore+size+http1.ChunkAfter)
	return &b
}

// takeRoom is a room of either size in the place of the one at hand, if there is one.
func takeRoom(room **[]byte, lean bool) []byte {
	size, from := roomSize, &rooms
	if lean {
		size, from = LeanRoom, &leans
	}
	size += http1.ChunkBefore + http1.ChunkAfter
	if *room == nil || len(**room) != size {
		giveRoom(room)
		*room = from.Get().(*[]byte)
	}
	return inside(*room)
}

// inside is the room between what frames a chunk.
func inside(room *[]byte) []byte { return (*room)[http1.ChunkBefore : len(*room)-http1.ChunkAfter] }

func giveRoom(room **[]byte) {
	switch {
	case *room == nil:
		return
	case len(inside(*room)) == LeanRoom:
		leans.Put(*room)
	default:
		rooms.Put(*room)
	}
	*room = nil
}

// writer is the state of the answer that goes out.
type writer struct {
	head    *[]byte
	room    *[]byte
	parts   [2][]byte
	vector  net.Buffers // of parts
	framing http1.Framing
	left    int64 // of a counted body
	begun   bool
	ended   bool
	broken  bool // the answer cannot be completed
}

func (w *writer) reset() { *w = writer{head: w.head, room: w.room}; w.release() }

func (w *writer) release() {
	w.releaseHead()
	giveRoom(&w.room)
}

func (w *writer) releaseHead() {
	if w.head != nil {
		heads.Put(w.head)
		w.head = nil
	}
}

// Begun reports whether the head of the answer has gone out.
func (c *Conn) Begun() bool { return c.writer.begun }

// Ended reports whether the answer is complete.
func (c *Conn) Ended() bool { return c.writer.ended }

// Continue tells a client that waits for it to send its body (RFC 9110, section 10.1.1).
func (c *Conn) Continue() error {
	if !c.reader.ExpectContinue() || len(c.reader.Buffered()) > 0 || c.writer.begun {
		return nil
	}
	return c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
}

// Inform passes an interim answer on, to clients that know such (RFC 9110, section 15.2).
func (c *Conn) Inform(r *exchange.Response) error {
	if c.X.Request.Version == exchange.HTTP10 {
		return nil
	}
	head, _, err := http1.AppendResponse(c.takeHead(), r, c.recipient(), http1.AsIs)
	if err != nil {
		return err
	}
	return c.write(head)
}

func (c *Conn) recipient() http1.Recipient {
	return http1.Recipient{Method: c.X.Request.Method, Version: c.X.Request.Version}
}

func (c *Conn) takeHead() []byte {
	if c.writer.head == nil {
		c.writer.head = heads.Get().(*[]byte)
	}
	return (*c.writer.head)[:0]
}

// Begin writes the answer's head and with it the first bytes of its body; whole says that they are all of it.
func (c *Conn) Begin(r *exchange.Response, body []byte, whole bool) error {
	connection := http1.AsIs
	switch {
	case r.Status == http.StatusSwitchingProtocols:
		c.last = true // the connection is the other protocol's from here on
	case c.ending():
		connection = http1.Close
	case c.X.Request.Version == exchange.HTTP10:
		connection = http1.KeepAlive
	}
	head, framing, err := http1.AppendResponse(c.takeHead(), r, c.recipient(), connection)
	if err != nil {
		return err
	}
	w := &c.writer
	w.framing, w.left = framing, r.Length
	if framing == http1.UntilClose {
		c.last = true
	}
	if framing == http1.NoBody {
		body, whole = nil, true
	}
	w.begun = true
	switch {
	case len(body) <= joinMax:
		head = c.frame(head, body)
		if whole && framing == http1.Chunks {
			if head, err = http1.AppendLastChunk(head, nil); err != nil {
				return err
			}
		}
		err = c.write(head)
		*w.head = head
	case framing != http1.Chunks && !c.Secure:
		err = c.writeBoth(head, body)
	default:
		if err = c.write(head); err == nil {
			err = c.sendApart(body, whole)
		}
	}
	if err != nil {
		return err
	}
	w.releaseHead()
	c.X.FirstByte = time.Since(c.X.Start)
	c.X.BytesOut += int64(len(body))
	return c.count(int64(len(body)), whole)
}

// frame appends body bytes as the framing has them.
func (c *Conn) frame(dst, body []byte) []byte {
	if c.writer.framing == http1.Chunks {
		return http1.AppendChunk(dst, body)
	}
	return append(dst, body...)
}

// sendApart writes body bytes that stand in no room of ours.
func (c *Conn) sendApart(body []byte, whole bool) error {
	if c.writer.framing != http1.Chunks {
		return c.write(body)
	}
	framed := http1.AppendChunk(c.takeHead(), body)
	if whole {
		var err error
		if framed, err = http1.AppendLastChunk(framed, nil); err != nil {
			return err
		}
	}
	*c.writer.head = framed
	return c.write(framed)
}

// Room implements Client.
func (c *Conn) Room(lean bool) []byte { return takeRoom(&c.writer.room, lean) }

// Send writes the first n bytes of the room.
func (c *Conn) Send(n int) error {
	if n == 0 || c.writer.framing == http1.NoBody {
		return nil
	}
	out := inside(c.writer.room)[:n]
	if c.writer.framing == http1.Chunks {
		out = http1.FrameChunk(*c.writer.room, n)
	}
	if err := c.write(out); err != nil {
		return err
	}
	c.X.BytesOut += int64(n)
	return c.count(int64(n), false)
}

// End completes the answer, with trailers where the client can take them.
func (c *Conn) End(trailer *exchange.Header) error {
	if c.writer.ended {
		return nil
	}
	if c.writer.framing == http1.Chunks {
		last, err := http1.AppendLastChunk(c.takeHead(), trailer)
		if err != nil {
			return err
		}
		if err := c.write(last); err != nil {
			return err
		}
	}
	return c.count(0, true)
}

// count keeps the account of a counted body: an end that it does not cover is none.
func (c *Conn) count(n int64, end bool) error {
	w := &c.writer
	if w.framing == http1.Counted {
		if w.left -= n; w.left < 0 || end && w.left > 0 {
			w.broken = true
			return errors.New("answer: body and its stated length differ")
		}
		end = w.left == 0
	}
	w.ended = w.ended || end
	return nil
}

// Abort breaks the answer off so that the client sees it: the connection is reset.
func (c *Conn) Abort() { c.writer.broken, c.last = true, true }

func (c *Conn) write(p []byte) error {
	c.Watch.Write()
	_, err := c.net.Write(p)
	c.Watch.Write()
	return c.wrote(err)
}

// writeBoth writes head and body in one system call, without bringing them together.
func (c *Conn) writeBoth(head, body []byte) error {
	w := &c.writer
	w.parts = [2][]byte{head, body}
	w.vector = w.parts[:]
	c.Watch.Write()
	_, err := w.vector.WriteTo(c.tcp)
	c.Watch.Write()
	w.parts = [2][]byte{}
	return c.wrote(err)
}

func (c *Conn) wrote(err error) error {
	if err == nil {
		return nil
	}
	c.writer.broken, c.last = true, true
	return errors.Join(ErrClient, err)
}

// Tunnel implements Client. The codec reads no more, but its buffer stays: the request that is logged at the tunnel's end
// is views of it.
func (c *Conn) Tunnel() Tunnel { return &tunnel{c: c, early: c.reader.Buffered()} }

type tunnel struct {
	c     *Conn
	early []byte // came behind the request's head
}

func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.early) > 0 {
		n := copy(p, t.early)
		t.early = t.early[n:]
		return n, nil
	}
	return t.c.net.Read(p)
}

func (t *tunnel) Write(p []byte) (int, error) {
	if err := t.c.write(p); err != nil {
		return 0, err
	}
	t.c.X.BytesOut += int64(len(p))
	return len(p), nil
}

func (t *tunnel) CloseWrite() error {
	closer, ok := t.c.net.(interface{ CloseWrite() error })
	if !ok {
		return io.ErrClosedPipe
	}
	return closer.CloseWrite()
}
