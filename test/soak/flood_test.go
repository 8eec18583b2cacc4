package soak

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// attack is a kind of frame that a client sends as fast as it can, beside one request whose body nobody reads.
type attack struct {
	name  string
	frame func(r *rude) error
}

// attacks are those of internal/proxy/accept, where TestFloods holds that each of them ends its connection.
var attacks = []attack{
	{"PING", func(r *rude) error { return r.WritePing(false, [8]byte{}) }},
	{"answers to PING", func(r *rude) error { return r.WritePing(true, [8]byte{}) }},
	{"SETTINGS", func(r *rude) error { return r.WriteSettings() }},
	{"WINDOW_UPDATE", func(r *rude) error { return r.WriteWindowUpdate(0, 1) }},
	{"PRIORITY", func(r *rude) error { return r.WritePriority(99, http2.PriorityParam{}) }},
	{"frames of no known type", func(r *rude) error { return r.WriteRawFrame(99, 0, 0, nil) }},
	{"large frames of no known type", func(r *rude) error { return r.WriteRawFrame(99, 0, 0, large) }},
	{"empty DATA", func(r *rude) error { return r.WriteData(1, false, nil) }},
	{"padded DATA", func(r *rude) error { return r.WriteDataPadded(1, false, nil, large[:255]) }},
	{"CONTINUATION", func(r *rude) error { return r.WriteContinuation(r.stream-2, false, nil) }},
	{"RST_STREAM", func(r *rude) error { return r.WriteRSTStream(1, http2.ErrCodeCancel) }},
	{"requests that are given up", func(r *rude) error {
		if err := r.request(http.MethodPost, "/far/wait", true); err != nil {
			return err
		}
		return r.WriteRSTStream(r.stream-2, http2.ErrCodeCancel)
	}},
	{"requests for nothing", func(r *rude) error { return r.request(http.MethodGet, "/nowhere", true) }},
}

var large = make([]byte, 16<<10)

// buffered has frames leave in pieces of some size, as whoever means harm would send them.
type buffered struct {
	io.Writer
	piece []byte
}

func (b *buffered) Write(p []byte) (int, error) {
	b.piece = append(b.piece, p...)
	if len(b.piece) < len(large) {
		return len(p), nil
	}
	_, err := b.Writer.Write(b.piece)
	b.piece = b.piece[:0]
	return len(p), err
}

// cost is what a flood comes to.
type cost struct {
	cpu       float64 // cores
	resident  int     // bytes, at most, above what was resident before
	goroutine int     // at most, likewise
	sent      int64   // bytes
	closed    int64   // connections that were ended
}

// flooding has n clients go on for a while, each on one connection after the other.
func (g *gateway) flooding(t *testing.T, a attack, n int) (c cost) {
	t.Helper()
	before := g.look(t)
	stop := g.peak(t)
	var sent, closed atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for i := range n {
		all.Go(func() {
			for time.Since(begun) < *flood {
				sent.Add(g.once(t, a, i, begun))
				closed.Add(1)
			}
		})
	}
	all.Go(func() {
		for time.Since(begun) < *flood {
			c.goroutine = max(c.goroutine, int(g.metric(t, "go_goroutines"))-before.goroutines)
			time.Sleep(*flood / 10)
		}
	})
	all.Wait()
	took := time.Since(begun)
	c.cpu, c.resident = float64(g.cpu(t)-before.cpu)/float64(took), max(stop()-before.resident, 0)
	c.sent, c.closed = sent.Load(), closed.Load()
	return c
}

// once floods one connection until it ends or the time is over.
func (g *gateway) once(t *testing.T, a attack, i int, begun time.Time) (sent int64) {
	conn := connect(t, g.address, i)
	_ = conn.SetLinger(0) // what waits to be read when the time is over is read by nobody
	_ = conn.SetWriteDeadline(begun.Add(*flood))
	r, err := newRude(conn)
	defer r.close()
	if err == nil {
		err = r.request(http.MethodPost, "/far/wait", false)
	}
	if err == nil && a.name == "CONTINUATION" {
		err = r.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream})
		r.stream += 2
	}
	out := &counted{Writer: conn}
	r.Framer = http2.NewFramer(&buffered{Writer: out}, nil)
	r.AllowIllegalWrites = true
	for err == nil && time.Since(begun) < *flood {
		err = a.frame(r)
	}
	return out.n
}

type counted struct {
	io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

// TestFloods has every flood go on for a while from one client and from fifty: others are served meanwhile, and nothing is
// left of it. What it costs is in the page.
func TestFloods(t *testing.T) {
	far := &waiting{gate: make(chan struct{})}
	g := serve(t, plain, nil, backend("far", far.start(t), "HTTP11", "", "connections: {max: 200}"))
	first := g.look(t)
	text := ""
	for _, a := range attacks {
		for _, n := range []int{1, 50} {
			over := make(chan struct{})
			served := make(chan error, 1)
			go func() { served <- g.serves(t, over) }()
			c := g.flooding(t, a, n)
			close(over)
			if err := <-served; err != nil {
				t.Errorf("%s from %d: another client: %v", a.name, n, err)
			}
			if c.resident > floodMemory+n*floodStreams || c.goroutine > n*floodGoroutines+grace {
				t.Errorf("%s from %d: %s and %d goroutines more", a.name, n, mib(c.resident), c.goroutine)
			}
			text += fmt.Sprintf("| %s | %d | %.2f | %s | %d | %.0f | %.0f |\n", a.name, n, c.cpu, mib(c.resident), c.goroutine,
				float64(c.sent)/(1<<20)/flood.Seconds(), float64(c.closed)/flood.Seconds())
		}
	}
	close(far.gate)
	g.await(t, func() bool { return g.metric(t, "go_goroutines") <= float64(first.goroutines+grace) })
	text = fmt.Sprintf(floodPage, *flood, runtime.NumCPU(), text)
	t.Log(text)
	if *flooded != "" && !t.Failed() {
		if err := os.WriteFile(*flooded, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// What a flood may come to at most: of goroutines all streams of a connection, with those that each of them may have; of
// memory what all its streams are counted at (32 KiB each), and what Go's runtime takes before it collects.
const (
	floodGoroutines = 3 * 250
	floodStreams    = 250 * 32 << 10
	floodMemory     = 64 << 20
)

// serves asks again and again, on a connection of its own, until it is over.
func (g *gateway) serves(t *testing.T, over <-chan struct{}) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.address+"/far", nil)
		if err != nil {
			return err
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %w", res.Status, err)
		}
		select {
		case <-over:
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const floodPage = `# Floods

What the command takes while a client sends one kind of frame of HTTP/2 as fast as it can, for %v each, over one connection and over fifty. A connection that is ended is followed by another at once. The clients run on the same
%d processors, which bounds what they send, and a client beside them is answered meanwhile; when they have gone, no goroutine of theirs is left.

    make soak

- *CPU*: processors that the gateway keeps busy.
- *Memory*, *goroutines*: the most above what there was before. A test holds them to what all streams of the connections may have, 250 each.
- *MiB/s*: that the clients could send; what still waited in the kernel at the end is in it.
- *Connections*: a second.

| flood | connections at once | CPU | memory | goroutines | MiB/s | connections/s |
|---|---:|---:|---:|---:|---:|---:|
%s`
