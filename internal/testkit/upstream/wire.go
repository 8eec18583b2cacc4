package upstream

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"slices"
	"strconv"
	"strings"
)

const (
	maxLine   = 1 << 20 // of a head, a chunk size or a trailer
	maxHead   = 4 << 20 // of a head, or a field block
	tlsRecord = 0x16    // content type of a handshake record (RFC 8446, section 5.1)
)

// message is a request while it comes in.
type message struct {
	seen   Request
	sum    hash.Hash
	record *Record
}

func (m *message) snapshot() Request {
	s := m.seen
	s.Lines, s.Trailers, s.Body = slices.Clone(s.Lines), slices.Clone(s.Trailers), slices.Clone(s.Body)
	m.sum.Sum(s.SHA256[:0])
	return s
}

func (m *message) write(body []byte) {
	m.seen.Length += int64(len(body))
	_, _ = m.sum.Write(body) // a hash never fails
	kept := body[:min(len(body), m.record.body-len(m.seen.Body), m.record.room)]
	m.seen.Body = append(m.seen.Body, kept...)
	m.record.room -= len(kept)
}

// wire follows the bytes of one connection from request to request. It records; it refuses nothing: what it cannot
// follow, it goes on to count. The Record's lock is held while it runs.
type wire struct {
	record     *Record
	connection *Connection
	index      int
	step       func(*wire, []byte) []byte // takes some of the input and returns the rest; nil before the first byte
	line       []byte                     // a line so far
	head       []byte                     // a head so far
	message    *message
	left       int64   // of a body or a chunk
	frames     *frames // HTTP/2's, once its preface has come
}

func (w *wire) feed(in []byte) {
	if w.step == nil {
		w.step = (*wire).readHead
		if in[0] == tlsRecord {
			w.connection.TLSHello = true
			w.step = (*wire).opaque
		}
	}
	if !w.connection.TLSHello {
		w.record.bytes += int64(len(in))
		w.connection.Bytes += int64(len(in))
	}
	for len(in) > 0 {
		in = w.step(w, in)
	}
}

// opaque follows nothing: a tunnel, or what is no HTTP/1.
func (w *wire) opaque([]byte) []byte { return nil }

// takeLine collects a line up to its end, which it takes off.
func (w *wire) takeLine(in []byte) (line string, rest []byte, ok bool) {
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		w.line = append(w.line, in...)
		if len(w.line) > maxLine {
			w.step = (*wire).opaque
		}
		return "", nil, false
	}
	w.line = append(w.line, in[:end+1]...)
	if w.message == nil {
		w.head = append(w.head, w.line...)
	}
	line = strings.TrimSuffix(string(w.line[:len(w.line)-1]), "\r")
	w.line = w.line[:0]
	return line, in[end+1:], true
}

func (w *wire) readHead(in []byte) []byte {
	line, rest, ok := w.takeLine(in)
	switch {
	case !ok:
	case len(w.head) > maxHead:
		w.step = (*wire).opaque
	case line != "":
	default:
		w.begin()
	}
	return rest
}

// begin opens a request whose head is whole, and finds where its body ends (RFC 9112, section 6.3).
func (w *wire) begin() {
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(w.head), "\r\n", "\n"), "\n\n"), "\n")
	if w.record.http2 && w.connection.Requests == 0 && len(lines) == 1 && lines[0] == prefaceHead {
		w.frames, w.step = newFrames(), (*wire).readFrames
		return
	}
	m := &message{sum: sha256.New(), record: w.record}
	m.seen = Request{Connection: w.index, Head: string(w.head), Lines: lines[1:]}
	m.seen.Method, m.seen.Target, _ = strings.Cut(lines[0], " ")
	if i := strings.LastIndexByte(m.seen.Target, ' '); i >= 0 {
		m.seen.Target, m.seen.Version = m.seen.Target[:i], m.seen.Target[i+1:]
	}
	m.seen.Host = strings.Join(values(m.seen.Lines, "Host"), ", ")
	w.head, w.message = w.head[:0], m
	w.keep(m)

	length := strings.Join(values(m.seen.Lines, "Content-Length"), ",")
	n, err := strconv.ParseInt(length, 10, 64)
	switch {
	case m.seen.Version != "HTTP/1.1" && m.seen.Version != "HTTP/1.0":
		w.step = (*wire).opaque
	case strings.EqualFold(strings.Join(values(m.seen.Lines, "Transfer-Encoding"), ","), "chunked"):
		w.step = (*wire).readSize
	case length != "" && (err != nil || n < 0):
		w.step = (*wire).opaque
	case n > 0:
		w.left, w.step = n, (*wire).readBody
	default:
		w.finish()
	}
}

// keep counts a request whose head has come, and keeps it while there is room.
func (w *wire) keep(m *message) {
	w.record.heads++
	w.connection.Requests++
	if len(w.record.requests) < keepRecords && w.record.room >= len(m.seen.Head) {
		w.record.requests = append(w.record.requests, m)
		w.record.room -= len(m.seen.Head)
	}
}

func (w *wire) finish() {
	w.message.seen.Complete = true
	w.message, w.step = nil, (*wire).readHead
}

// take passes on what of the input belongs to the body or chunk, and says whether that is its end.
func (w *wire) take(in []byte) (rest []byte, end bool) {
	n := min(int64(len(in)), w.left)
	w.message.write(in[:n])
	w.left -= n
	return in[n:], w.left == 0
}

func (w *wire) readBody(in []byte) []byte {
	rest, end := w.take(in)
	if end {
		w.finish()
	}
	return rest
}

func (w *wire) readSize(in []byte) []byte {
	line, rest, ok := w.takeLine(in)
	if !ok {
		return rest
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
	switch {
	case err != nil || n < 0:
		w.step = (*wire).opaque
	case n == 0:
		w.step = (*wire).readTrailers
	default:
		w.left, w.step = n, (*wire).readChunk
	}
	return rest
}

func (w *wire) readChunk(in []byte) []byte {
	rest, end := w.take(in)
	if end {
		w.step = (*wire).readChunkEnd
	}
	return rest
}

func (w *wire) readChunkEnd(in []byte) []byte {
	line, rest, ok := w.takeLine(in)
	switch {
	case !ok:
	case line != "":
		w.step = (*wire).opaque
	default:
		w.step = (*wire).readSize
	}
	return rest
}

func (w *wire) readTrailers(in []byte) []byte {
	line, rest, ok := w.takeLine(in)
	switch {
	case !ok:
	case line == "":
		w.finish()
	case len(w.message.seen.Trailers) == 1000: // more than any hop should carry
		w.step = (*wire).opaque
	default:
		w.message.seen.Trailers = append(w.message.seen.Trailers, line)
	}
	return rest
}
