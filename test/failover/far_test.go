package failover

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// far is a destination that can be killed, and be told to refuse.
type far struct {
	name    string
	address string
	refuses atomic.Bool
	made    atomic.Int64 // connections
	served  atomic.Int64 // requests

	mu     sync.Mutex
	open   map[net.Conn]bool
	server *http.Server
	done   chan struct{}
}

func newFar(t *testing.T, name string) *far {
	t.Helper()
	f := &far{name: name, address: "127.0.0.1:0"}
	f.start(t)
	t.Cleanup(f.kill)
	return f
}

// start listens where it did before.
func (f *far) start(t *testing.T) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	f.address, f.done, f.open = l.Addr().String(), make(chan struct{}), map[net.Conn]bool{}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, s http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch s {
		case http.StateNew:
			f.made.Add(1)
			f.open[c] = true
		case http.StateClosed, http.StateHijacked:
			delete(f.open, c)
		}
	}}
	go func() {
		defer close(f.done)
		_ = f.server.Serve(l)
	}()
}

// kill ends it as a crash does: every connection is reset, whatever was under way.
func (f *far) kill() {
	f.mu.Lock()
	for c := range f.open {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	f.mu.Unlock()
	_ = f.server.Close()
	<-f.done
}

func (f *far) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-From", f.name)
	if f.refuses.Load() {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	f.served.Add(1)
}
