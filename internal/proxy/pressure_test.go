package proxy

import (
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// TestPressure: as memory runs short the gateway does without what it can, then takes no further connections, then no
// further requests; as it comes back so does everything.
func TestPressure(t *testing.T) {
	var used atomic.Uint64
	var made atomic.Bool // the server, which looks before it is
	looks := make(chan struct{})
	usage := func() (uint64, uint64, uint64) {
		if made.Load() {
			select {
			case looks <- struct{}{}:
			case <-t.Context().Done():
			}
		}
		return used.Load() << 20, 100 << 20, 0
	}
	r := newRigOf(t, Config{Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler), usage: usage},
		service("a", testFar(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))))
	made.Store(true)
	open, err := net.Dial("tcp", r.listen) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	f := func(share uint64, want pressure, status string, connects bool) {
		t.Helper()
		used.Store(share)
		<-looks
		<-looks // what the look before found is in force
		if got := r.Pressure(); got != int(want) {
			t.Fatalf("at %d %% the pressure is %d, not %d", share, got, want)
		}
		if _, err := io.WriteString(open, "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		var answer [4096]byte
		n, err := open.Read(answer[:])
		if got := string(answer[:n]); !strings.HasPrefix(got, "HTTP/1.1 "+status) || (status == "503") != strings.Contains(got, "Connection: close") ||
			(status == "503") != strings.Contains(got, `"reason":"overloaded"`) {
			t.Errorf("at %d %%: %q, %v", share, got, err)
		}
		c, err := net.Dial("tcp", r.listen) //nolint:noctx // on loopback
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n")
		if n, err := c.Read(answer[:]); (n > 0) != connects {
			t.Errorf("at %d %% another connection: %d bytes, %v", share, n, err)
		}
	}
	f(69, relaxed, "200", true)
	f(70, thrifty, "200", true)
	f(80, full, "200", false)
	f(10, relaxed, "200", true)
	f(90, shedding, "503", false)
	if n := r.limited("memory"); n != 2 {
		t.Errorf("%d connections are counted as refused", n)
	}
}

// TestBodiesAreNotKeptUnderPressure: what could be sent again is not, and goes out all the same.
func TestBodiesAreNotKeptUnderPressure(t *testing.T) {
	j := &journey{server: &Server{}, x: &exchange.Exchange{}, rule: &rule{plan: &plan.Rule{}, candidates: make([]*candidate, 2)}}
	for now, kept := range map[pressure]bool{relaxed: true, thrifty: false, shedding: false} {
		j.server.memory.pressure.Store(int32(now))
		j.x.Request.Body, j.kept = strings.NewReader("x"), nil
		if j.keepBody(); (j.kept != nil) != kept {
			t.Errorf("under pressure %d the body is kept: %t", now, j.kept != nil)
		}
	}
}

// TestUsage: the process's own figures are there, under the names by which they are asked for.
func TestUsage(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(before)
	if used, limit, collections := usage(); used == 0 || used > 1<<30 || limit != 1<<30 || collections > 1<<40 {
		t.Errorf("%d of %d after %d", used, limit, collections)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if _, limit, _ := usage(); limit != 0 {
		t.Errorf("no limit is %d", limit)
	}
}

// TestMemoryIsTaken: between two looks, what is taken counts beside what the last collection found; what it found itself
// is not counted twice.
func TestMemoryIsTaken(t *testing.T) {
	var used, collections uint64
	m := &memory{usage: func() (uint64, uint64, uint64) { return used, 100, collections }}
	if !m.take(1<<40, shedding) {
		t.Error("without a limit there is no room")
	}
	m.give(1 << 40)
	f := func(n int64, step pressure, want bool) {
		t.Helper()
		if got := m.take(n, step); got != want {
			t.Errorf("%d are taken: %t, with %d", n, got, m.taken.Load())
		}
	}
	looks := func(found, count uint64, want pressure) {
		t.Helper()
		used, collections = found, count
		if m.look(); m.now() != want {
			t.Errorf("with %d in use, %d of it taken, the pressure is %d", found, m.taken.Load(), m.now())
		}
	}
	looks(20, 1, relaxed)
	f(50, thrifty, true)
	f(1, thrifty, false)
	f(11, full, false)
	f(20, shedding, true)
	f(1, shedding, false)
	looks(20, 1, shedding) // by what is taken
	m.give(50)
	looks(20, 1, relaxed)
	f(50, shedding, true)
	looks(90, 2, shedding) // it may not have seen what was taken since the last look
	f(1, shedding, false)
	looks(90, 3, shedding) // it has
	f(1, shedding, false)
	m.give(70)
	looks(20, 4, relaxed)
	f(70, shedding, true)
	f(1, shedding, false)
}

// TestNoMemoryForABody: a body that begins to come and finds no room is refused, and nothing is counted afterwards.
func TestNoMemoryForABody(t *testing.T) {
	const limit = (ofConnection + ofExchange + 20<<10) * 10 / 9
	for size, status := range map[int]int{10 << 10: 200, 60 << 10: 503} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			far := testkit.Upstream(t, upstream.Config{Handler: upstream.Echo()})
			r := newRigOf(t, Config{Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler), usage: func() (uint64, uint64, uint64) { return 0, limit, 0 }}, service("a", far.Addr()))
			answer := r.raw("POST /0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("x", size))
			if !strings.HasPrefix(answer, "HTTP/1.1 "+strconv.Itoa(status)) || strings.Contains(answer, `"reason":"overloaded"`) != (status == 503) {
				t.Errorf("%d bytes: %.300s", size, answer)
			}
			if asked := far.Heads() == 1; asked != (status == 200) {
				t.Errorf("%d bytes: the far side was asked: %t", size, asked)
			}
		})
	}
}

// TestUnreadAnswersWithoutMemory: where no memory is left a client that takes nothing of its answer loses it.
func TestUnreadAnswersWithoutMemory(t *testing.T) {
	var used atomic.Uint64
	far := testFar(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	r := newRigOf(t, Config{Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler), usage: func() (uint64, uint64, uint64) { return used.Load() << 20, 100 << 20, 0 }}, service("a", far))
	deaf := r.connect()
	defer deaf.Close()
	if _, err := io.WriteString(deaf, "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := deaf.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	used.Store(95)
	if e := r.seen.last(t); e.status != 200 || e.aborted != string(exchange.Overloaded) {
		t.Errorf("logged %+v", e)
	}
}

// TestKeptBodiesYield: what is kept of a body that streams is given up where memory runs short, unless it is needed already.
func TestKeptBodiesYield(t *testing.T) {
	m := &memory{usage: func() (uint64, uint64, uint64) { return 0, 100, 0 }}
	m.look()
	r := &replay{memory: m}
	r.keep(make([]byte, 60))
	if r.given() || m.taken.Load() != 60 {
		t.Errorf("%d bytes are kept, %d counted", len(r.kept), m.taken.Load())
	}
	r.claim()
	r.keep(make([]byte, 20))
	if r.given() || m.taken.Load() != 80 {
		t.Errorf("needed: %d bytes are kept, %d counted", len(r.kept), m.taken.Load())
	}
	r.rewind()
	r.keep(make([]byte, 1))
	if !r.given() || m.taken.Load() != 0 || replays.Load() != 0 {
		t.Errorf("%d bytes are kept, %d and %d counted", len(r.kept), m.taken.Load(), replays.Load())
	}
}
