package proxy

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/forward"
)

// The bounds of what is kept of bodies that stream, so that they can be sent again: of one, and of all.
const (
	replayMax   = 4 << 20
	replayTotal = 256 << 20
)

// replays is what is kept now.
var replays atomic.Int64

// replay keeps what it reads of a body, as long as that is within bounds. Over them the body is sent once: what is sent
// again is never a part.
type replay struct {
	src  io.Reader
	conn accept.Client
	far  *ahead // src, where it is a body of HTTP/2; else nil
	kept []byte
	at   int
	over bool
	end  bool
}

func (r *replay) Read(p []byte) (int, error) {
	if r.at < len(r.kept) {
		n := copy(p, r.kept[r.at:])
		r.at += n
		return n, nil
	}
	if r.end {
		return 0, io.EOF
	}
	n, err := r.src.Read(p)
	r.end = errors.Is(err, io.EOF)
	r.keep(p[:n])
	return n, err
}

func (r *replay) keep(p []byte) {
	if r.over || len(p) == 0 {
		return
	}
	if len(r.kept)+len(p) > replayMax || replays.Add(int64(len(p))) > replayTotal {
		if len(r.kept)+len(p) <= replayMax {
			replays.Add(-int64(len(p)))
		}
		r.forget()
		return
	}
	r.kept = append(r.kept, p...)
	r.at = len(r.kept)
}

// forget gives up what is kept: the body cannot be sent again.
func (r *replay) forget() {
	replays.Add(-int64(len(r.kept)))
	r.kept, r.at, r.over = nil, 0, true
}

// whole is the body where all of it has been read and kept.
func (r *replay) whole() ([]byte, bool) { return r.kept, r.end && !r.over }

// keepBody has the body kept as it streams, where it could be sent again.
func (j *journey) keepBody() {
	r := &j.x.Request
	if j.held != nil || r.Body == nil || len(j.rule.candidates) < 2 && j.rule.plan.Retry == nil && len(j.rule.mirrors) == 0 {
		return
	}
	j.kept = &replay{src: r.Body, conn: j.conn}
	if r.Version == exchange.HTTP2 {
		j.kept.far = newAhead(r.Body)
		j.kept.src = j.kept.far
	}
	r.Body = j.kept
}

// StopReading takes the place of the client's, for package forward.
func (r *replay) StopReading() {
	if r.far != nil {
		r.far.leave()
		return
	}
	r.conn.StopReading()
}

func (r *replay) resume() bool {
	if r.far != nil {
		r.far.resume()
		return true
	}
	return r.conn.ResumeReading()
}

// close is the end of the exchange.
func (r *replay) close() {
	if r.far != nil {
		r.far.end(r.conn)
	}
	r.forget()
}

// replayable reports whether the request can be sent again from its beginning.
func (j *journey) replayable() bool {
	return j.x.Request.Body == nil || j.held != nil || j.kept != nil && !j.kept.over
}

// rewind goes back to the body's beginning, once the attempt before is over.
func (j *journey) rewind() bool {
	if j.x.Request.Body == nil || j.held != nil {
		return true
	}
	if j.kept.over || !j.kept.resume() {
		return false
	}
	j.kept.at = 0
	j.x.BytesIn -= int64(len(j.kept.kept)) // counted anew as it is sent
	if whole, ok := j.kept.whole(); ok && len(whole) <= forward.HoldMax && j.x.Request.Trailer.Len() == 0 {
		j.held = whole
		j.x.Request.Length = int64(len(whole))
		j.x.BytesIn += int64(len(whole))
	}
	return true
}
