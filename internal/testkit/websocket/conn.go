// Package websocket is as much of RFC 6455 as an echo and its client need, over any stream: an upgraded HTTP/1.1 connection
// or a stream of HTTP/2 (RFC 8441).
//
// It knows no extensions, checks no UTF-8 and is not for the data path, to which a WebSocket is bytes. Tests call it.
package websocket

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Op is what a frame is (section 5.2).
type Op byte

// The opcodes.
const (
	more   Op = 0x0 // a message's continuation
	Text   Op = 0x1
	Binary Op = 0x2
	Close  Op = 0x8
	Ping   Op = 0x9
	Pong   Op = 0xA
)

const (
	fin        = 0x80
	masked     = 0x80
	maxMessage = 16 << 20
	maxControl = 125 // section 5.5
)

// mask is what clients hide payloads from proxies with (section 5.3). Tests want no surprise.
var mask = [4]byte{0x1f, 0x2e, 0x3d, 0x4c}

// Conn exchanges messages. One goroutine may read while another writes.
type Conn struct {
	reader  *bufio.Reader
	writer  io.Writer
	client  bool
	began   Op // of a message of which pieces have come
	message []byte
}

// New speaks over a stream whose handshake is done, as its client or its server.
func New(stream io.ReadWriter, client bool) *Conn {
	return &Conn{reader: bufio.NewReader(stream), writer: stream, client: client}
}

// Write sends a message in one frame, or a control frame.
func (c *Conn) Write(op Op, payload []byte) error { return c.WriteFrame(op, payload, true) }

// WriteFrame sends a frame. A message in pieces begins with its Op, goes on with 0 and ends with last.
func (c *Conn) WriteFrame(op Op, payload []byte, last bool) error {
	frame := []byte{byte(op)}
	if last {
		frame[0] |= fin
	}
	switch n := len(payload); {
	case n <= maxControl:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	start := len(frame)
	if c.client {
		frame[1] |= masked
		frame = append(frame, mask[:]...)
		start = len(frame)
	}
	frame = append(frame, payload...)
	if c.client {
		apply(mask, frame[start:])
	}
	if _, err := c.writer.Write(frame); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// Read gives the next message, whole, or the next control frame, which may come between a message's pieces.
func (c *Conn) Read() (Op, []byte, error) {
	for {
		op, payload, last, err := c.frame(maxMessage - len(c.message))
		switch {
		case err != nil:
			return 0, nil, err
		case op >= Close:
			return op, payload, nil
		case (op == more) != (c.began != 0):
			return 0, nil, fmt.Errorf("read message: opcode %d out of order", op)
		case op != more:
			c.began = op
		}
		c.message = append(c.message, payload...)
		if last {
			op, message := c.began, c.message
			c.began, c.message = 0, nil
			return op, message, nil
		}
	}
}

func (c *Conn) frame(most int) (op Op, payload []byte, last bool, err error) {
	var head [14]byte
	if _, err = io.ReadFull(c.reader, head[:2]); err != nil {
		return 0, nil, false, fmt.Errorf("read frame: %w", err)
	}
	op, last = Op(head[0]&0x0f), head[0]&fin != 0
	size, extra := uint64(head[1]&^masked), 0
	switch size {
	case 126:
		extra = 2
	case 127:
		extra = 8
	}
	hidden := head[1]&masked != 0
	if hidden == c.client {
		return 0, nil, false, fmt.Errorf("read frame: masked is %t (section 5.1)", hidden)
	}
	if _, err = io.ReadFull(c.reader, head[:extra]); err != nil {
		return 0, nil, false, fmt.Errorf("read frame: %w", err)
	}
	if extra > 0 {
		var whole [8]byte
		copy(whole[8-extra:], head[:extra])
		size = binary.BigEndian.Uint64(whole[:])
	}
	if size > uint64(most) || op >= Close && (size > maxControl || !last) {
		return 0, nil, false, fmt.Errorf("read frame: %d bytes with opcode %d", size, op)
	}
	var key [4]byte
	if hidden {
		if _, err = io.ReadFull(c.reader, key[:]); err != nil {
			return 0, nil, false, fmt.Errorf("read frame: %w", err)
		}
	}
	payload = make([]byte, size)
	if _, err = io.ReadFull(c.reader, payload); err != nil {
		return 0, nil, false, fmt.Errorf("read frame: %w", err)
	}
	if hidden {
		apply(key, payload)
	}
	return op, payload, last, nil
}

func apply(key [4]byte, p []byte) {
	for i := range p {
		p[i] ^= key[i%4]
	}
}
