package accept

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// memory is a connection whose client has sent all that it will, and then left. It is over once it is closed, or told by
// GOAWAY to be: net/http waits for a second behind an error, for a client that still reads.
type memory struct {
	in   *bytes.Reader
	mu   sync.Mutex
	out  []byte
	seen int // of out, in whole frames
	once sync.Once
	over chan struct{}
}

func (m *memory) Read(p []byte) (int, error) { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = append(m.out, p...)
	for len(m.out)-m.seen >= frameHead {
		head := m.out[m.seen:]
		size := frameHead + int(head[0])<<16 + int(head[1])<<8 + int(head[2])
		if len(head) < size {
			break
		}
		if m.seen += size; http2.FrameType(head[3]) == http2.FrameGoAway {
			_ = m.Close()
		}
	}
	return len(p), nil
}

const frameHead = 9 // bytes (RFC 9113, section 4.1)

func (m *memory) Close() error                     { m.once.Do(func() { close(m.over) }); return nil }
func (m *memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// input is what a connection of the fuzzer's sends. Its streams may outlive it: what is wrong with one names it.
type input string

// Gone implements Origin.
func (input) Gone() {}

// judge is a Handler, and a logger of panics, that wants every request to be one that HTTP/1.1 can carry on.
type judge struct {
	small
	slog.Handler
	mu    sync.Mutex
	wrong []string
}

func (j *judge) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

func (j *judge) taken() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	wrong := j.wrong
	j.wrong = nil
	return wrong
}

// Enabled and Handle implement slog.Handler: errors are panics alone.
func (j *judge) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (j *judge) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool { j.note("%s: %s", r.Message, a.Value); return true })
	return nil
}

// Serve implements Handler: what is written of the request in HTTP/1.1 is read as the same, and nothing is left over.
func (j *judge) Serve(c Client) {
	r := &c.Common().X.Request
	var body []byte
	var err error
	if r.Body != nil {
		body, err = io.ReadAll(r.Body)
	}
	if err == nil && r.Method != "CONNECT" {
		if text := again(r, body); text != "" {
			j.note("%q: %s", c.Common().Origin, text)
		}
	}
	j.small.Serve(c)
}

// again writes a request, reads it back, and says what differs.
func again(r *exchange.Request, body []byte) string {
	wire, framing, err := http1.AppendRequest(nil, http1.RequestHead{Method: r.Method, Target: r.Path + r.Query, Authority: r.Authority, Header: &r.Header, Length: r.Length})
	if err != nil {
		return err.Error()
	}
	switch framing {
	case http1.Chunks:
		if wire, err = http1.AppendLastChunk(http1.AppendChunk(wire, body), &r.Trailer); err != nil {
			return err.Error()
		}
	default:
		wire = append(wire, body...)
	}
	var back exchange.Request
	reader := http1.NewReader(bytes.NewReader(wire), http1.Limits{HeadBytes: 1 << 20, TrailerBytes: 1 << 20})
	if err := reader.ReadRequest(&back); err != nil {
		return fmt.Sprintf("%q: %s", wire, err)
	}
	got, err := io.ReadAll(reader.Body())
	switch {
	case err != nil || !bytes.Equal(got, body) || len(reader.Buffered()) > 0:
		return fmt.Sprintf("%q: body %q, %v, and then %q", wire, got, err, reader.Buffered())
	case back.Method != r.Method || back.Path != r.Path || back.Query != r.Query || back.Authority != r.Authority || back.Header.Len() != r.Header.Len():
		return fmt.Sprintf("%q is read as %+v", wire, back)
	}
	return ""
}

// fuzzed serves connections of inputs.
func fuzzed(f *testing.F) func(t *testing.T, in []byte) {
	j := &judge{}
	sweeper := watch.New()
	s := New(Config{Handler: j, Sweeper: sweeper, Logger: slog.New(j)})
	f.Cleanup(func() {
		if err := s.Drain(context.Background()); err != nil {
			f.Error(err)
		}
		sweeper.Close()
		for _, text := range j.taken() {
			f.Error(text)
		}
	})
	return func(t *testing.T, in []byte) {
		m := &memory{in: bytes.NewReader(append([]byte(http2.ClientPreface), in...)), over: make(chan struct{})}
		w := &wire{Conn: m, peer: Peer{Origin: input(in), Address: netip.MustParseAddrPort("127.0.0.1:1")}, gone: func() {}}
		w.pacing = newPacing(&socket{}, j.Sheds)
		s.h2.gather(w)
		s.h2.conns <- w
		<-m.over
		sweeper.Each(func(e *watch.Entry) { e.Stop(watch.Shutdown) }) // bodies that do not come any more
		s.h2.wait()
		for _, text := range j.taken() {
			t.Error(text)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for answer := http2.NewFramer(io.Discard, bytes.NewReader(m.out[:m.seen])); ; {
			if _, err := answer.ReadFrame(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("what was sent is no HTTP/2: %v", err)
			}
		}
	}
}

// sent are the frames of a request, of lines of name and value; the first half of the body comes in a frame of its own.
func sent(head, body, trailers string) []byte {
	var out, block bytes.Buffer
	framer, encoder := http2.NewFramer(&out, nil), hpack.NewEncoder(&block)
	framer.AllowIllegalWrites = true
	write := func(lines string, end bool) {
		for line := range strings.SplitSeq(lines, "\x1f") {
			name, value, _ := strings.Cut(line, "\x1e")
			_ = encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) // buffers take all
		}
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Next(16 << 10), EndStream: end, EndHeaders: true})
		block.Reset()
	}
	_ = framer.WriteSettings()
	write(head, body == "" && trailers == "")
	if body = body[:min(len(body), 16<<10)]; body != "" {
		half := len(body) / 2
		_ = framer.WriteData(1, false, []byte(body[:half]))
		_ = framer.WriteData(1, trailers == "", []byte(body[half:]))
	}
	if trailers != "" {
		write(trailers, true)
	}
	return out.Bytes()
}

// lines are pairs of name and value as sent takes them, behind the pseudo-fields of a POST.
func lines(pairs ...string) string {
	pairs = append([]string{":method", "POST", ":scheme", "http", ":authority", "a.test", ":path", "/a?b"}, pairs...)
	var all []string
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, pairs[i]+"\x1e"+pairs[i+1])
	}
	return strings.Join(all, "\x1f")
}

// FuzzFrames feeds whatever frames to the server of HTTP/2.
func FuzzFrames(f *testing.F) {
	f.Add(sent(lines(), "", ""))
	f.Add(sent(lines("content-length", "5", "x", "y"), "hello", ""))
	f.Add(sent(lines("trailer", "x", "te", "trailers"), "hello", "x\x1ey"))
	f.Add(append(sent(lines("connection", "close"), "", ""), 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8))
	f.Fuzz(fuzzed(f))
}

// FuzzHeads feeds whatever requests to it, in frames that are in order.
func FuzzHeads(f *testing.F) {
	f.Add(lines(), "", "")
	f.Add(lines("content-length", "5", "host", "a.test"), "hello", "")
	f.Add(lines("content-length", "0"), "GET / HTTP/1.1\r\n\r\n", "")
	f.Add(lines("trailer", "x, host", "cookie", "a=1", "cookie", "b=2"), "hello", "x\x1ey\x1fhost\x1eb\x1f:path\x1e/")
	f.Add(lines("x", "a\r\nb: c", "transfer-encoding", "chunked", "X", "y"), "0\r\n\r\n", "")
	f.Add(strings.Replace(lines(":protocol", "websocket"), "POST", "CONNECT", 1), "", "")
	feed := fuzzed(f)
	f.Fuzz(func(t *testing.T, head, body, trailers string) { feed(t, sent(head, body, trailers)) })
}
