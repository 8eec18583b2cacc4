// Package h2 is a client of HTTP/2 that works frame by frame, for tests of what no well-behaved client sends, and of what
// net/http's client does not do: malformed heads, resets, floods, extended CONNECT.
//
// It acknowledges settings and pings and gives credit for all that it receives. It checks nothing, repeats nothing and
// minds no window of its peer: a test that sends more than 64 KiB on a stream minds it itself. Tests call it.
package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameSize = 16 << 10 // the most that every peer takes (RFC 9113, section 4.2)
	maxKept   = 16 << 20 // bytes of one answer
)

// Answer is what came on one stream so far.
type Answer struct {
	Heads    [][]hpack.HeaderField // informational ones, then the answer's own
	Body     []byte
	Trailers []hpack.HeaderField
	Ended    bool           // by END_STREAM
	Reset    *http2.ErrCode // by RST_STREAM, the first one
}

// Status is the last head's; empty while there is none.
func (a Answer) Status() string { return a.Value(":status") }

// Value is the first value of the last head's field; empty where it has none.
func (a Answer) Value(name string) string {
	if len(a.Heads) == 0 {
		return ""
	}
	last := a.Heads[len(a.Heads)-1]
	if i := slices.IndexFunc(last, func(f hpack.HeaderField) bool { return f.Name == name }); i >= 0 {
		return last[i].Value
	}
	return ""
}

// Over is true once nothing more can come.
func (a Answer) Over() bool { return a.Ended || a.Reset != nil }

// Conn is a connection. Its methods may be called by anybody at any time.
type Conn struct {
	net     net.Conn
	writing sync.Mutex
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer

	mu       sync.Mutex
	changed  chan struct{}
	next     uint32
	answers  map[uint32]*Answer
	settings map[http2.SettingID]uint32
	goAway   *http2.GoAwayFrame
	ended    error // why nothing more is read
}

// Dial connects, over TLS where there is a configuration, and sends the preface with the settings.
func Dial(ctx context.Context, address string, config *tls.Config, settings ...http2.Setting) (*Conn, error) {
	var connection net.Conn
	var err error
	if config == nil {
		connection, err = new(net.Dialer).DialContext(ctx, "tcp", address)
	} else {
		config = config.Clone()
		config.NextProtos = []string{http2.NextProtoTLS}
		connection, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := &Conn{
		net: connection, framer: http2.NewFramer(connection, connection), next: 1,
		changed: make(chan struct{}), answers: map[uint32]*Answer{}, settings: map[http2.SettingID]uint32{},
	}
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer.AllowIllegalWrites = true
	c.framer.SetMaxReadFrameSize(1 << 20)
	_, err = io.WriteString(connection, http2.ClientPreface)
	if err == nil {
		err = c.framer.WriteSettings(settings...)
	}
	if err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("write preface: %w", err)
	}
	go c.read()
	return c, nil
}

// Close closes the connection, whatever is under way, and waits until nothing runs.
func (c *Conn) Close() error {
	err := c.net.Close()
	_ = c.Wait(context.Background(), func() bool { return false }) // ends with the reading
	return err
}

// Open begins a request. Fields are sent as they are, in order, with an id that is the next odd one.
func (c *Conn) Open(end bool, fields ...[2]string) (uint32, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	id := c.next
	c.next += 2
	c.answers[id] = &Answer{}
	c.mu.Unlock()
	return id, c.head(id, end, fields)
}

// Trailers ends a request with a second head.
func (c *Conn) Trailers(id uint32, fields ...[2]string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.head(id, true, fields)
}

func (c *Conn) head(id uint32, end bool, fields [][2]string) error {
	c.block.Reset()
	for _, field := range fields {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // a buffer takes all
	}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.block.Next(frameSize), EndStream: end, EndHeaders: c.block.Len() == 0,
	})
	for err == nil && c.block.Len() > 0 {
		piece := c.block.Next(frameSize)
		err = c.framer.WriteContinuation(id, c.block.Len() == 0, piece)
	}
	return err
}

// Data sends a piece of a body, in as many frames as it takes.
func (c *Conn) Data(id uint32, data []byte, end bool) error {
	return c.Frames(func(f *http2.Framer) error {
		for len(data) > frameSize {
			if err := f.WriteData(id, false, data[:frameSize]); err != nil {
				return err
			}
			data = data[frameSize:]
		}
		return f.WriteData(id, end, data)
	})
}

// Reset gives a stream up.
func (c *Conn) Reset(id uint32, code http2.ErrCode) error {
	return c.Frames(func(f *http2.Framer) error { return f.WriteRSTStream(id, code) })
}

// Frames writes whatever frames a test wants to.
func (c *Conn) Frames(write func(*http2.Framer) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return write(c.framer)
}

// Answer is what came on a stream so far.
func (c *Conn) Answer(id uint32) Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.copied(id)
}

func (c *Conn) copied(id uint32) Answer {
	if a := c.answers[id]; a != nil {
		copied := *a
		copied.Heads, copied.Body, copied.Trailers = slices.Clone(a.Heads), slices.Clone(a.Body), slices.Clone(a.Trailers)
		return copied
	}
	return Answer{}
}

// Whole waits until a stream is over, and returns what came on it.
func (c *Conn) Whole(ctx context.Context, id uint32) (Answer, error) {
	err := c.Wait(ctx, func() bool { return c.Answer(id).Over() })
	return c.Answer(id), err
}

// Setting is what the server has set; ok is false where it has not.
func (c *Conn) Setting(id http2.SettingID) (value uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok = c.settings[id]
	return value, ok
}

// GoAway is the last stream and the code of the server's latest GOAWAY; ok is false while none came.
func (c *Conn) GoAway() (last uint32, code http2.ErrCode, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.goAway == nil {
		return 0, 0, false
	}
	return c.goAway.LastStreamID, c.goAway.ErrCode, true
}

// Ended is why nothing more is read: the connection's end. Nil while it lives.
func (c *Conn) Ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Wait waits until done, which is asked again after each frame, or until the connection's end.
func (c *Conn) Wait(ctx context.Context, done func() bool) error {
	for {
		c.mu.Lock()
		changed, ended := c.changed, c.ended
		c.mu.Unlock()
		switch {
		case done():
			return nil
		case ended != nil:
			return fmt.Errorf("the connection has ended: %w", ended)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
