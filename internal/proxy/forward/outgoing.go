package forward

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// outgoing is a request's body as net/http reads it, in a goroutine of its own. Its end is known, so that nothing of the
// exchange is touched once the call is over.
type outgoing struct {
	up      *dial.Stream
	c       *Call
	src     io.Reader
	held    bool
	trailer http.Header // those that were announced

	mu      sync.Mutex
	closed  bool
	reading bool
	done    chan struct{} // closed once nobody reads any more
	late    *time.Timer   // ends a read that outlives the upload
	broken  error         // the client's body could not be read
	sent    atomic.Int64
	read    atomic.Bool // to its end
}

func (o *outgoing) Read(p []byte) (int, error) {
	if !o.begin() {
		return 0, errStopped
	}
	defer o.end()
	defer o.c.survive()
	if !o.held {
		o.c.await(watch.BodyTimeout, o.c.Timeouts.StreamIdle)
	}
	n, err := o.src.Read(p)
	o.sent.Add(int64(n))
	o.up.Sent(n)
	switch {
	case errors.Is(err, io.EOF):
		o.trailers()
		o.read.Store(true)
	case err != nil:
		o.fail(err)
	}
	o.c.await(watch.FirstByteTimeout, o.c.Timeouts.FirstByte)
	return n, err
}

// trailers gives net/http those that were announced; their strings may be views of a buffer that ends before it is done.
func (o *outgoing) trailers() {
	for name := range o.trailer {
		for _, value := range o.c.X.Request.Trailer.Values(name) {
			o.trailer[name] = append(o.trailer[name], strings.Clone(value))
		}
	}
}

func (o *outgoing) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reading = !o.closed
	return o.reading
}

func (o *outgoing) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reading = false; o.closed {
		close(o.done)
	}
}

// fail notes why the client's body could not be read, unless nobody wants it any more.
func (o *outgoing) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.broken = errors.Join(ErrRequestBody, err)
	}
}

// Close is net/http's, once the far side wants no more, and ours where it never began. net/http tells why the far side
// does not only once no read is left, and a client may take its time to send more: so the read is ended.
func (o *outgoing) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return nil
	case !o.reading:
		close(o.done)
	case !o.held:
		o.late = time.AfterFunc(lastRead, o.stopReading)
	}
	o.closed = true
	return nil
}

// stopReading holds the lock, so that it does not reach beyond the end of the call.
func (o *outgoing) stopReading() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reading {
		o.c.stopReading()
	}
}

func (o *outgoing) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken
}

func (o *outgoing) count() int64 { return o.sent.Load() }

// stop ends an upload that still runs, and reports whether the body was taken whole.
func (o *outgoing) stop(c *Call, up *dial.Stream) bool {
	if !o.read.Load() && !o.held { // most likely it is at its end, and the client's connection need not suffer for it
		select {
		case <-o.done:
		case <-time.After(lastRead):
		}
	}
	if !o.read.Load() {
		_ = up.Close()
		_ = o.Close()
		if !o.held {
			select {
			case <-o.done:
			default:
				c.stopReading()
			}
		}
	}
	_ = o.Close()
	<-o.done
	if o.late != nil {
		o.late.Stop()
	}
	if !o.held {
		c.X.BytesIn += o.sent.Load()
	}
	return o.read.Load()
}
