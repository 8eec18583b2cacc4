//go:build !race

package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// The frames of HTTP/2 that the ends of a benchmark need (RFC 9113, section 6), and their flags.
const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameData     = 0x0
	frameHeaders  = 0x1
	frameSettings = 0x4
	framePing     = 0x6
	frameWindow   = 0x8

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

// frame appends a frame to b.
func frame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// literals appends field lines that no table keeps (RFC 7541, section 6.2.2).
func literals(b []byte, pairs ...string) []byte {
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, 0, byte(len(pairs[i])))
		b = append(b, pairs[i]...)
		b = append(b, byte(len(pairs[i+1])))
		b = append(b, pairs[i+1]...)
	}
	return b
}

// wide lets a side send as much as there may be to send (RFC 9113, section 6.9.1).
func wide(b []byte) []byte {
	return frame(b, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<31-1-65535))
}

// frames speaks HTTP/2 with canned frames, and allocates nothing for it.
type frames struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	room []byte
}

func newFrames(c net.Conn) *frames {
	return &frames{conn: c, in: bufio.NewReaderSize(c, 32<<10), room: make([]byte, 16<<10)}
}

// next is the next frame that is about a stream, of which it has the end or not. What is about the connection is answered.
func (f *frames) next() (stream uint32, end bool, err error) {
	for {
		head := f.room[:9]
		if _, err := io.ReadFull(f.in, head); err != nil {
			return 0, false, err
		}
		size, kind, flags := int(head[0])<<16|int(head[1])<<8|int(head[2]), head[3], head[4]
		stream = binary.BigEndian.Uint32(head[5:])
		payload := f.room[9 : 9+size]
		if _, err := io.ReadFull(f.in, payload); err != nil {
			return 0, false, err
		}
		switch kind {
		case frameData, frameHeaders:
			return stream, flags&flagEndStream != 0, nil
		case frameSettings, framePing:
			if flags&flagAck != 0 {
				continue
			}
			if kind == frameSettings {
				payload = nil
			}
			if _, err := f.conn.Write(frame(f.out[:0], kind, flagAck, 0, payload)); err != nil {
				return 0, false, err
			}
		case frameWindow:
		default:
			return 0, false, errors.New("a frame of another kind")
		}
	}
}

// cannedHTTP2 answers every stream with the same frames.
func cannedHTTP2(t testing.TB, body []byte) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	fields := literals([]byte{0x88}, "content-type", "application/json") // :status 200 has an index
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f := newFrames(c)
				f.out = make([]byte, 0, 4<<10)
				if _, err := io.ReadFull(f.in, f.room[:len(http2Preface)]); err != nil {
					return
				}
				if _, err := c.Write(wide(frame(nil, frameSettings, 0, 0, nil))); err != nil {
					return
				}
				for {
					stream, end, err := f.next()
					if err != nil {
						return
					}
					if !end {
						continue
					}
					out := frame(f.out[:0], frameHeaders, flagEndHeaders, stream, fields)
					if _, err := c.Write(frame(out, frameData, flagEndStream, stream, body)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// exchangesHTTP2 sends one request after the other on one connection in clear text.
func exchangesHTTP2(b *testing.B, far *plan.Backend, body []byte) {
	r := newRig(b, nil, far)
	r.seen.silent = true
	c := r.connect()
	defer c.Close()
	f := newFrames(c)
	if _, err := c.Write(wide(frame([]byte(http2Preface), frameSettings, 0, 0, nil))); err != nil {
		b.Fatal(err)
	}
	method := "GET"
	flags := byte(flagEndHeaders | flagEndStream)
	if body != nil {
		method, flags = "POST", flagEndHeaders
	}
	fields := literals(nil, ":method", method, ":scheme", "http", ":authority", "h", ":path", "/0/v1/x", "accept", "*/*", "user-agent", "bench")
	out := make([]byte, 0, 4<<10)
	stream := uint32(1)
	one := func() {
		request := frame(out[:0], frameHeaders, flags, stream, fields)
		if body != nil {
			request = frame(request, frameData, flagEndStream, stream, body)
		}
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		for end := false; !end; {
			var of uint32
			var err error
			if of, end, err = f.next(); err != nil || of != stream {
				b.Fatalf("stream %d in place of %d: %v", of, stream, err)
			}
		}
		stream += 2
	}
	for range 100 {
		one()
	}
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
}

// BenchmarkExchangeHTTP2 is BenchmarkExchange with a client that speaks HTTP/2, and far sides of both versions.
func BenchmarkExchangeHTTP2(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	b.Run("to HTTP 1.1", func(b *testing.B) {
		const sent = "GET /0/v1/x HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nUser-Agent: bench\r\nVia: 2 ebbgate-0123456789abcdef\r\n\r\n"
		answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n"), body...)
		exchangesHTTP2(b, service("far", canned(b, len(sent), answer)), nil)
	})
	b.Run("to HTTP 2", func(b *testing.B) { exchangesHTTP2(b, h2c("far", cannedHTTP2(b, body)), nil) })
	b.Run("to HTTP 2 with a body", func(b *testing.B) { exchangesHTTP2(b, h2c("far", cannedHTTP2(b, body)), body[:128]) })
}
