package upstream

import (
	"bytes"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	bytesOfAnswer = 100
	frameSize     = 16 << 10 // the most that every peer takes (RFC 9113, section 4.2)
)

// session is one connection of an HTTP2Fault, frame by frame.
type session struct {
	fault  *HTTP2Fault
	conn   *conn
	framer *http2.Framer
	bodies map[uint32]bool // streams whose request is under way; true: it fails once it is whole
}

// run ends with the connection, or when that has failed as it should.
func (s *session) run() {
	s.framer = http2.NewFramer(s.conn, s.conn)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.framer.AllowIllegalWrites = true
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(s.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	var settings []http2.Setting
	if s.fault.config.Kind == NoCredit {
		settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	}
	if s.framer.WriteSettings(settings...) != nil {
		return
	}
	for on := true; on; {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			return // the client's end, or its mistake, which is in the record
		}
		on = s.frame(frame)
	}
}

// frame is false when the connection is over. What a client no longer reads it was not written for: errors of writing
// show in the next read.
func (s *session) frame(frame http2.Frame) bool {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			_ = s.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			_ = s.framer.WritePing(true, frame.Data)
		}
	case *http2.MetaHeadersFrame:
		if _, trailers := s.bodies[frame.StreamID]; !trailers {
			return s.head(frame.StreamID, frame.StreamEnded())
		}
		return s.whole(frame.StreamID)
	case *http2.DataFrame:
		return s.data(frame)
	case *http2.RSTStreamFrame:
		delete(s.bodies, frame.StreamID)
	}
	return true
}

func (s *session) head(id uint32, ended bool) bool {
	fails := s.fault.config.Kind > Deaf && s.fault.take()
	if fails && s.fault.config.Kind < Unanswered {
		return s.failAtHead(id)
	}
	s.bodies[id] = fails
	return !ended || s.whole(id)
}

func (s *session) data(frame *http2.DataFrame) bool {
	_, live := s.bodies[frame.StreamID]
	if n := frame.Length; n > 0 { // padding counts
		_ = s.framer.WriteWindowUpdate(0, n)
		if live && !frame.StreamEnded() {
			_ = s.framer.WriteWindowUpdate(frame.StreamID, n)
		}
	}
	return !live || !frame.StreamEnded() || s.whole(frame.StreamID)
}

func (s *session) failAtHead(id uint32) bool {
	code := s.fault.config.Code
	switch s.fault.config.Kind {
	case RefuseStream:
		_ = s.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	case GoAwayBelow, GoAwayCovering:
		last := id
		if s.fault.config.Kind == GoAwayBelow {
			last = max(id, 2) - 2
		}
		_ = s.framer.WriteGoAway(last, code, nil)
		s.conn.finish()
		return false
	case HangUp:
		return false
	case AbortAtHead:
		s.conn.reset()
		return false
	case ResetStream:
		_ = s.framer.WriteRSTStream(id, code)
	case EarlyAnswer:
		s.answer(id, bytesOfAnswer, true, [2]string{":status", "200"}, [2]string{"content-length", "100"})
		_ = s.framer.WriteRSTStream(id, http2.ErrCodeNo)
	}
	return true
}

// whole answers a request that has come to its end.
func (s *session) whole(id uint32) bool {
	fails := s.bodies[id]
	delete(s.bodies, id)
	ok := [2]string{":status", "200"}
	if !fails {
		s.write(id, false, ok)
		_ = s.framer.WriteData(id, true, []byte("served"))
		return true
	}
	switch s.fault.config.Kind {
	case Unanswered:
		return true
	case ResetAnswer:
		s.answer(id, 0, false, ok)
	case ResetBody:
		s.answer(id, bytesOfAnswer, false, ok)
	case ResetTrailers:
		s.answer(id, bytesOfAnswer, false, ok, [2]string{"trailer", "x-sum"})
	case HangUpBody:
		s.answer(id, bytesOfAnswer, false, ok, [2]string{"content-length", "1000"})
		s.conn.finish()
		return false
	case ShortBody:
		s.answer(id, bytesOfAnswer, true, ok, [2]string{"content-length", "1000"})
		return true
	case Hint:
		s.write(id, false, [2]string{":status", "103"}, [2]string{"link", "</a>"})
		s.answer(id, bytesOfAnswer, true, ok)
		return true
	case BadHead:
		s.write(id, true, s.fault.config.Fields...)
		return true
	}
	_ = s.framer.WriteRSTStream(id, s.fault.config.Code)
	return true
}

// answer writes a head and n bytes.
func (s *session) answer(id uint32, n int, end bool, fields ...[2]string) {
	s.write(id, false, fields...)
	if n > 0 {
		_ = s.framer.WriteData(id, end, bytes.Repeat([]byte("x"), n))
	}
}

// write writes a head, in as many frames as it takes.
func (s *session) write(id uint32, end bool, fields ...[2]string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0) // each head by itself
	for _, field := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // a buffer takes all
	}
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: block.Next(frameSize), EndStream: end, EndHeaders: block.Len() == 0,
	})
	for block.Len() > 0 {
		piece := block.Next(frameSize)
		_ = s.framer.WriteContinuation(id, block.Len() == 0, piece)
	}
}
