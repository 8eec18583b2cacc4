package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/forward"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// holdMax bounds what Body stages may ask for.
const holdMax = 32 << 20

// holds is room for held bodies.
var holds = sync.Pool{New: func() any { return new([]byte) }}

// bodyTimeout is how long a client may take to send a part of a body that is held.
const (
	bodyTimeout = 30 * time.Second
	bodyPart    = 64 << 10
	bodyRoom    = 4 << 10 // the least that is made for one
)

// holdBody reads a body of known and moderate length before it is sent: it goes out with the head, and can go again.
func (j *journey) holdBody() *exchange.Refusal {
	r := &j.x.Request
	if j.held != nil || r.Body == nil || j.hold != nil || // a stage has seen the beginning: the rest streams behind it
		r.Length < 0 || r.Length > forward.HoldMax {
		return nil
	}
	if whole, ok := j.conn.Held(); ok {
		j.held = whole
		j.x.BytesIn += int64(len(whole))
		return nil
	}
	_, err := j.read(r.Length)
	if err != nil {
		return j.unread(err)
	}
	j.held = *j.hold
	return nil
}

// judgeBody runs the Body step on as much of the body as its stages want to see. What was read is sent on first.
func (j *journey) judgeBody(ctx context.Context, need int64, whole bool) *exchange.Refusal {
	r := &j.x.Request
	if r.Body == nil {
		return j.rule.chain.Body(ctx, j.x, nil)
	}
	need = min(need, holdMax)
	end, err := j.read(need)
	switch {
	case err != nil:
		return j.unread(err)
	case whole && !end:
		return exchange.Refuse(exchange.BodyTooLarge, "the request's body is larger than a policy may read")
	}
	if refusal := j.rule.chain.Body(ctx, j.x, (*j.hold)[:min(int64(len(*j.hold)), need)]); refusal != nil {
		return refusal
	}
	if end {
		j.held = *j.hold
		r.Length = int64(len(j.held))
		return nil
	}
	r.Body = io.MultiReader(bytes.NewReader(*j.hold), r.Body)
	j.x.BytesIn -= int64(len(*j.hold)) // counted when it is sent on
	return nil
}

// unread is the refusal for a body that could not be read.
func (j *journey) unread(err error) *exchange.Refusal {
	if errors.Is(err, errNoMemory) {
		j.conn.Retire()
		return exchange.Refuse(exchange.Overloaded, "the gateway has no memory left for the request's body")
	}
	if refusal := j.ended(&exchange.Attempt{}); refusal != nil {
		return refusal
	}
	return j.clientFailed(errors.Join(forward.ErrRequestBody, err))
}

// read takes n bytes of the body at most into hold, and reports whether the body ended with them.
func (j *journey) read(n int64) (end bool, err error) {
	if err := j.conn.Continue(); err != nil {
		return false, err
	}
	defer j.watch.Disarm()
	j.hold = holds.Get().(*[]byte)
	room := (*j.hold)[:0]
	if !j.hoard(cap(room)) {
		room = nil // a smaller one may do
	}
	for armed := 0; err == nil && int64(len(room)) <= n; { // one more than is wanted tells whether that was all
		if len(room) >= armed {
			j.watch.Arm(watch.BodyTimeout, bodyTimeout)
			armed += bodyPart
		}
		if room, err = j.grown(room, n+1); err == nil {
			var got int
			got, err = j.x.Request.Body.Read(room[len(room):min(int64(cap(room)), n+1)])
			room = room[:len(room)+got]
		}
	}
	*j.hold = room
	j.x.BytesIn += int64(len(room))
	if err == nil {
		return false, nil
	}
	if errors.Is(err, io.EOF) {
		return int64(len(room)) <= n, nil
	}
	return false, err
}

var errNoMemory = errors.New("no memory is left for a body")

// grown is a body's room with place in it for more: no more than twice what has come, and than there is to come, however
// much the client says there is.
func (j *journey) grown(room []byte, most int64) ([]byte, error) {
	if len(room) < cap(room) {
		return room, nil
	}
	more := int(min(int64(max(len(room), bodyRoom)), most-int64(len(room))))
	if !j.hoard(more) {
		return room, errNoMemory
	}
	return slices.Grow(room, more), nil
}
