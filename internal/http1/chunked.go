package http1

import (
	"bytes"
	"io"
	"math"
	"net/http"
)

// stage is where the reading of a chunked body stands (RFC 9112, section 7.1).
type stage uint8

const (
	atSize stage = iota
	atData
	atDataEnd // the line end behind a chunk's data
	atTrailer
	atEnd
)

func (b *Body) readChunked(p []byte) (n int, err error) {
	for n < len(p) {
		ready, err := b.advance()
		if err != nil {
			b.err = err
			return n, err
		}
		if b.stage == atEnd {
			return n, io.EOF
		}
		if n > 0 && (!ready || b.r.r == b.r.w) {
			return n, nil // the rest would have to be waited for
		}
		if err := b.more(p, &n, ready); err != nil {
			return n, b.r.cut(err, true)
		}
	}
	return n, nil
}

// more reads data where the body stands at data, and otherwise more input for the framing.
func (b *Body) more(p []byte, n *int, ready bool) error {
	if !ready {
		b.r.roomForBody()
		return b.r.fill()
	}
	m, err := b.readSome(p[*n:])
	*n += m
	if b.left == 0 {
		b.stage = atDataEnd
	}
	return err
}

// advance goes over what framing is buffered, up to data or to the end. It is not ready where more input is wanted.
func (b *Body) advance() (ready bool, err error) {
	for {
		moved := false
		switch b.stage {
		case atSize:
			moved, err = b.size()
		case atDataEnd:
			moved, err = b.dataEnd()
		case atTrailer:
			moved, err = b.trailers()
		default:
			return true, nil
		}
		if !moved || err != nil {
			return false, err
		}
	}
}

// size reads a chunk's first line: hexadecimal digits, and an extension that is bounded and dropped.
func (b *Body) size() (moved bool, err error) {
	r := b.r
	got := r.buf[r.r:r.w]
	n := run(got, isHex)
	if n > 16 {
		return false, r.bad("chunk size overflows")
	}
	if n == len(got) {
		return false, nil
	}
	if n == 0 || got[n] != '\r' && got[n] != ';' {
		return false, r.bad("malformed chunk size")
	}
	extension := textRun(got[n:])
	if extension > r.limits.ChunkExtension {
		return false, r.bad("chunk extension too long")
	}
	switch end := got[n+extension:]; {
	case len(end) == 0 || len(end) == 1 && end[0] == '\r':
		return false, nil
	case end[0] != '\r' || end[1] != '\n':
		return false, r.bad("malformed end of a chunk's first line")
	}
	var size uint64 // 16 digits fit
	for _, c := range got[:n] {
		size = size<<4 | uint64(unhex(c))
	}
	if size > math.MaxInt64 {
		return false, r.bad("chunk size overflows")
	}
	b.excess = int(max(0, int64(b.excess+extension)-int64(min(size, extensionCredit<<1))))
	if b.excess > extensionCredit {
		return false, r.bad("too many chunk extensions")
	}
	r.r += n + extension + 2
	b.left, b.stage = int64(size), atData
	if size == 0 {
		b.stage = atTrailer
	}
	return true, nil
}

func (b *Body) dataEnd() (moved bool, err error) {
	got := b.r.buf[b.r.r:b.r.w]
	switch {
	case len(got) > 0 && got[0] != '\r' || len(got) > 1 && got[1] != '\n':
		return false, b.r.bad("chunk longer than its size")
	case len(got) < 2:
		return false, nil
	}
	b.r.r += 2
	b.stage = atSize
	return true, nil
}

// trailers reads the trailer section, with the empty line that ends it, once all of it is buffered.
func (b *Body) trailers() (moved bool, err error) {
	r := b.r
	got := r.buf[r.r:r.w]
	end := 2
	if !bytes.HasPrefix(got, []byte("\r\n")) {
		end = bytes.Index(got, []byte("\r\n\r\n")) + 4
		switch {
		case end > r.limits.TrailerBytes || end < 4 && len(got) >= r.limits.TrailerBytes:
			return false, r.fail(http.StatusRequestHeaderFieldsTooLarge, "trailers too large")
		case end < 4:
			if (len(got) != 1 || got[0] != '\r') && hopeless(got, 0) {
				return false, r.bad("control, bare CR or bare LF in the trailers")
			}
			return false, nil
		}
		if err := b.trailerFields(got[:end]); err != nil {
			b.trailer.Reset() // nobody is to find the first fields of a section that was refused
			return false, err
		}
	}
	r.r += end
	r.base = r.r // the trailers' strings are views too
	b.stage = atEnd
	return true, nil
}

func (b *Body) trailerFields(section []byte) error {
	for count := 1; len(section) > 2; count++ {
		name, value, rest, text := field(section)
		switch {
		case text != "":
			return b.r.bad(text)
		case count > b.r.limits.Fields:
			return b.r.fail(http.StatusRequestHeaderFieldsTooLarge, "too many trailers")
		case ForbiddenTrailer(view(name)):
			return b.r.bad("field that must not be a trailer")
		}
		b.trailer.Add(view(name), view(value))
		section = rest
	}
	return nil
}

// wholeChunks bounds the chunks that Whole joins, so that what it remembers of them stays on the stack.
const wholeChunks = 16

// wholeChunked joins the chunks where they lie, once the end of the body is known to lie there as well.
func (b *Body) wholeChunked() ([]byte, bool) {
	r := b.r
	before, from := *b, r.r
	var chunks [wholeChunks][]byte
	count := 0
	for {
		ready, err := b.advance()
		if ready && err == nil && b.stage == atEnd {
			return join(chunks[:count]), true
		}
		if !ready || err != nil || count == wholeChunks || b.left > int64(r.w-r.r) {
			*b, r.r, r.failed = before, from, nil
			b.trailer.Reset()
			return nil, false
		}
		chunks[count] = r.buf[r.r : r.r+int(b.left)]
		count++
		r.r += int(b.left)
		b.left, b.stage = 0, atDataEnd
	}
}

// join moves the chunks, which lie in one buffer in order, to stand behind the first.
func join(chunks [][]byte) []byte {
	if len(chunks) == 0 {
		return nil
	}
	n := len(chunks[0])
	whole := chunks[0][:cap(chunks[0])]
	for _, c := range chunks[1:] {
		n += copy(whole[n:], c)
	}
	return whole[:n:n]
}
