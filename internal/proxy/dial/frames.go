package dial

import "errors"

// What a far side may send over HTTP/2 beside answers and their bodies, in bytes: at once, where bodies may be on their way
// that nobody has read yet, and a second. And what earns some: fields and bodies come in frames, small ones in TLS records of
// their own; for what it reads of a request it opens windows; what was on its way when nobody wanted it any more.
const (
	maxFrames  = 32 << 20
	framesRate = 64 << 10
	headFrame  = 512 // beside an answer's fields
	bodyFrame  = 2   // times a body's bytes
	writeFrame = 96  // beside a part of the bytes of a request that are written
	writeShare = 16
)

var errFrames = errors.New("more frames than answers explain")

// Head tells how many bytes the fields of an answer had: they explain what came.
func (s *Stream) Head(n int) { s.shared.conn.wire.frames.Earn(headFrame + int64(n)) }

// Body tells how many bytes of an answer's body were read.
func (s *Stream) Body(n int) { s.shared.conn.wire.frames.Earn(bodyFrame * int64(n)) }

// Sent tells how many bytes of a request's body are sent.
func (s *Stream) Sent(n int) { s.shared.conn.wire.frames.Earn(writeFrame + int64(n)/writeShare) }

// Left tells that the rest of an answer is not read.
func (s *Stream) Left() { s.shared.conn.wire.frames.Earn(streamWindow) }
