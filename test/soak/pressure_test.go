package soak

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ceiling is GOMEMLIMIT of a gateway that runs short of memory. From nine tenths of it on nothing more is let in, and as long
// as what is in use, garbage aside, is less, Go's runtime keeps all that it maps within it. As much again is room for what comes
// between two looks at it, and while the runtime collects on a machine that is busy otherwise.
const (
	ceiling = 64 << 20
	allowed = 2 * ceiling // resident, above what was resident at first
)

const many = 4000 // clients of a test by the thousand

// waiting is a far side that answers /far/wait once it is let go, /far/large with more than anybody takes, and everything else
// at once.
type waiting struct {
	gate  chan struct{}
	n     atomic.Int64 // requests that wait or have waited
	large atomic.Int64 // those that are answered with much
}

func (w *waiting) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/far/large":
		w.large.Add(1)
		for range 1000 {
			if _, err := out.Write(large); err != nil {
				return // the client has left
			}
		}
		return
	case "/far/wait":
	default:
		return
	}
	w.n.Add(1)
	select {
	case <-w.gate:
		_, _ = io.Copy(io.Discard, r.Body)
	case <-r.Context().Done():
	}
}

// start has it listen, and gives the address.
func (w *waiting) start(t *testing.T) string {
	s := httptest.NewUnstartedServer(w)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// strait is a gateway with little memory in front of a far side that does not answer.
type strait struct {
	*gateway
	far   *waiting
	first sample
	stop  func() int
}

func newStrait(t *testing.T, protocol, policy string) *strait {
	t.Helper()
	s := &strait{far: &waiting{gate: make(chan struct{})}}
	s.gateway = serve(t, plain, []string{"GOMEMLIMIT=" + strconv.Itoa(ceiling)}, backend("far", s.far.start(t), protocol, "", policy))
	s.first = s.look(t)
	s.stop = s.peak(t)
	return s
}

// recovers asserts that the process has kept to its memory, and does its work again once its clients have left.
func (s *strait) recovers(t *testing.T, allowed int) {
	t.Helper()
	most := s.stop()
	t.Logf("resident: %s at first, %s at most", mib(s.first.resident), mib(most))
	if most > s.first.resident+allowed {
		t.Errorf("%s resident at first, %s at most: %s more are allowed", mib(s.first.resident), mib(most), mib(allowed))
	}
	s.await(t, func() bool { return s.metric(t, "ebbgate_memory_pressure") == 0 })
	c := connect(t, s.address, 0)
	defer c.Close()
	if _, err := io.WriteString(c, "GET /far HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Error("afterwards:", res, err)
	}
	s.await(t, func() bool { return s.metric(t, "go_goroutines") <= float64(s.first.goroutines+20) })
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// await polls for what nothing tells of.
func (g *gateway) await(t *testing.T, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it does not come to that")
		}
	}
}

// TestMemoryPressure: thousands of bodies that the gateway holds while the far side does not answer. What it has room for
// is answered in the end, the rest is refused or not let in.
func TestMemoryPressure(t *testing.T) {
	t.Parallel()
	const size = 60 << 10
	head, body := "POST /far/wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n", strings.Repeat("x", size)
	for name, parts := range map[string][]string{"at once": {head + body}, "heads first": {head, body}} {
		t.Run(name, func(t *testing.T) {
			s := newStrait(t, "HTTP11", "connections: {max: 8000}")
			clients := make([]net.Conn, many)
			for i := range clients {
				clients[i] = connect(t, s.address, i)
				defer clients[i].Close()
			}
			for _, part := range parts {
				for _, c := range clients {
					_, _ = io.WriteString(c, part) // some are told to leave
				}
			}
			close(s.far.gate)
			served, refused, shut := 0, 0, 0
			for _, c := range clients {
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					shut++
					continue
				}
				text, err := io.ReadAll(res.Body)
				switch {
				case err != nil:
					t.Error(err)
				case res.StatusCode == http.StatusOK:
					served++
				case res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(text), `"reason":"overloaded"`):
					refused++
				default:
					t.Errorf("%s %s", res.Status, text)
				}
			}
			t.Logf("%d are answered, %d refused, %d not let in", served, refused, shut)
			whole := len(parts) == 1 // else those that wait may have taken all the room before the first body comes
			if refused == 0 || served == 0 && whole {
				t.Error("both were to happen")
			}
			if int64(served) != s.far.n.Load() {
				t.Errorf("the far side got %d requests", s.far.n.Load())
			}
			s.recovers(t, allowed)
		})
	}
}

// TestUnreadBodies: what clients of HTTP/2 may send before anybody reads it, on all streams of many connections. They are
// within their windows, and yet too many.
func TestUnreadBodies(t *testing.T) {
	t.Parallel()
	s := newStrait(t, "HTTP11", "connections: {max: 1}")
	const connections, streams, frames = 200, 15, 16
	var clients []*rude
	for i := range connections {
		r, err := newRude(connect(t, s.address, i))
		defer r.close()
		for n := 0; err == nil && n < streams; n++ {
			err = r.request(http.MethodPost, "/far/wait", false)
		}
		clients = append(clients, r) // it may not be let in
	}
	piece := make([]byte, 16<<10)
	for range frames {
		for _, r := range clients {
			for stream := range uint32(streams) {
				_ = r.WriteData(1+2*stream, false, piece)
			}
		}
	}
	if n := s.limited(t, "memory"); n == 0 {
		t.Error("no connection was ended")
	}
	close(s.far.gate)
	for _, r := range clients {
		r.close()
	}
	s.recovers(t, allowed)
}

// limited is how often a limit was reached.
func (g *gateway) limited(t *testing.T, limit string) (n int) {
	t.Helper()
	for line := range strings.Lines(g.page(t, "/metrics")) {
		if rest, ok := strings.CutPrefix(line, "ebbgate_limits_reached_total{"); ok && strings.Contains(rest, `limit="`+limit+`"`) {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
			if err != nil {
				t.Fatal(line, err)
			}
			n += int(value)
		}
	}
	return n
}

// TestUnreadAnswers: answers of a far side that speaks HTTP/2 go on, within their windows, while nobody reads them. Clients
// that take nothing lose theirs, and the gateway is itself again before they leave. How far it comes until then is a matter of
// how fast the far side is: 256 KiB of each at most.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	s := newStrait(t, "H2C", "connections: {max: 100}")
	const connections, streams = 8, 100
	var clients []net.Conn
	for i := range connections {
		c := connect(t, s.address, i)
		defer c.Close()
		clients = append(clients, c)
		r, err := newDeaf(c)
		for n := 0; err == nil && n < streams; n++ {
			err = r.request(http.MethodGet, "/far/large", true)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	shed := 0.0
	s.await(t, func() bool {
		now := s.metric(t, "ebbgate_memory_pressure")
		shed = max(shed, now)
		return shed >= 2 && now == 0 // 3 may be over between two looks
	})
	for _, c := range clients {
		_ = c.Close()
	}
	s.recovers(t, allowed+connections*streams*256<<10)
}
