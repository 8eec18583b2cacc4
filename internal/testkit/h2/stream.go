package h2

import (
	"context"
	"fmt"
	"io"
)

// Stream is one stream's two bodies as bytes, for what is spoken inside of a tunnel (RFC 9113, section 8.5; RFC 8441).
type Stream struct {
	conn *Conn
	ctx  context.Context // io.Reader has no place for it
	id   uint32
	read int
}

// Stream is a view of a stream that was opened without its end. It waits no longer than the context lives.
func (c *Conn) Stream(ctx context.Context, id uint32) *Stream {
	return &Stream{conn: c, ctx: ctx, id: id}
}

// Write sends bytes.
func (s *Stream) Write(p []byte) (int, error) {
	if err := s.conn.Data(s.id, p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite ends our side.
func (s *Stream) CloseWrite() error { return s.conn.Data(s.id, nil, true) }

// Read gives bytes as they come; io.EOF after END_STREAM.
func (s *Stream) Read(p []byte) (int, error) {
	var a Answer
	err := s.conn.Wait(s.ctx, func() bool {
		a = s.conn.Answer(s.id)
		return len(a.Body) > s.read || a.Over()
	})
	switch {
	case len(a.Body) > s.read:
		n := copy(p, a.Body[s.read:])
		s.read += n
		return n, nil
	case a.Reset != nil:
		return 0, fmt.Errorf("stream reset: %s", *a.Reset)
	case err != nil:
		return 0, err
	default:
		return 0, io.EOF
	}
}
