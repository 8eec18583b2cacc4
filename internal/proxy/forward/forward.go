// Package forward carries one exchange over one upstream connection: the request out, the answer back, bodies streamed
// in both directions with the pressure of the slower side. It decides nothing about repeating; serve does, from what a
// Call says of itself.
package forward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/policy"
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

// Client is the side the answer goes to. Its methods are accept.Conn's.
type Client interface {
	Continue() error
	Inform(r *exchange.Response) error
	Begin(r *exchange.Response, body []byte, whole bool) error
	Room() []byte
	Send(n int) error
	End(trailer *exchange.Header) error
	StopReading()
}

// Call is one attempt on one connection. Its methods are called in their order.
type Call struct {
	X        *exchange.Exchange
	Attempt  *exchange.Attempt
	Client   Client
	Up       *dial.Conn
	Watch    *watch.Entry
	Timeouts policy.Timeouts
	Held     []byte // the whole body where it is held; nil where it streams or there is none

	upload  *upload
	copying atomic.Bool // the answer is on its way to the client
}

// ErrUpstream is a failure of the upstream connection, or an answer that broke the rules.
var ErrUpstream = errors.New("upstream")

// Send writes the request; a body that is not held is sent on from now by another goroutine.
func (c *Call) Send() error {
	r := &c.X.Request
	streams := r.Body != nil && c.Held == nil
	if streams {
		if err := c.Client.Continue(); err != nil {
			return err
		}
	}
	room := heads.Get().(*[]byte)
	defer heads.Put(room)
	head, framing, err := http1.AppendRequest((*room)[:0], http1.RequestHead{
		Method: r.Method, Target: c.Attempt.Path, Authority: c.Attempt.Authority, Header: &c.Attempt.Header, Length: r.Length,
	})
	if err != nil {
		return fmt.Errorf("request head: %w", err)
	}
	c.Watch.Arm(watch.FirstByteTimeout, c.Timeouts.FirstByte)
	apart := c.Held
	if len(c.Held) <= joinMax {
		head, apart = append(head, c.Held...), nil
	}
	*room = head
	if _, err = c.Up.Write(head); err == nil && len(apart) > 0 {
		_, err = c.Up.Write(apart)
	}
	if err != nil {
		return errors.Join(ErrUpstream, err)
	}
	if streams {
		c.upload = startUpload(c, framing)
	}
	return nil
}

// Answer reads the answer's head into the exchange; interim answers are passed on.
func (c *Call) Answer() error {
	res := &c.X.Response
	for range interimMax {
		if err := c.Up.Reader.ReadResponse(res, c.X.Request.Method); err != nil {
			if cause := c.upload.failure(); cause != nil {
				return cause
			}
			return errors.Join(ErrUpstream, err)
		}
		switch {
		case res.Status == http.StatusSwitchingProtocols:
			return errors.Join(ErrUpstream, &http1.Error{Status: http.StatusBadGateway, Text: "protocol switched unasked"})
		case res.Status >= 200:
			c.keepAlive(res.Header.Get("Keep-Alive"))
			clean(&res.Header)
			return nil
		case res.Status == http.StatusContinue: // that was between us and our client
		default:
			clean(&res.Header)
			if err := c.Client.Inform(res); err != nil {
				return err
			}
		}
	}
	return errors.Join(ErrUpstream, &http1.Error{Status: http.StatusBadGateway, Text: "too many interim answers"})
}

// keepAlive heeds how long the far side says that it keeps an idle connection.
func (c *Call) keepAlive(parameters string) {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ",")
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if seconds, err := strconv.Atoi(value); err == nil && exchange.EqualFold(name, "timeout") && seconds >= 0 && seconds < 1<<20 {
			c.Up.KeepAlive(time.Duration(seconds) * time.Second)
		}
	}
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
	res, codec := &c.X.Response, c.Up.Reader
	if res.Body == nil {
		return c.Client.Begin(res, nil, true)
	}
	if whole, ok := codec.Body().Whole(); ok {
		if err := c.Client.Begin(res, whole, res.Trailer.Len() == 0); err != nil {
			return err
		}
		return c.Client.End(&res.Trailer)
	}
	if res.Length > 0 && res.Length <= int64(len(c.Client.Room())) && !streams(res) {
		return c.copySmall(c.Client.Room()[:res.Length])
	}
	first := 0
	var err error
	if res.Length > 0 && len(codec.Buffered()) > 0 { // does not wait
		if first, err = res.Body.Read(c.Client.Room()); err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(ErrUpstream, err)
		}
	}
	if err := c.Client.Begin(res, c.Client.Room()[:first], false); err != nil {
		return err
	}
	for !errors.Is(err, io.EOF) {
		var n int
		c.Watch.Arm(watch.StreamIdleTimeout, c.Timeouts.StreamIdle)
		n, err = res.Body.Read(c.Client.Room())
		if err := c.Client.Send(n); err != nil {
			return err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(ErrUpstream, err)
		}
	}
	return c.Client.End(&res.Trailer)
}

// copySmall writes an answer that one buffer holds once it is there: in one call, and not at all if it breaks off.
func (c *Call) copySmall(room []byte) error {
	if _, err := io.ReadFull(c.X.Response.Body, room); err != nil {
		return errors.Join(ErrUpstream, err)
	}
	return c.Client.Begin(&c.X.Response, room, true)
}

// streams reports whether an answer's parts matter as they come, whatever length it states.
func streams(res *exchange.Response) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// Finish ends what still runs and reports whether the upstream connection may carry another exchange.
func (c *Call) Finish() (reusable bool) {
	c.Watch.Disarm()
	whole := c.upload.stop(c)
	return whole && c.Up.Reader.Reusable()
}
