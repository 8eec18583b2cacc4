package accept

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// idle is a set with one connection that has had an answer and is idle.
func idle(t *testing.T, lame time.Duration) (*Set, net.Conn, func() *http.Response) {
	t.Helper()
	sweeper := watch.New()
	t.Cleanup(sweeper.Close)
	s := New(Config{Handler: small{}, Sweeper: sweeper, Logger: slog.New(slog.DiscardHandler)})
	s.lame = lame
	const address = "127.0.0.1:0"
	if failed := s.Bind(t.Context(), []string{address}); len(failed) > 0 {
		t.Fatal(failed)
	}
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addresses()[address].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(c)
	ask := func() *http.Response {
		t.Helper()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello" {
			t.Fatalf("answered %q, %v", body, err)
		}
		return response
	}
	if response := ask(); response.Close {
		t.Fatal("the first answer is the last")
	}
	return s, c, ask
}

// A client that uses its idle connection while the gateway ends is answered, and told that there is no more.
func TestDrainAnswersWhoWasIdle(t *testing.T) {
	s, c, ask := idle(t, time.Hour)
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(context.Background()) }()
	for !s.draining.Load() {
		runtime.Gosched()
	}
	if response := ask(); !response.Close {
		t.Error("an answer of the drain does not say that it is the last")
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %d bytes, %v", n, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// One that does not use it is not waited for.
func TestDrainClosesWhatStaysIdle(t *testing.T) {
	s, c, _ := idle(t, time.Millisecond)
	if err := s.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
