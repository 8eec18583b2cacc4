package forward

import (
	"errors"
	"io"
	"sync"

	"github.com/ebbgate/ebbgate/internal/provider/dialect"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

const (
	leadSize = 8 << 10
	leadMax  = 256 << 10 // of a stream's beginning that is held back; a longer one counts as output
)

var leads = sync.Pool{New: func() any { b := make([]byte, 0, leadSize); return &b }}

// events is an answer that is a provider's stream. It goes to the client in whole events, so that one of ours may follow.
type events struct {
	dialect dialect.Dialect // Unknown: the answer is none that is read
	stream  dialect.Stream
	lead    *[]byte // what has come and has not gone out: at first the stream's beginning, then less than an event
	whole   int     // bytes of it up to the end of its last event
	aligned bool    // what has gone out ends with an event
}

var (
	errBarren     = errors.New("the stream ended before any output")
	errUnfinished = errors.New("the answer ended, and the stream had not said that it would")
)

// Hold reads an answer that is a stream of the dialect until its first event of output or of an error, or its last, and
// holds back what it reads: until then nothing of the answer has reached the client, and Discard may give it up. The time
// for it is what is left of that for the head.
func (c *Call) Hold(d dialect.Dialect) (dialect.Event, error) {
	e := &c.events
	e.dialect, e.lead, e.aligned, e.whole = d, leads.Get().(*[]byte), true, 0
	*e.lead = (*e.lead)[:0]
	e.stream.Reset(d)
	for {
		first, err := e.read(c.X.Response.Body)
		over := errors.Is(err, io.EOF)
		if over && first <= dialect.Metadata {
			first = e.stream.Finish()
		}
		switch {
		case first > dialect.Metadata:
			return first, nil
		case over:
			return dialect.None, errors.Join(ErrUpstream, errBarren)
		case err != nil:
			return dialect.None, errors.Join(ErrUpstream, err)
		case len(*e.lead) >= leadMax:
			return dialect.Output, nil
		}
	}
}

// read takes what has come of the stream, and tells its most telling event: the first that is more than metadata.
func (e *events) read(body io.Reader) (first dialect.Event, err error) {
	lead := *e.lead
	if len(lead) == cap(lead) {
		lead = append(make([]byte, 0, 2*cap(lead)), lead...)
	}
	n, err := body.Read(lead[len(lead):cap(lead)])
	from := len(lead)
	lead = lead[:from+n]
	*e.lead = lead
	for from < len(lead) {
		k, event := e.stream.Feed(lead[from:])
		from += k
		if event != dialect.None {
			e.whole = from
		}
		if first <= dialect.Metadata {
			first = event
		}
	}
	return first, err
}

// copyEvents writes a stream that was held to the client: event by event, as they come.
func (c *Call) copyEvents() error {
	e, res := &c.events, &c.X.Response
	if len(*e.lead)-e.whole > len(c.Client.Room(false))/2 {
		e.whole, e.aligned = len(*e.lead), false
	}
	if err := c.Client.Begin(res, (*e.lead)[:e.whole], false); err != nil {
		return err
	}
	e.keep((*e.lead)[e.whole:])
	lean := true
	for over := false; !over; {
		lean = lean && e.lead == nil
		room := c.Client.Room(lean)
		n := e.back(room)
		c.Watch.Arm(watch.EventTimeout, c.Timeouts.StreamIdle)
		m, err := res.Body.Read(room[n:])
		end := e.end(room, n, n+m, lean)
		if over = errors.Is(err, io.EOF); over {
			end = n + m
		}
		e.keep(room[end : n+m])
		c.Watch.Arm(watch.StreamIdleTimeout, c.Timeouts.StreamIdle)
		if err := c.Client.Send(end); err != nil {
			return err
		}
		lean = m < accept.LeanRoom
		switch {
		case err == nil || over:
		case e.stream.Ended() && e.aligned && e.lead == nil:
			return c.Client.End(nil) // nothing is missing but the end of its framing
		default:
			return errors.Join(ErrUpstream, err)
		}
	}
	if e.stream.Due() || c.closeDelimited() && !e.stream.Ended() {
		return errors.Join(ErrUpstream, errUnfinished)
	}
	return c.Client.End(&res.Trailer)
}

// closeDelimited reports whether nothing but the end of its connection ends the answer.
func (c *Call) closeDelimited() bool {
	up, ok := c.Up.(*dial.Conn)
	return ok && up.Reader.CloseDelimited()
}

// end is how much of what room holds to send on: up to the end of its last event, or all where that is too much to wait
// for the rest; of a lean room it never is. What lies before from has been looked at.
func (e *events) end(room []byte, from, to int, lean bool) int {
	end := 0
	for from < to {
		n, event := e.stream.Feed(room[from:to])
		from += n
		if event != dialect.None {
			end, e.aligned = from, true
		}
	}
	if end == 0 && to > len(room)/2 && !lean {
		end, e.aligned = to, false
	}
	return end
}

// keep holds back the beginning of an event: the room that it was read to is about to be written over.
func (e *events) keep(p []byte) {
	if len(p) == 0 {
		e.drop()
		return
	}
	if e.lead == nil {
		e.lead = leads.Get().(*[]byte)
	}
	*e.lead = append((*e.lead)[:0], p...)
}

// back puts what was held back in front of what follows.
func (e *events) back(room []byte) int {
	if e.lead == nil {
		return 0
	}
	return copy(room, *e.lead)
}

// Fail ends the client's stream with an error event of its dialect. It reports false where that is no stream, or one that
// broke off within an event: then the client must see the connection break.
func (c *Call) Fail(status int, reason, message string) bool {
	e := &c.events
	if e.dialect == dialect.Unknown || !e.aligned || c.X.Response.Length >= 0 {
		return false
	}
	room := c.Client.Room(false)
	event := e.stream.AppendError(room[:0], status, reason, message)
	if len(event) > len(room) {
		return false
	}
	return c.Client.Send(copy(room, event)) == nil && c.Client.End(nil) == nil
}

// drop lets go of what was held back.
func (e *events) drop() {
	if e.lead != nil {
		if cap(*e.lead) <= 2*leadSize {
			leads.Put(e.lead)
		}
		e.lead = nil
	}
}
