package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Reader reads messages from one connection, through one buffer. The strings of a message are views of that buffer:
// they end with the next ReadRequest, ReadResponse, Release or Reset. Body reads never touch the head's bytes, so that
// one goroutine may read the body, and use the Reader, while another looks at the message's strings.
type Reader struct {
	src    io.Reader
	limits Limits

	buf  []byte // nil while released
	r, w int    // buf[r:w] is unread
	base int    // buf[:base] holds the current head: not to be written to
	held []byte // the buffer of the current head where that is no longer buf
	size int    // of the buffer that the next message gets: what the last one needed
	most int    // how far the current message has filled its buffer

	pending  error // what src said together with its last bytes
	failed   error // what ended the use of the connection
	response bool  // the current message is a response
	version  exchange.Version
	facts    facts
	body     Body
}

// NewReader is a Reader of the messages that come from src. It takes a buffer with its first read.
func NewReader(src io.Reader, limits Limits) *Reader {
	r := &Reader{src: src, limits: limits.withDefaults()}
	r.body.r = r
	return r
}

// Reset gives the buffers back, unread bytes and all, and starts anew with src. Reset(nil) is how a connection ends.
func (r *Reader) Reset(src io.Reader) {
	r.drop()
	*r = Reader{src: src, limits: r.limits}
	r.body.r = r
}

// Release gives the buffers back where nothing unread lies in them, and reports whether it did. The views of the
// current message end; what is left of its body can still be read.
func (r *Reader) Release() bool {
	if r.r != r.w {
		return false
	}
	r.drop()
	return true
}

func (r *Reader) drop() {
	if r.held != nil {
		give(r.held)
	}
	if r.buf != nil {
		give(r.buf)
	}
	r.held, r.buf, r.r, r.w, r.base = nil, nil, 0, 0, 0
}

// Buffered is what was read from the connection and belongs to no message yet: the start of the next one, or of the
// tunnel after an upgrade. After a failed ReadRequest it tells whether any of the head had come.
func (r *Reader) Buffered() []byte { return r.buf[r.r:r.w] }

// Body is the body of the current message; where the message has none it is at its end.
func (r *Reader) Body() *Body { return &r.body }

// Done reports whether the current message has been read to its end.
func (r *Reader) Done() bool { return r.body.Done() }

// KeepAlive reports whether the sender of the current message means to use the connection again
// (RFC 9112, section 9.3).
func (r *Reader) KeepAlive() bool {
	switch {
	case r.failed != nil || r.facts.close || r.body.kind == untilClose:
		return false
	case r.version == exchange.HTTP10:
		return r.facts.keepAlive
	}
	return true
}

// Reusable reports whether another message may follow: the current one is done and KeepAlive holds, and behind a
// response lies nothing that no request asked for (RFC 9112, section 9.2), such as the body of a 304.
func (r *Reader) Reusable() bool {
	return r.KeepAlive() && r.Done() && !(r.response && r.r != r.w)
}

// ExpectContinue reports whether the sender of the current request waits for 100 (Continue) before its body.
func (r *Reader) ExpectContinue() bool {
	return r.facts.expect && r.version == exchange.HTTP11 && r.body.kind != noBody
}

// Upgrade reports whether the current message asks for, or grants, another protocol (RFC 9110, section 7.8): it has an
// Upgrade field that Connection names. A 101 that no request asked for is for the caller to refuse.
func (r *Reader) Upgrade() bool {
	return r.facts.upgrade && r.facts.upgradeNamed && r.version == exchange.HTTP11
}

// CloseDelimited reports whether the current message's body ends where the connection does.
func (r *Reader) CloseDelimited() bool { return r.body.kind == untilClose }

// fail makes an Error that ends the use of the connection. Whatever is wrong with a response is a bad gateway to the client.
func (r *Reader) fail(status int, text string) error {
	if r.response {
		status = http.StatusBadGateway
	}
	r.failed = &Error{Status: status, Text: text}
	return r.failed
}

func (r *Reader) bad(text string) error { return r.fail(http.StatusBadRequest, text) }

var errNotDone = errors.New("http1: read of a message before the last one's body has ended")

// begin ends the views of the last message. That its body must have ended is a guard against our own mistakes: a body
// read as a head is how requests are smuggled.
func (r *Reader) begin(response bool) error {
	if r.failed != nil {
		return r.failed
	}
	if !r.Done() {
		return errNotDone
	}
	if r.held != nil {
		give(r.held)
		r.held = nil
	}
	poison(r.buf[:r.r])
	r.size, r.most = min(r.most+1, bufferSize), 0 // one that was filled may have been too small
	if r.r == r.w {
		r.r, r.w = 0, 0
		if r.buf != nil && (len(r.buf) < r.size || len(r.buf) > bufferSize) {
			give(r.buf)
			r.buf = nil
		}
	}
	r.base, r.response, r.facts = 0, response, facts{}
	r.body.start(noBody, 0, nil)
	return nil
}

// head is the next whole head, with the empty line that ends it. Parsing starts once it is here, so that the buffer can
// still move and grow before; what must be refused at once is looked for in what has come.
func (r *Reader) head() ([]byte, error) {
	seen := 0 // bytes from r.r that hold no end and nothing to refuse
	for {
		got := r.buf[r.r:r.w]
		if i := bytes.Index(got[max(seen-3, 0):], []byte("\r\n\r\n")); i >= 0 {
			end := max(seen-3, 0) + i + 4
			if end > r.limits.HeadBytes {
				return nil, r.headTooLarge(got)
			}
			r.r += end
			r.base = r.r
			return got[:end:end], nil
		}
		if hopeless(got, max(seen-1, 0)) {
			return nil, r.bad("control, bare CR, bare LF or empty line in the head")
		}
		if len(got) >= r.limits.HeadBytes {
			return nil, r.headTooLarge(got)
		}
		seen = len(got)
		r.roomForHead()
		if err := r.fill(); err != nil {
			return nil, r.cut(err, seen > 0)
		}
	}
}

func (r *Reader) headTooLarge(got []byte) error {
	if i := bytes.IndexByte(got, '\n'); !r.response && (i < 0 || i > r.limits.HeadBytes) {
		return r.fail(http.StatusRequestURITooLong, "request line too long")
	}
	return r.fail(http.StatusRequestHeaderFieldsTooLarge, "head too large")
}

// hopeless reports whether the incomplete head b has, from the offset on, a byte that no head can have. Without it a
// client that ends its lines by LF would wait for an answer until a timeout.
func hopeless(b []byte, from int) bool {
	for i := from; i < len(b); i++ {
		switch c := b[i]; {
		case class[c]&isText != 0:
		case c == '\r' && i > 0 && (i+1 == len(b) || b[i+1] == '\n'):
		case c == '\n' && i > 0 && b[i-1] == '\r':
		default:
			return true
		}
	}
	return false
}

func (r *Reader) roomForHead() {
	if r.buf == nil {
		r.buf = take(r.size)
	}
	if r.r > 0 {
		r.w, r.r = copy(r.buf, r.buf[r.r:r.w]), 0
	}
	if r.w == len(r.buf) {
		bigger := take(2 * len(r.buf))
		copy(bigger, r.buf[:r.w])
		give(r.buf)
		r.buf = bigger
	}
}

// roomForBody makes room behind the head and what is unread. A head that fills its buffer keeps it, and the body gets
// another one.
func (r *Reader) roomForBody() {
	if r.buf == nil {
		r.buf = take(r.size)
	}
	if r.r == r.w {
		r.r, r.w = r.base, r.base
	}
	if len(r.buf)-r.w >= bodyRoom {
		return
	}
	r.w, r.r = r.base+copy(r.buf[r.base:], r.buf[r.r:r.w]), r.base
	if len(r.buf)-r.w >= bodyRoom {
		return
	}
	next := take(2*(r.w-r.r) + bodyRoom)
	n := copy(next, r.buf[r.r:r.w])
	if r.base > 0 {
		r.held = r.buf
	} else {
		give(r.buf)
	}
	r.buf, r.r, r.w, r.base = next, 0, n, 0
}

func (r *Reader) fill() error {
	n, err := r.read(r.buf[r.w:])
	r.w += n
	r.most = max(r.most, r.w)
	return err
}

// read is a read from the connection that gives either bytes or an error.
func (r *Reader) read(p []byte) (int, error) {
	if err := r.pending; err != nil {
		r.pending = nil
		return 0, err
	}
	for range 100 {
		n, err := r.src.Read(p)
		if n > 0 {
			r.pending = err
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// cut is the error for a connection that ended, or failed, where more had to come.
func (r *Reader) cut(err error, within bool) error {
	switch {
	case err != io.EOF: //nolint:errorlint // an io.Reader gives io.EOF itself
		return fmt.Errorf("http1: read: %w", err)
	case within:
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}
