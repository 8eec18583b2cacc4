package h2

import (
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// read runs until the connection's end, or a frame that is no HTTP/2.
func (c *Conn) read() {
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.change(func() { c.ended = err })
			return
		}
		c.change(func() { c.take(frame) })
		c.reply(frame)
	}
}

func (c *Conn) change(alter func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	alter()
	close(c.changed)
	c.changed = make(chan struct{})
}

// take notes what came. The lock is held.
func (c *Conn) take(frame http2.Frame) {
	a := c.answers[frame.Header().StreamID]
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		for i := range frame.NumSettings() {
			s := frame.Setting(i)
			c.settings[s.ID] = s.Val
		}
	case *http2.GoAwayFrame:
		copied := *frame
		c.goAway = &copied
	case *http2.MetaHeadersFrame:
		if a == nil {
			return
		}
		if n := len(a.Heads); n == 0 || strings.HasPrefix(a.Status(), "1") {
			a.Heads = append(a.Heads, frame.Fields)
		} else {
			a.Trailers = frame.Fields
		}
		a.Ended = frame.StreamEnded()
	case *http2.DataFrame:
		if a != nil {
			if len(a.Body) < maxKept {
				a.Body = append(a.Body, frame.Data()...)
			}
			a.Ended = frame.StreamEnded()
		}
	case *http2.RSTStreamFrame:
		if a != nil && a.Reset == nil { // net/http's server sends another one where its handler ends by a panic
			code := frame.ErrCode
			a.Reset = &code
		}
	}
}

// reply does what keeps the connection going. Errors of writing show in the next read.
func (c *Conn) reply(frame http2.Frame) {
	_ = c.Frames(func(f *http2.Framer) error {
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				return f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				return f.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			if n := frame.Length; n > 0 {
				if !frame.StreamEnded() {
					_ = f.WriteWindowUpdate(frame.StreamID, n)
				}
				return f.WriteWindowUpdate(0, n)
			}
		}
		return nil
	})
}
