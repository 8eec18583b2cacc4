package accept

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// patient answers as small does, but to a POST once its client has gone: a body it does not read.
type patient struct{ small }

func (p patient) Serve(c Client) {
	if c.Common().X.Request.Method == "POST" {
		<-c.Context().Done()
	}
	p.small.Serve(c)
}

// open is a set that listens until the test ends, and its address.
func open(t *testing.T, handler Handler) (s *Set, address string) {
	t.Helper()
	sweeper := watch.New()
	t.Cleanup(sweeper.Close)
	s = New(Config{Handler: handler, Sweeper: sweeper, Logger: slog.New(slog.DiscardHandler)})
	const any = "127.0.0.1:0"
	if failed := s.Bind(t.Context(), []string{any}); len(failed) > 0 {
		t.Fatal(failed)
	}
	t.Cleanup(func() {
		if err := s.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, s.Addresses()[any].String()
}

// reached is how often a limit was.
func (s *Set) reached(limit Limit) (n int64) {
	s.Reached(func(_, name string, count int64) {
		if name == limit.String() {
			n += count
		}
	})
	return n
}

// rude is a client that writes what frames it likes, and reads whatever comes without looking at it.
type rude struct {
	conn   net.Conn
	framer *http2.Framer
	fields bytes.Buffer
	stream uint32
	gone   chan struct{} // closed when the far side has ended the connection
}

func newRude(t *testing.T, address string) *rude {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := &rude{conn: conn, framer: http2.NewFramer(conn, nil), stream: 1, gone: make(chan struct{})}
	r.framer.AllowIllegalWrites = true
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	return r
}

// request opens a stream.
func (r *rude) request(method string, whole bool) error {
	r.fields.Reset()
	encoder := hpack.NewEncoder(&r.fields)
	for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream, BlockFragment: r.fields.Bytes(), EndHeaders: true, EndStream: whole})
	r.stream += 2
	return err
}

// TestFloods: a client that sends frames and frames, and hardly a request, loses its connection; whoever else is there is
// answered meanwhile.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]func(r *rude) error{
		"ping":           func(r *rude) error { return r.framer.WritePing(false, [8]byte{}) },
		"ping answers":   func(r *rude) error { return r.framer.WritePing(true, [8]byte{}) },
		"settings":       func(r *rude) error { return r.framer.WriteSettings() },
		"windows":        func(r *rude) error { return r.framer.WriteWindowUpdate(0, 1) },
		"priorities":     func(r *rude) error { return r.framer.WritePriority(99, http2.PriorityParam{}) },
		"unknown frames": func(r *rude) error { return r.framer.WriteRawFrame(99, 0, 0, nil) },
		"large unknown":  func(r *rude) error { return r.framer.WriteRawFrame(99, 0, 0, make([]byte, 16<<10)) },
		"empty data":     func(r *rude) error { return r.framer.WriteData(1, false, nil) },
		"padding":        func(r *rude) error { return r.framer.WriteDataPadded(1, false, nil, make([]byte, 255)) },
		"continuations":  func(r *rude) error { return r.framer.WriteContinuation(r.stream-2, false, nil) },
		"resets":         func(r *rude) error { return r.framer.WriteRSTStream(1, http2.ErrCodeCancel) },
	} {
		t.Run(name, func(t *testing.T) {
			s, address := open(t, patient{})
			r := newRude(t, address)
			if err := r.request("POST", false); err != nil {
				t.Fatal(err)
			}
			if name == "continuations" {
				if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream}); err != nil {
					t.Fatal(err)
				}
				r.stream += 2
			}
			const most = 64 << 20
			sent := 0
			for begun := time.Now(); sent < most; sent += 9 {
				if err := flood(r); err != nil {
					break
				}
				if time.Since(begun) > 20*time.Second {
					t.Fatalf("it goes on after %d frames", sent/9)
				}
			}
			<-r.gone
			answered := name == "ping" || name == "settings" // net/http ends a connection too where many answers wait to be written
			if n := s.reached(Frames); n != 1 && name != "continuations" && !answered {
				t.Errorf("the limit was reached %d times, after %d frames", n, sent/9)
			}
			if err := newRude(t, address).request("GET", true); err != nil {
				t.Errorf("another client: %v", err)
			}
		})
	}
}

// TestAbandonedStreams: a client that opens streams and gives them up loses its connection; one that waits for its answers
// may give up as many.
func TestAbandonedStreams(t *testing.T) {
	s, address := open(t, patient{})
	r := newRude(t, address)
	var err error
	for n := 0; err == nil && n < 100*maxAbandoned; n++ {
		if err = r.request("POST", true); err == nil {
			err = r.framer.WriteRSTStream(r.stream-2, http2.ErrCodeCancel)
		}
	}
	<-r.gone
	if err == nil {
		t.Error("it goes on")
	}
	if n := s.reached(Abandoned); n == 0 {
		t.Errorf("%d counted", n)
	}
}

// short is patient where no memory is left.
type short struct{ patient }

func (short) Sheds() bool { return true }

// TestUnreadBodiesWithoutMemory: where no memory is left, a client that sends what nobody reads loses its connection while
// that is within its windows; one whose body is read does not.
func TestUnreadBodiesWithoutMemory(t *testing.T) {
	s, address := open(t, short{})
	r := newRude(t, address)
	if err := r.request("POST", false); err != nil {
		t.Fatal(err)
	}
	piece, sent := make([]byte, frameSize), 0
	for ; sent < streamWindow; sent += len(piece) {
		if err := r.framer.WriteData(1, false, piece); err != nil {
			break
		}
	}
	<-r.gone
	if n := s.reached(Memory); n != 1 {
		t.Errorf("the limit was reached %d times, after %d bytes", n, sent)
	}
	p := newPacing(&socket{}, func() bool { return true })
	for range 100 {
		if !p.read(maxUnread) {
			t.Fatal("a body that is read ends its connection")
		}
		p.frames.Earn(bodyFrame * maxUnread)
	}
}

func TestConnectionsOfAClient(t *testing.T) {
	c := newClients(2)
	f := func(address string, want bool) {
		t.Helper()
		if got := c.enter(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is let in: %t", address, got)
		}
	}
	f("192.0.2.1", true)
	f("192.0.2.1", true)
	f("192.0.2.1", false)
	f("192.0.2.2", true)
	c.leave(netip.MustParseAddr("192.0.2.1"))
	f("192.0.2.1", true)
	f("192.0.2.1", false)
	f("2001:db8::1", true)
	f("2001:db8::2", true)
	f("2001:db8:0:0:ffff::3", false) // of the same network
	f("2001:db8:0:1::3", true)
	for _, address := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::9", "2001:db8::9", "2001:db8:0:1::3"} {
		c.leave(netip.MustParseAddr(address))
	}
	for i := range c.shards {
		if n := len(c.shards[i].counts); n > 0 {
			t.Errorf("%d clients are remembered who have left", n)
		}
	}
}

// TestRequestsOfAConnection: the last request that a connection may bring is answered, and told that it is.
func TestRequestsOfAConnection(t *testing.T) {
	so := &socket{}
	if so.spent(maxRequests-1) || !so.spent(maxRequests) || !so.spent(maxRequests+1) || so.reached[Requests].Load() != 1 {
		t.Errorf("counted %d times", so.reached[Requests].Load())
	}
}
