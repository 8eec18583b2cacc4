package upstream

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	prefaceHead = "PRI * HTTP/2.0" // the first line of a preface; what follows its blank line is prefaceRest
	prefaceRest = "SM\r\n\r\n"
	frameHead   = 9
	maxFrame    = 1<<20 + frameHead // what net/http's server allows
	maxTable    = 1 << 20           // of dynamic entries: whatever the server's settings allow
	maxFields   = 1000              // trailers that are kept
)

// frames follows HTTP/2's frames from a client (RFC 9113). What it cannot follow it leaves to be counted.
type frames struct {
	buffer  []byte // a frame so far
	skip    int    // bytes of the preface still to come
	decoder *hpack.Decoder
	fields  []hpack.HeaderField
	block   []byte              // a field block so far
	first   http2.FrameHeader   // of the HEADERS frame that began it
	open    map[uint32]*message // requests whose end has not come, by stream
	newest  uint32              // the highest stream that was opened
}

func newFrames() *frames {
	f := &frames{skip: len(prefaceRest), open: map[uint32]*message{}}
	f.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) { f.fields = append(f.fields, field) })
	f.decoder.SetAllowedMaxDynamicTableSize(maxTable)
	return f
}

// readFrames takes the rest of the preface, then frame after frame.
func (w *wire) readFrames(in []byte) []byte {
	f := w.frames
	if f.skip > 0 {
		n := min(f.skip, len(in))
		f.skip -= n
		return in[n:]
	}
	want := frameHead
	if len(f.buffer) >= frameHead {
		want += int(f.buffer[0])<<16 | int(f.buffer[1])<<8 | int(f.buffer[2])
	}
	if want > maxFrame {
		w.step = (*wire).opaque
		return nil
	}
	n := min(want-len(f.buffer), len(in))
	f.buffer = append(f.buffer, in[:n]...)
	if len(f.buffer) == want && (want > frameHead || [3]byte(f.buffer) == [3]byte{}) {
		head := http2.FrameHeader{
			Type: http2.FrameType(f.buffer[3]), Flags: http2.Flags(f.buffer[4]), Length: uint32(want - frameHead),
			StreamID: binary.BigEndian.Uint32(f.buffer[5:]) &^ (1 << 31),
		}
		if !w.frame(head, f.buffer[frameHead:]) {
			w.step = (*wire).opaque
		}
		f.buffer = f.buffer[:0]
	}
	return in[n:]
}

// frame is false for what cannot be followed further.
func (w *wire) frame(head http2.FrameHeader, payload []byte) bool {
	f := w.frames
	switch head.Type {
	case http2.FrameData:
		payload, ok := unpadded(head, payload, http2.FlagDataPadded)
		if m := f.open[head.StreamID]; ok && m != nil {
			m.write(payload)
			f.end(head, m)
		}
		return ok
	case http2.FrameHeaders:
		payload, ok := unpadded(head, payload, http2.FlagHeadersPadded)
		if head.Flags.Has(http2.FlagHeadersPriority) && ok {
			if ok = len(payload) >= 5; ok {
				payload = payload[5:]
			}
		}
		f.first, f.block = head, append(f.block[:0], payload...)
		return ok && (!head.Flags.Has(http2.FlagHeadersEndHeaders) || w.fieldBlock())
	case http2.FrameContinuation:
		f.block = append(f.block, payload...)
		return len(f.block) <= maxHead && (!head.Flags.Has(http2.FlagContinuationEndHeaders) || w.fieldBlock())
	case http2.FrameRSTStream:
		if m := f.open[head.StreamID]; m != nil && len(payload) == 4 {
			m.seen.Reset = http2.ErrCode(binary.BigEndian.Uint32(payload)).String()
			delete(f.open, head.StreamID)
		}
	}
	return true
}

func unpadded(head http2.FrameHeader, payload []byte, flag http2.Flags) ([]byte, bool) {
	if !head.Flags.Has(flag) {
		return payload, true
	}
	if len(payload) == 0 || int(payload[0]) >= len(payload) {
		return nil, false
	}
	return payload[1 : len(payload)-int(payload[0])], true
}

// fieldBlock opens a request, or adds the trailers of one.
func (w *wire) fieldBlock() bool {
	f := w.frames
	f.fields = f.fields[:0]
	if _, err := f.decoder.Write(f.block); err != nil || f.decoder.Close() != nil {
		return false
	}
	m := f.open[f.first.StreamID]
	switch {
	case m != nil:
		for _, field := range f.fields[:min(len(f.fields), maxFields)] {
			m.seen.Trailers = append(m.seen.Trailers, field.Name+": "+field.Value)
		}
	case f.first.StreamID <= f.newest: // of a stream that is over
		return true
	default:
		m = w.stream(f.first.StreamID, f.fields)
		f.newest, f.open[f.first.StreamID] = f.first.StreamID, m
		w.keep(m)
	}
	f.end(f.first, m)
	return true
}

// end closes a request at END_STREAM, which has the same bit in both frames that carry it.
func (f *frames) end(head http2.FrameHeader, m *message) {
	if head.Flags.Has(http2.FlagDataEndStream) {
		m.seen.Complete = true
		delete(f.open, head.StreamID)
	}
}

// stream is a request as its fields tell of it (RFC 9113, section 8.3.1; RFC 8441, section 4).
func (w *wire) stream(id uint32, fields []hpack.HeaderField) *message {
	m := &message{sum: sha256.New(), record: w.record}
	m.seen = Request{Connection: w.index, Stream: id, Version: "HTTP/2.0"}
	var head strings.Builder
	for _, field := range fields {
		head.WriteString(field.Name + ": " + field.Value + "\r\n")
		switch field.Name {
		case ":method":
			m.seen.Method = field.Value
		case ":scheme":
			m.seen.Scheme = field.Value
		case ":authority":
			m.seen.Host = field.Value
		case ":path":
			m.seen.Target = field.Value
		case ":protocol":
			m.seen.Protocol = field.Value
		default:
			m.seen.Lines = append(m.seen.Lines, field.Name+": "+field.Value)
		}
	}
	m.seen.Head = head.String() + "\r\n"
	if !slices.ContainsFunc(fields, func(f hpack.HeaderField) bool { return f.Name == ":authority" }) {
		m.seen.Host = strings.Join(values(m.seen.Lines, "Host"), ", ")
	}
	return m
}
