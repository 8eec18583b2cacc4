package dialect

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
)

// A frame of application/vnd.amazon.eventstream: the lengths of all of it and of its headers and a CRC over both, the
// headers, the payload, and a CRC over all before.
// https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html
const (
	preludeLength = 12
	frameOverhead = 16       // prelude and last CRC
	maxFrame      = 24 << 20 // above what any service sends: https://smithy.io/2.0/aws/amazon-eventstream.html
)

// frame takes frames up to the end of one. After one that is broken no other can be found: it is output, and so is all
// that follows.
func (s *Stream) frame(p []byte) (int, Event) {
	if s.broken {
		return len(p), None
	}
	s.open = true
	if s.skip > 0 {
		return s.pass(p)
	}
	prelude := &s.prelude
	if n := copy(prelude[:], s.held); n+copy(prelude[n:], p) < preludeLength {
		s.keep(p)
		return len(p), None
	}
	total, headers := int(binary.BigEndian.Uint32(prelude[:])), int(binary.BigEndian.Uint32(prelude[4:]))
	rest := total - len(s.held)
	switch {
	case crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]), total > maxFrame, headers > total-frameOverhead:
		s.broken = true
		return len(p), Output
	case total > maxEvent:
		s.held, s.skip = s.held[:0], rest
		return s.pass(p)
	case len(p) < rest:
		s.keep(p)
		return len(p), None
	}
	whole := p[:rest]
	if len(s.held) > 0 {
		s.keep(whole)
		whole = s.held
	}
	end := total - 4
	if crc32.ChecksumIEEE(whole[:end]) != binary.BigEndian.Uint32(whole[end:]) {
		s.broken = true
		return len(p), Output
	}
	s.open = false
	s.events++
	return rest, s.readFrame(whole[preludeLength:preludeLength+headers], whole[preludeLength+headers:end])
}

// pass takes what is left of a frame that is too large to keep.
func (s *Stream) pass(p []byte) (int, Event) {
	n := min(s.skip, len(p))
	if s.skip -= n; s.skip > 0 {
		return n, None
	}
	s.open = false
	return n, Output
}

func (s *Stream) readFrame(headers []byte, payload value) Event {
	var message, kind []byte
	for len(headers) > 0 {
		name, v, rest, ok := header(headers)
		if !ok {
			return Output
		}
		switch string(name) {
		case ":message-type":
			message = v
		case ":event-type":
			kind = v
		}
		headers = rest
	}
	switch {
	case string(message) == "exception", string(message) == "error": // modelled by the service, and not
		return Error
	case string(message) != "event", !s.output && !json.Valid(payload):
		return Output
	case s.dialect == Converse:
		return s.converse(kind, payload)
	}
	return s.invoke(kind, payload)
}

// header cuts the first of the headers off. Only a string's value is given.
func header(b []byte) (name, v, rest []byte, ok bool) {
	const isBytes, isString = 6, 7
	lengths := [...]int{0, 0, 1, 2, 4, 8, isBytes: 0, isString: 0, 8: 8, 9: 16} // by type of value
	n := int(b[0])
	if len(b) < n+2 || int(b[n+1]) >= len(lengths) {
		return nil, nil, nil, false
	}
	name, kind, b := b[1:n+1], b[n+1], b[n+2:]
	length := lengths[kind]
	if kind == isBytes || kind == isString {
		if len(b) < 2 {
			return nil, nil, nil, false
		}
		length, b = int(binary.BigEndian.Uint16(b)), b[2:]
	}
	if len(b) < length {
		return nil, nil, nil, false
	}
	if kind == isString {
		v = b[:length]
	}
	return name, v, b[length:], true
}
