package http1

import (
	"io"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

type kind uint8

const (
	noBody kind = iota
	fixed
	chunked
	untilClose
)

// Body is the body of a Reader's current message. It ends, with io.EOF, only where the framing says so; an end of the
// connection anywhere else is io.ErrUnexpectedEOF.
type Body struct {
	r       *Reader
	kind    kind
	stage   stage            // chunked
	left    int64            // of the fixed length, or of the chunk
	excess  int              // extension bytes beyond the data they came with
	ended   bool             // until close
	trailer *exchange.Header // chunked
	err     error            // of the framing: nothing behind it can be read
}

func (b *Body) start(k kind, length int64, trailer *exchange.Header) {
	*b = Body{r: b.r, kind: k, left: length, trailer: trailer}
}

// Done reports whether the body has been read to its end, its trailers with it.
func (b *Body) Done() bool {
	switch b.kind {
	case fixed:
		return b.left == 0
	case chunked:
		return b.stage == atEnd
	case untilClose:
		return b.ended
	}
	return true
}

// directRead is the least slice that is filled from the connection itself rather than through the buffer.
const directRead = 2 << 10

// Read reads from the buffer first, and then from the connection: straight into p where p is large or takes the rest.
// It gives io.EOF together with the last bytes where it knows that they are the last.
func (b *Body) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.Done():
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case b.kind == chunked:
		return b.readChunked(p)
	case b.kind == untilClose:
		return b.readUntilClose(p)
	}
	n, err := b.readSome(p)
	if err != nil {
		return n, b.r.cut(err, true)
	}
	if b.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

// readSome reads at most left bytes, waiting for the connection only where nothing is buffered.
func (b *Body) readSome(p []byte) (n int, err error) {
	p = p[:min(int64(len(p)), b.left)]
	switch {
	case b.r.r < b.r.w:
		n = b.r.unread(p)
	case len(p) >= directRead || int64(len(p)) == b.left && b.kind == fixed:
		n, err = b.r.read(p)
	default:
		b.r.roomForBody()
		if err = b.r.fill(); err == nil {
			n = b.r.unread(p)
		}
	}
	b.left -= int64(n)
	return n, err
}

func (b *Body) readUntilClose(p []byte) (n int, err error) {
	switch {
	case b.r.r < b.r.w:
		return b.r.unread(p), nil
	case len(p) >= directRead:
		n, err = b.r.read(p)
	default:
		b.r.roomForBody()
		if err = b.r.fill(); err == nil {
			n = b.r.unread(p)
		}
	}
	if err != nil {
		err = b.r.cut(err, false)
		b.ended = err == io.EOF //nolint:errorlint // cut gives io.EOF itself
	}
	return n, err
}

func (r *Reader) unread(p []byte) int {
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n
}

// Whole takes all that is left of the body at once, if it lies in the buffer to its end, so that a caller can write
// head and body in one call. It never waits. The bytes are a view that ends when the head's strings do. Where it
// reports false nothing was taken; what may be wrong with the body, Read says.
func (b *Body) Whole() ([]byte, bool) {
	r := b.r
	switch {
	case b.err != nil:
		return nil, false
	case b.Done():
		return nil, true
	case b.kind == chunked:
		return b.wholeChunked()
	case b.kind == untilClose || b.left > int64(r.w-r.r):
		return nil, false
	}
	whole := r.buf[r.r : r.r+int(b.left)]
	r.r += int(b.left)
	b.left = 0
	return whole[:len(whole):len(whole)], true
}
