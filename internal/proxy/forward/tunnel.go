package forward

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 uses it to tell a WebSocket server from another, not for secrecy
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

const (
	webSocket       = "websocket"
	webSocketKey    = "Sec-WebSocket-Key"
	webSocketAccept = "Sec-WebSocket-Accept"
)

func newWebSocketKey() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand never fails
	return base64.StdEncoding.EncodeToString(nonce[:])
}

// acceptOf is a server's answer to a key (RFC 6455, section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// switches makes of the far side's 101 what the client's own version has in its place: 101 with the fields of its
// connection, or over HTTP/2 a 200 on its stream.
func (c *Call) switches() error {
	r, res := &c.X.Request, &c.X.Response
	if r.Upgrade == "" {
		return wrong("protocol switched unasked")
	}
	protocol := strings.Join(res.Header.Values("Upgrade"), ", ")
	switch {
	case protocol == "": // over HTTP/2, which does not say it
		protocol = r.Upgrade
	case !within(protocol, r.Upgrade):
		return wrong("protocol switched to another than was asked for")
	}
	clean(&res.Header)
	c.switched = true
	if r.Version == exchange.HTTP2 {
		res.Status, res.Phrase, res.Length = http.StatusOK, "OK", exchange.LengthUnknown
		return nil
	}
	if res.Version == exchange.HTTP2 && exchange.EqualFold(protocol, webSocket) {
		res.Header.Set(webSocketAccept, acceptOf(r.Header.Get(webSocketKey)))
	}
	res.Phrase = http.StatusText(res.Status)
	res.Header.Add("Connection", "Upgrade")
	res.Header.Add("Upgrade", protocol)
	return nil
}

// within reports whether each of a list of protocols is in another one (RFC 9110, section 7.8).
func within(list, other string) bool {
	for p := range strings.SplitSeq(list, ",") {
		found := false
		for o := range strings.SplitSeq(other, ",") {
			found = found || exchange.EqualFold(strings.Trim(o, " \t"), strings.Trim(p, " \t"))
		}
		if !found {
			return false
		}
	}
	return true
}

// unswitched refuses an answer that an HTTP/2 client would take for a switch (RFC 8441, section 5).
func (c *Call) unswitched() error {
	if r := &c.X.Request; r.Upgrade != "" && r.Version == exchange.HTTP2 && c.X.Response.Status < http.StatusMultipleChoices {
		return wrong("the far side answers without switching protocols")
	}
	return nil
}

const (
	tunnelRoom    = 8 << 10
	lingerTimeout = 5 * time.Second
)

var tunnelRooms = sync.Pool{New: func() any { return new([tunnelRoom]byte) }}

// Tunnel writes the answer's head and then passes bytes in both directions, until both have ended, one has failed, or
// neither says anything for as long as a stream may be silent.
func (c *Call) Tunnel() error {
	c.copying.Store(true)
	c.Watch.Tunnel()
	c.Watch.Limit(0) // what bounds an exchange, or a try of it, is no bound of what it has become
	c.Watch.Try(0)
	if err := c.Client.Begin(&c.X.Response, nil, c.X.Request.Version != exchange.HTTP2); err != nil {
		return err
	}
	t := &tunnels{call: c}
	near, far := c.Client.Tunnel(), c.link.tunnel()
	up := make(chan struct{})
	go func() {
		defer close(up)
		defer c.survive()
		t.pass(far, near, errFar, errNear, &t.in)
	}()
	t.pass(near, far, errNear, errFar, &t.out)
	t.linger(up)
	c.X.BytesIn += t.in
	switch {
	case t.first != nil:
		return t.first
	case c.X.Request.Version == exchange.HTTP2:
		return c.Client.End(nil)
	}
	return nil
}

// errFar and errNear say whose side of a tunnel failed.
var errFar, errNear = ErrUpstream, accept.ErrClient

// tunnels are the two directions.
type tunnels struct {
	call    *Call
	in, out int64
	mu      sync.Mutex
	half    atomic.Bool // one direction has ended
	over    atomic.Bool // failures are of our own making
	first   error       // of the side that failed first: the other one failed because of it
}

// linger waits for the client's direction to end once the far side's has. A far side that has closed reads no more, most
// likely: a client that has nothing to say and does not close is left soon.
func (t *tunnels) linger(up <-chan struct{}) {
	timer := time.NewTimer(lingerTimeout)
	defer timer.Stop()
	select {
	case <-up:
		return
	case <-timer.C:
	}
	t.over.Store(true)
	_ = t.call.Up.Raw().Close()
	t.call.Client.StopReading()
	<-up
}

// pass copies one direction until it ends, and ends it on the other side.
func (t *tunnels) pass(to, from accept.Tunnel, ofTo, ofFrom error, count *int64) {
	room := tunnelRooms.Get().(*[tunnelRoom]byte)
	defer tunnelRooms.Put(room)
	for {
		t.call.Watch.Arm(watch.StreamIdleTimeout, t.call.Timeouts.StreamIdle)
		n, err := from.Read(room[:])
		*count += int64(n)
		if n > 0 {
			if _, err := to.Write(room[:n]); err != nil {
				t.fail(errors.Join(ofTo, err))
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := to.CloseWrite(); err != nil && !t.half.Swap(true) { // of two that close, the second finds nothing to end
				t.fail(errors.Join(ofTo, err))
			}
			t.half.Store(true)
			return
		case err != nil:
			t.fail(errors.Join(ofFrom, err))
			return
		}
	}
}

// fail ends both directions.
func (t *tunnels) fail(err error) {
	t.mu.Lock()
	if t.first == nil && !t.over.Load() {
		t.first = err
	}
	t.mu.Unlock()
	_ = t.call.Up.Raw().Close()
	t.call.Client.StopReading()
}
