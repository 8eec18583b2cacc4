package proxy

import (
	"errors"
	"io"
	"sync"
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
	memory *memory
	src    io.Reader
	conn   accept.Client
	far    *ahead // src, where it is a body of HTTP/2; else nil
	before int64  // bytes of the body that were read, and counted, before
	total  int64  // bytes read
	at     int
	end    bool

	mu      sync.Mutex // an upload may still run while it is decided whether to send again
	kept    []byte
	over    bool
	claimed bool // it will be sent again: nothing is given up, and nothing more is read before that
}

var errClaimed = errors.New("request body: it will be sent again")

func (r *replay) Read(p []byte) (int, error) {
	if r.at < len(r.kept) {
		n := copy(p, r.kept[r.at:])
		r.at += n
		return n, nil
	}
	switch {
	case r.end:
		return 0, io.EOF
	case r.isClaimed():
		return 0, errClaimed
	}
	n, err := r.src.Read(p)
	r.total += int64(n)
	r.end = errors.Is(err, io.EOF)
	r.keep(p[:n])
	return n, err
}

func (r *replay) keep(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || len(p) == 0 {
		return
	}
	if !(r.memory.keep(len(p)) && len(r.kept)+len(p) <= replayMax) && !r.claimed {
		r.memory.unkeep(len(p))
		r.drop()
		return
	}
	r.kept = append(r.kept, p...)
	r.at = len(r.kept)
}

// keep counts n bytes more that are kept, and reports whether there is room for them; unkeep is their end, either way.
func (m *memory) keep(n int) bool {
	sum, room := replays.Add(int64(n)), m.note(int64(n), thrifty)
	return sum <= replayTotal && room
}

func (m *memory) unkeep(n int) {
	replays.Add(-int64(n))
	m.give(int64(n))
}

// forget gives up what is kept: the body cannot be sent again.
func (r *replay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
}

func (r *replay) drop() {
	r.memory.unkeep(len(r.kept))
	r.kept, r.at, r.over = nil, 0, true
}

// claim reports whether the body can be sent again, and holds it to that.
func (r *replay) claim() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claimed = !r.over
	return r.claimed
}

// given reports whether what was kept has been given up.
func (r *replay) given() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

func (r *replay) isClaimed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claimed
}

// rewind begins anew, once nobody reads any more.
func (r *replay) rewind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.claimed = 0, false
}

// whole is the body where all of it has been read and kept.
func (r *replay) whole() ([]byte, bool) { return r.kept, r.end && !r.over }

// keepBody has the body kept as it streams, where it could be sent again.
func (j *journey) keepBody() {
	r := &j.x.Request
	if j.held != nil || r.Body == nil || j.server.memory.now() >= thrifty || len(j.rule.candidates) < 2 && j.rule.plan.Retry == nil && len(j.rule.mirrors) == 0 {
		return
	}
	j.kept = &replay{memory: &j.server.memory, src: r.Body, conn: j.conn, before: j.x.BytesIn}
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
	switch {
	case j.x.Request.Body == nil || j.held != nil:
		return true
	case j.kept == nil:
		return false
	case !j.outcome.answered && !j.kept.resume(): // the attempt is over, and with it the reading
		return false
	}
	return !j.kept.given()
}

// claim is the last word before a request is sent again.
func (j *journey) claim() bool {
	return j.x.Request.Body == nil || j.held != nil || j.kept.claim()
}

// rewind goes back to the body's beginning, once the attempt before is over.
func (j *journey) rewind() bool {
	if j.x.Request.Body == nil || j.held != nil {
		return true
	}
	if !j.kept.resume() {
		return false
	}
	j.kept.rewind()
	if whole, ok := j.kept.whole(); ok && len(whole) <= forward.HoldMax && j.x.Request.Trailer.Len() == 0 {
		j.held = whole
		j.x.Request.Length = int64(len(whole))
	}
	return true
}
