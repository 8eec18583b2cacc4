// Package forward carries one exchange over one upstream connection, or one stream of it: the request out, the answer
// back, bodies streamed in both directions with the pressure of the slower side, and the bytes of what has switched
// protocols. It decides nothing about repeating; proxy does, from what a Call says of itself.
package forward

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/provider/dialect"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// HoldMax is the size up to which a body of known length is read before the request is sent: it goes out with the head
// in one write, and can be sent again.
const HoldMax = 64 << 10

const (
	joinMax    = 16 << 10 // held bytes that are copied behind the head rather than written apart
	interimMax = 16       // interim answers to one request
)

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Call is one attempt on one connection. Its methods are called in their order.
type Call struct {
	X        *exchange.Exchange
	Attempt  *exchange.Attempt
	Client   accept.Client
	Up       dial.Upstream
	Watch    *watch.Entry
	Timeouts policy.Timeouts
	Held     []byte       // the whole body where it is held; nil where it streams or there is none
	Logger   *slog.Logger // of panics in goroutines beside the exchange's own

	link     link
	h1       h1          // link's room
	events   events      // of an answer that is a provider's stream
	headed   bool        // the answer's head has come
	switched bool        // the far side speaks another protocol from here on
	copying  atomic.Bool // the answer is on its way to the client
}

// link is how an HTTP version carries a call.
type link interface {
	// send writes the request; a body that is not held is sent on from now by another goroutine.
	send(c *Call) error
	// answer reads the next head, final or interim, into the exchange. Interim ones may be passed on by the link itself.
	answer(c *Call) error
	// whole takes the answer's body where all of it is there, and ready says that a read of it would not wait.
	whole() ([]byte, bool)
	ready() bool
	// uploading reports whether the request's body is still on its way.
	uploading() bool
	// settle ends what still runs and reports whether the request went out whole.
	settle(c *Call) bool
	// reusable reports whether the connection may carry another exchange.
	reusable() bool
	// account notes how much of the request was written.
	account(c *Call)
	// facts are what an attempt that failed with err, before an answer's head, proves.
	facts(c *Call, err error) Facts
	// tunnel is the far side's bytes once it has switched protocols.
	tunnel() accept.Tunnel
}

// Facts are what an attempt that ended without an answer proves.
type Facts struct {
	Unsent bool // the far side did not get the request, or says that it did not take it
	Silent bool // no byte of an answer came
	Alone  bool // a stream ended, and its connection lives
}

// ErrUpstream is a failure of the upstream connection, or an answer that broke the rules.
var ErrUpstream = errors.New("upstream")

func wrong(text string) error {
	return errors.Join(ErrUpstream, &http1.Error{Status: http.StatusBadGateway, Text: text})
}

// Send writes the request; a body that is not held is sent on from now by another goroutine.
func (c *Call) Send() error {
	switch up := c.Up.(type) {
	case *dial.Conn:
		c.h1 = h1{up: up}
		c.link = &c.h1
	case *dial.Stream:
		c.link = &h2{up: up}
	}
	if c.streams() {
		if err := c.Client.Continue(); err != nil {
			return err
		}
	}
	c.Watch.Arm(watch.FirstByteTimeout, c.Timeouts.FirstByte)
	return c.link.send(c)
}

// streams reports whether the request's body is sent on as it comes.
func (c *Call) streams() bool { return c.X.Request.Body != nil && c.Held == nil }

// Answer reads the answer's head into the exchange; interim answers are passed on.
func (c *Call) Answer() error {
	res := &c.X.Response
	for range interimMax {
		if err := c.link.answer(c); err != nil {
			return err
		}
		switch {
		case res.Status == http.StatusSwitchingProtocols:
			return c.switches()
		case res.Status >= 200:
			c.headed = true
			clean(&res.Header)
			return c.unswitched()
		case res.Status == http.StatusContinue: // that was between us and our client
		default:
			clean(&res.Header)
			c.Watch.Arm(watch.StreamIdleTimeout, c.Timeouts.StreamIdle) // it is the client that is waited for
			if err := c.Client.Inform(res); err != nil {
				return err
			}
			c.Watch.Arm(watch.FirstByteTimeout, c.Timeouts.FirstByte)
		}
	}
	return wrong("too many interim answers")
}

// survive keeps a mistake of ours in a goroutine beside the exchange's own from ending everybody else's. The attempt fails.
func (c *Call) survive() {
	if p := recover(); p != nil {
		accept.LogPanic(c.Logger, p)
		_ = c.Up.Raw().Close()
	}
}

// Switched reports whether the answer switches protocols: Tunnel takes Copy's place.
func (c *Call) Switched() bool { return c.switched }

// Account notes what was written of the request so far.
func (c *Call) Account() { c.link.account(c) }

// Facts are what the attempt proves that failed with err before anything of its answer went to the client.
func (c *Call) Facts(err error) Facts {
	f := c.link.facts(c, err)
	if c.headed { // who has begun to answer has the request
		f.Unsent, f.Silent = false, false
	}
	return f
}

// clean removes from an answer what concerns our connection upstream, and what would lead the client around the gateway.
func clean(h *exchange.Header) {
	exchange.StripHop(h)
	h.Filter(func(f exchange.Field) bool { return !exchange.Ours(f.Name) && !exchange.EqualFold(f.Name, "Alt-Svc") })
}

// Copy writes the answer to the client, as it comes.
func (c *Call) Copy() error {
	c.copying.Store(true)
	c.Watch.Arm(watch.StreamIdleTimeout, c.Timeouts.StreamIdle)
	res := &c.X.Response
	if c.streams() && c.link.uploading() && (res.Body == nil || res.Status >= http.StatusMultipleChoices) {
		c.Client.Last() // the rest of the request is not wanted: that the connection ends is said, or the client reuses it (RFC 9112, section 9.6)
	}
	switch {
	case res.Body == nil:
		return c.Client.Begin(res, nil, true)
	case c.events.dialect != dialect.Unknown:
		return c.copyEvents()
	}
	if whole, ok := c.link.whole(); ok {
		if err := c.Client.Begin(res, whole, res.Trailer.Len() == 0); err != nil {
			return err
		}
		return c.Client.End(&res.Trailer)
	}
	lean := streams(res)
	if !lean && res.Length > 0 && res.Length <= int64(len(c.Client.Room(false))) {
		return c.copySmall(c.Client.Room(false)[:res.Length])
	}
	var first []byte
	var err error
	if res.Length > 0 && c.link.ready() {
		first = c.Client.Room(lean)
		var n int
		if n, err = res.Body.Read(first); err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(ErrUpstream, err)
		}
		first = first[:n]
	}
	if err := c.Client.Begin(res, first, false); err != nil {
		return err
	}
	for !errors.Is(err, io.EOF) {
		var n int
		c.Watch.Arm(watch.StreamIdleTimeout, c.Timeouts.StreamIdle)
		n, err = res.Body.Read(c.Client.Room(lean))
		if err := c.Client.Send(n); err != nil {
			return err
		}
		lean = n < accept.LeanRoom && (res.Length < 0 || streams(res)) // what comes bit by bit may be long in coming
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(ErrUpstream, err)
		}
	}
	return c.Client.End(&res.Trailer)
}

// copySmall writes an answer that one buffer holds once it is there: in one call, and not at all if it breaks off.
func (c *Call) copySmall(room []byte) error {
	res := &c.X.Response
	c.Watch.Arm(watch.AnswerTimeout, c.Timeouts.StreamIdle)
	if _, err := io.ReadFull(res.Body, room); err != nil {
		return errors.Join(ErrUpstream, err)
	}
	if res.Version == exchange.HTTP2 { // trailers may follow whatever the length
		if _, err := io.ReadFull(res.Body, make([]byte, 1)); !errors.Is(err, io.EOF) {
			return errors.Join(ErrUpstream, err)
		}
	}
	c.Watch.Arm(watch.StreamIdleTimeout, c.Timeouts.StreamIdle)
	if err := c.Client.Begin(res, room, res.Trailer.Len() == 0); err != nil {
		return err
	}
	return c.Client.End(&res.Trailer)
}

// streams reports whether an answer's parts matter as they come, whatever length it states.
func streams(res *exchange.Response) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// Discard gives up an answer whose head has come. What is there of it already costs nothing to read.
func (c *Call) Discard() (reusable bool) {
	if c.X.Response.Body != nil {
		c.link.whole()
	}
	return c.Finish()
}

// Finish ends what still runs and reports whether the upstream connection may carry another exchange.
func (c *Call) Finish() (reusable bool) {
	c.Watch.Disarm()
	whole := c.link.settle(c)
	c.Watch.Disarm() // whatever the upload has armed since: it is no bound of what follows
	c.events.drop()
	return whole && !c.switched && c.link.reusable()
}
