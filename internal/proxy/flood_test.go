package proxy

import (
	"io"
	"log"
	"net"
	"os"
	"testing"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// most is more than anybody may send beside answers, with what lies in between.
const most = 128 << 20

// flooding is a far side of HTTP/2 that sends frames and frames, and never an answer; how many bytes it could write comes
// once its connection is over.
func flooding(t *testing.T, frame func(*http2.Framer) (n int, err error)) (address string, written <-chan int) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	sum := make(chan int, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		total := 0
		for total < most {
			n, err := frame(f)
			if err != nil {
				break
			}
			total += n
		}
		sum <- total
	}()
	return l.Addr().String(), sum
}

// TestAFloodFromAFarSide: a destination that sends frames and no answer loses its connection, and the client hears of it.
func TestAFloodFromAFarSide(t *testing.T) {
	log.SetOutput(io.Discard) // where net/http tells of each frame that it does not know
	defer log.SetOutput(os.Stderr)
	large := make([]byte, 16<<10)
	for name, frame := range map[string]func(*http2.Framer) (int, error){
		"unknown": func(f *http2.Framer) (int, error) { return len(large), f.WriteRawFrame(99, 0, 0, large) },
		"pings": func(f *http2.Framer) (n int, err error) {
			for range 1000 {
				if err = f.WritePing(false, [8]byte{}); err != nil {
					return n, err
				}
				n += 17
			}
			return n, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, written := flooding(t, frame)
			r := newRig(t, nil, h2c("far", address))
			res, _ := r.do("POST", "/0", "x")
			if res.StatusCode != 504 {
				t.Errorf("answered %d", res.StatusCode)
			}
			if e := r.seen.last(t); e.reason != exchange.OutcomeUnknown {
				t.Errorf("logged %+v", e)
			}
			if n := <-written; n >= most {
				t.Errorf("it could write %d bytes", n)
			}
		})
	}
}
