package proxy

import (
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// TestPressure: as memory runs short the gateway does without what it can, then takes no further connections, then no
// further requests; as it comes back so does everything.
func TestPressure(t *testing.T) {
	var used atomic.Uint64
	r := newRigOf(t, Config{Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler), usage: func() (uint64, uint64, uint64) { return used.Load(), 100, 0 }},
		service("a", testFar(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))))
	open, err := net.Dial("tcp", r.listen) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	f := func(share uint64, want pressure, status string, connects bool) {
		t.Helper()
		used.Store(share)
		for end := time.Now().Add(10 * time.Second); r.Pressure() != int(want); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("at %d %% the pressure is %d, not %d", share, r.Pressure(), want)
			}
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
