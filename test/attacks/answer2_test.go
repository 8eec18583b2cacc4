package attacks

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// session is a far side's connection of HTTP/2, frame by frame.
type session struct {
	*http2.Framer
	conn    *fakeConn
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// run answers requests, which have no bodies, until the connection's end. What nobody reads any more it was not written
// for: errors of writing show in the next read.
func (s *session) run(list []frames) {
	s.Framer, s.encoder = http2.NewFramer(s.conn, s.conn), hpack.NewEncoder(&s.block)
	s.ReadMetaHeaders, s.AllowIllegalWrites = hpack.NewDecoder(4096, nil), true
	if _, err := io.ReadFull(s.conn, make([]byte, len(http2.ClientPreface))); err != nil || s.WriteSettings() != nil {
		return
	}
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = s.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = s.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			path := frame.PseudoValue("path")
			if id, attack := s.conn.asked(path); attack {
				list[id].write(s, frame.StreamID)
				continue
			}
			s.head(frame.StreamID, false, ":status", "200")
			s.data(frame.StreamID, true, said("GET", path, ""))
		}
	}
}

// head writes a head, or trailers, of pairs of name and value.
func (s *session) head(id uint32, end bool, pairs ...string) {
	s.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = s.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // a buffer takes all
	}
	const most = 16 << 10
	_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.block.Next(most), EndStream: end, EndHeaders: s.block.Len() == 0})
	for s.block.Len() > 0 {
		piece := s.block.Next(most)
		_ = s.WriteContinuation(id, s.block.Len() == 0, piece)
	}
}

func (s *session) data(id uint32, end bool, text string) { _ = s.WriteData(id, end, []byte(text)) }

// frames is what a far side of HTTP/2 answers with, and what a client must see of it.
type frames struct {
	name  string
	write func(s *session, id uint32)
	want  string // as view has it
	again bool   // it ends the connection: who is idempotent may be asked again
}

// TestAnswersOfHTTP2 is TestAnswersOfHTTP1 for far sides of HTTP/2, of whose connections each stream stands by itself.
func TestAnswersOfHTTP2(t *testing.T) {
	t.Parallel()
	list := slices.Concat(badHeads(), replies2())
	f := fake(t, func(c *fakeConn) { (&session{conn: c}).run(list) })
	g := serve(t, far{host: host, address: f.address, protocol: plan.HTTP2})
	for id, r := range list {
		f.check(t, g, r.name, id, r.want, !r.again, r.again, func(context.Context) string { return g.over1(t, f, reply{name: r.name}, id) })
		f.check(t, g, r.name+", HTTP/2", id, r.want, !r.again, r.again, func(ctx context.Context) string { return g.over2(t, ctx, f, reply{name: r.name}, id) })
	}
}

// badHeads are malformed heads, each once with a body behind it and once alone.
func badHeads() (list []frames) {
	heads := upstream.BadHeads()
	delete(heads, "length that is missed") // no head is, by itself
	for _, value := range []string{"5, 5", "5,6", "+5", "-5", "0x5", "", "9223372036854775808"} {
		heads["length "+value] = [][2]string{{":status", "200"}, {"content-length", value}}
	}
	for _, value := range []string{"600", "999", "099", "000", "0200", " 200", "200 OK", "+20", "1e2", "200\r\nx: y"} {
		heads["status "+value] = [][2]string{{":status", value}}
	}
	for _, name := range []string{"x\r\ny", "x:y", "x\x00", ":x", "set-cookie: a\r\nx", "X"} {
		heads["name "+name] = [][2]string{{":status", "200"}, {name, "1"}}
	}
	for _, value := range []string{"a\rb", "a\nb", "a\r\n\r\n" + other, "a\x00b", "\r\n"} {
		heads["value "+value] = [][2]string{{":status", "200"}, {"x", value}}
	}
	for _, name := range slices.Sorted(maps.Keys(heads)) {
		var pairs []string
		for _, field := range heads[name] {
			pairs = append(pairs, field[0], field[1])
		}
		add := func(name string, write func(*session, uint32)) {
			list = append(list, frames{name: name, write: write, want: invalid})
		}
		add(name, func(s *session, id uint32) { s.head(id, true, pairs...) })
		add(name+", and a body", func(s *session, id uint32) {
			s.head(id, false, pairs...)
			s.data(id, true, "hello")
		})
	}
	return list
}

func replies2() (list []frames) {
	add := func(name, want string, write func(s *session, id uint32)) {
		list = append(list, frames{name: name, write: write, want: want})
	}
	sized := func(name, length, want string, pieces ...string) {
		add(name, want, func(s *session, id uint32) {
			s.head(id, false, ":status", "200", "content-length", length)
			for i, piece := range pieces {
				s.data(id, i == len(pieces)-1, piece)
			}
		})
	}
	ended := func(name, want string, pairs ...string) {
		add(name, want, func(s *session, id uint32) {
			s.head(id, false, ":status", "200")
			s.data(id, false, "hello")
			s.head(id, true, pairs...)
		})
	}
	sized("a length", "5", "hello", "hello")
	sized("more than the length", "5", invalid, other)
	sized("more than the length, in two frames", "5", invalid, "hello", other)
	sized("less than the length", "50", "502 upstream_reset", "hello")
	sized("a body of length 0", "0", invalid, other)
	ended("a trailer", "hello", "x-sum", "5")
	ended("trailers with a status", cut, ":status", "200")
	ended("trailers with a path", cut, ":path", "/hidden")
	ended("trailers in upper case", cut, "X-Sum", "5")
	ended("trailers with a line end", cut, "x-sum", "5\r\nx: y")
	ended("trailers with a line end in a name", cut, "x\r\ny", "5")
	ended("trailers that frame", "hello", "content-length", "50", "transfer-encoding", "chunked")
	add("a body before a head", invalid, func(s *session, id uint32) { s.data(id, true, other) })
	add("a second head", cut, func(s *session, id uint32) {
		s.head(id, false, ":status", "200")
		s.data(id, false, "hello")
		s.head(id, false, ":status", "200")
	})
	add("a head of another stream", "hello", func(s *session, id uint32) { // for nobody: it is dropped
		s.head(id+2, true, ":status", "200")
		s.head(id, false, ":status", "200")
		s.data(id, true, "hello")
	})
	add("a body behind the end", "hello", func(s *session, id uint32) {
		s.head(id, false, ":status", "200")
		s.data(id, true, "hello")
		s.data(id, true, other)
	})
	add("a body of 204", "204", func(s *session, id uint32) {
		s.head(id, false, ":status", "204")
		s.data(id, true, other)
	})
	add("a body of 304", "304", func(s *session, id uint32) {
		s.head(id, false, ":status", "304")
		s.data(id, true, other)
	})
	add("many interim answers", invalid, func(s *session, id uint32) {
		for range 17 {
			s.head(id, false, ":status", "103", "link", "</a>")
		}
		s.head(id, true, ":status", "200")
	})
	add("many 100s", invalid, func(s *session, id uint32) {
		for range 17 {
			s.head(id, false, ":status", "100")
		}
		s.head(id, true, ":status", "200")
	})
	add("an interim answer that is the end", invalid, func(s *session, id uint32) { s.head(id, true, ":status", "103") })
	add("101", invalid, func(s *session, id uint32) { s.head(id, false, ":status", "101") })
	add("too many fields", invalid, func(s *session, id uint32) {
		s.head(id, true, append([]string{":status", "200"}, strings.Split(strings.TrimSuffix(strings.Repeat("x,y,", 129), ","), ",")...)...)
	})
	add("a head over the bound", invalid, func(s *session, id uint32) {
		s.head(id, true, ":status", "200", "x", strings.Repeat("a", 40<<10), "y", strings.Repeat("b", 40<<10))
	})
	// What breaks the connection's own rules ends it, for each of its streams.
	broken := func(name string, write func(*session, uint32)) {
		list = append(list, frames{name: name, write: write, want: "502 upstream_reset", again: true})
	}
	broken("a body of another stream", func(s *session, id uint32) { s.data(id+2, true, other) })
	broken("a promise", func(s *session, id uint32) {
		_ = s.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
	})
	broken("a head that is cut by another frame", func(s *session, id uint32) {
		_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: false})
		s.data(id, true, "hello")
	})
	broken("a head that cannot be decoded", func(s *session, id uint32) {
		_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
	})
	broken("HTTP/1.1 in its place", func(s *session, id uint32) { _, _ = io.WriteString(s.conn, ok+five+"\r\nhello") })
	return list
}
