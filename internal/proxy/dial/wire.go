package dial

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/proxy/pace"
)

// wire is the socket as TLS sees it: it counts what is written and follows the borders of the records that are read.
type wire struct {
	net.Conn
	written atomic.Int64
	heard   atomic.Int64 // reads that found something
	secure  bool
	frames  *pace.Bucket // what the far side may send beside answers, of HTTP/2; nil: not that
	probing bool         // reads find nothing: what TLS already holds is being looked at
	closing atomic.Bool
	early   []byte // of what is read, what came with a parent's answer
	records records
	room    *room // that the connection has a place in; set before anybody else has the connection
	left    atomic.Bool
}

// Close gives the connection's place back, whoever closes it: us, crypto/tls or net/http.
func (w *wire) Close() error {
	err := w.Conn.Close()
	w.leave()
	return err
}

func (w *wire) leave() {
	if w.room != nil && !w.left.Swap(true) {
		w.room.leave()
	}
}

// farewell is how long a close waits for room to write its close_notify.
const farewell = 100 * time.Millisecond

// SetWriteDeadline shortens the five seconds that crypto/tls gives its last alert: a far side that does not read would
// hold whoever closes.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if soon := time.Now().Add(farewell); w.closing.Load() && soon.Before(t) { // the socket's clock, not that of certificates
		t = soon
	}
	return w.Conn.SetWriteDeadline(t)
}

// Write counts before it writes, so that whoever reads the count meanwhile never sees less than was sent.
func (w *wire) Write(b []byte) (int, error) {
	w.written.Add(int64(len(b)))
	n, err := w.Conn.Write(b)
	if n < len(b) {
		w.written.Add(int64(n - len(b)))
	}
	return n, err
}

func (w *wire) Read(b []byte) (int, error) {
	if w.probing {
		return 0, nothing{}
	}
	n, err := 0, error(nil)
	if len(w.early) > 0 {
		n = copy(b, w.early)
		w.early = w.early[n:]
	} else {
		n, err = w.Conn.Read(b)
	}
	if n > 0 {
		w.heard.Add(1)
		if w.frames != nil && !w.frames.Spend(int64(n)) {
			_ = w.Close()
			return 0, errFrames
		}
	}
	if w.secure {
		w.records.pass(b[:n])
	}
	return n, err
}

// nothing is what a probe finds on the socket. crypto/tls goes on after temporary errors.
type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// records follows TLS records (RFC 8446, section 5.1: five bytes of header, the last two the length). crypto/tls reads
// ahead, and only when it has no whole record left; so one read that ends more than one record, or ends one and begins
// another, leaves something in its buffer where no look at the socket can find it.
type records struct {
	header [5]byte
	have   int // bytes of the header
	body   int // bytes missing of the record
	ahead  bool
}

func (r *records) pass(b []byte) {
	ends := 0
	for len(b) > 0 {
		if r.body > 0 {
			n := min(r.body, len(b))
			r.body, b = r.body-n, b[n:]
		} else {
			n := copy(r.header[r.have:], b)
			r.have, b = r.have+n, b[n:]
			if r.have < len(r.header) {
				break
			}
			r.have, r.body = 0, int(r.header[3])<<8|int(r.header[4])
		}
		if r.have == 0 && r.body == 0 {
			ends++
		}
	}
	r.ahead = ends > 1 || ends == 1 && !r.border()
}

// border reports whether no record is begun.
func (r *records) border() bool { return r.have == 0 && r.body == 0 }
