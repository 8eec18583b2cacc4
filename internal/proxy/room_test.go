package proxy

import (
	"net/http"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// A backend whose connections are all in use is passed over for another one; where there is none, a request waits its time
// and is told why it was not sent.
func TestAFullBackendIsPassedOver(t *testing.T) {
	busy := make(chan struct{})
	defer close(busy)
	first := testFar(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-busy
	}))
	kinds := tuned(func(s *policy.Settings) { s.Connections.Max, s.Connections.Wait = 1, 50*time.Millisecond })
	occupy := func(r *rig) {
		t.Helper()
		c := r.connect()
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Write([]byte("GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		readUntil(t, c, "\r\n\r\n")
	}
	r := two(t, kinds, service("a", first), service("b", testFar(t, &counting{status: 200})))
	occupy(r)
	if res, _ := r.do("POST", "/0", "hello"); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	if e := r.seen.last(t); len(e.attempts) != 1 {
		t.Errorf("logged %+v", e)
	}
	r = newRig(t, kinds, service("a", first))
	occupy(r)
	if res, _ := r.do("POST", "/0", "hello"); res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
	if e := r.seen.last(t); e.reason != exchange.Overloaded || len(e.attempts) != 1 {
		t.Errorf("logged %+v", e)
	}
}
