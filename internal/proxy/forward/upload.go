package forward

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// ErrRequestBody is a request body that the client did not send to its end, or that broke the rules.
var ErrRequestBody = errors.New("request body")

const (
	uploadRoom = 16 << 10
	lastWrite  = time.Second            // for the end of a body to go out, once the answer is complete
	lastRead   = 100 * time.Millisecond // for it to come in
)

var uploadRooms = sync.Pool{New: func() any {
	b := make([]byte, http1.ChunkBefore+uploadRoom+http1.ChunkAfter)
	return &b
}}

// upload sends a request's body on while the answer may already come: both directions flow at once.
type upload struct {
	done   chan struct{}
	sent   int64       // body bytes read from the client; after done
	read   atomic.Bool // the client's body has been read to its end
	cut    atomic.Bool // the client's body could not be read
	broken error       // why; once cut is set
	whole  bool        // the body went out to its end; after done
}

func startUpload(c *Call, up *dial.Conn, framing http1.Framing) *upload {
	u := &upload{done: make(chan struct{})}
	go u.run(c, up, framing)
	return u
}

// run reads the client's body and writes it upstream, framed anew. It touches nothing else of the exchange.
func (u *upload) run(c *Call, up *dial.Conn, framing http1.Framing) {
	defer close(u.done)
	defer c.survive()
	room := uploadRooms.Get().(*[]byte)
	defer uploadRooms.Put(room)
	data := (*room)[http1.ChunkBefore : http1.ChunkBefore+uploadRoom]
	for {
		c.await(watch.BodyTimeout, c.Timeouts.StreamIdle)
		n, err := c.X.Request.Body.Read(data)
		u.sent += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			u.broken = errors.Join(ErrRequestBody, err)
			u.cut.Store(true)
			_ = up.Raw().Close() // so that nobody takes what was sent for a whole request
			return
		}
		if err != nil {
			u.read.Store(true)
		}
		out := data[:n]
		if framing == http1.Chunks {
			out = http1.FrameChunk(*room, n)
		}
		c.await(watch.FirstByteTimeout, c.Timeouts.FirstByte)
		if _, err := up.Write(out); err != nil {
			return // the answer, if there is one, says why
		}
		if err != nil {
			u.whole = framing != http1.Chunks || u.end(up, &c.X.Request.Trailer)
			return
		}
	}
}

// await bounds the upload's next wait, until the answer comes: from then on its own silence counts.
func (c *Call) await(cause watch.Cause, d time.Duration) {
	if !c.copying.Load() {
		c.Watch.Arm(cause, d)
	}
}

// stopReading ends a read of the request's body. A body that may be sent again has its own way, after which it can be
// read on.
func (c *Call) stopReading() {
	if body, ok := c.X.Request.Body.(interface{ StopReading() }); ok {
		body.StopReading()
		return
	}
	c.Client.StopReading()
}

func (u *upload) end(up *dial.Conn, trailer *exchange.Header) bool {
	last, err := http1.AppendLastChunk(nil, trailer)
	if err == nil {
		_, err = up.Write(last)
	}
	return err == nil
}

// failure is what was wrong with the client's body, where the upload ended because of it.
func (u *upload) failure() error {
	if u == nil || !u.cut.Load() {
		return nil
	}
	return u.broken
}

// stop ends an upload that still runs, and reports whether the body went out whole.
func (u *upload) stop(c *Call, up *dial.Conn) bool {
	if u == nil {
		return true
	}
	grace := lastRead
	if u.read.Load() {
		grace = lastWrite
	}
	select { // most likely it is at its end, and the client's connection need not suffer for it
	case <-u.done:
	case <-time.After(grace):
	}
	select {
	case <-u.done:
	default:
		if !u.read.Load() {
			c.stopReading()
		}
		_ = up.Raw().Close()
		<-u.done
	}
	c.X.BytesIn += u.sent
	return u.whole
}
