package proxy

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// stalling is a far side of HTTP/2 that gives credit without end, and reads nothing.
func stalling(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		const most = 1<<31 - 1
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: most})
		_ = f.WriteWindowUpdate(0, most-65535)
		<-over
	}()
	t.Cleanup(func() { _ = l.Close(); close(over); <-done })
	return l.Addr().String()
}

// A far side that does not read now may do so later: what waits to be written to it when its time is over is sent to nobody
// else.
func TestAStuckConnectionIsNoProof(t *testing.T) {
	second := &counting{status: 200}
	config := Config{Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler), bodyMost: 1 << 40}
	r := newRigOf(t, config, h2c("stuck", stalling(t)), service("second", testFar(t, second)))
	rule := *r.plan.Rules[1]
	rule.Backends = []plan.RuleBackend{{Backend: r.plan.Backends[0].Name, Weight: 1_000_000}, {Backend: r.plan.Backends[1].Name, Weight: 1}}
	rule.Timeouts.BackendRequest = 200 * time.Millisecond
	r.plan.Rules = []*plan.Rule{r.plan.Rules[0], &rule}
	r.update()
	upload := r.connect()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(upload, "POST /0 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
		for piece := make([]byte, 1<<20); ; {
			if _, err := upload.Write(piece); err != nil {
				return
			}
		}
	}()
	defer func() { _ = upload.(*net.TCPConn).SetLinger(0); _ = upload.Close(); <-sent }()
	for range 4 {
		if res, _ := r.do("POST", "/1", ""); res.StatusCode != 504 || second.n.Load() != 0 {
			t.Errorf("%s; the second was asked %d times", res.Status, second.n.Load())
		}
		if e := r.seen.last(t); e.reason != exchange.OutcomeUnknown {
			t.Errorf("logged %+v", e)
		}
	}
}
