package upstream

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestBody(t *testing.T) {
	ctx, up := patience(t), start(t, Config{Handler: Body(100_000)})
	response, body, err := get(ctx, t, newFixture(t).client(t, nil), up.URL())
	if err != nil || response.ContentLength != 100_000 || len(body) != 100_000 {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	for i := range len(body) {
		if body[i] != Byte(int64(i)) {
			t.Fatalf("byte %d is %d", i, body[i])
		}
	}
}

func TestStatus(t *testing.T) {
	ctx, up := patience(t), start(t, Config{Handler: Status(503, "Retry-After", "7")})
	response, _, err := get(ctx, t, newFixture(t).client(t, nil), up.URL())
	if err != nil || response.StatusCode != 503 || response.Header.Get("Retry-After") != "7" {
		t.Fatalf("%v, %v", response, err)
	}
}

func TestStreamFlushesEachEventAtItsGate(t *testing.T) {
	gate := make(chan struct{})
	ctx, up := patience(t), start(t, Config{Handler: Stream(3, gate)})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, up.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := newFixture(t).client(t, nil).Do(request) // returns: the head needs no gate
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{"event 0", "event 1", "event 2"} {
		gate <- struct{}{} // and the event comes before the next one is let through
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
			continue
		}
		if lines.Text() != "data: "+want {
			t.Fatalf("%q, want %q", lines.Text(), want)
		}
	}
}

func TestDelayEndsWhenTheClientLeaves(t *testing.T) {
	up := start(t, Config{Handler: Delay(make(chan struct{}), Echo())})
	ctx, cancel := context.WithCancel(patience(t))
	gone := make(chan error, 1)
	client := newFixture(t).client(t, nil)
	go func() {
		_, _, err := get(ctx, t, client, up.URL())
		gone <- err
	}()
	if _, err := up.WaitRequest(patience(t), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-gone; err == nil {
		t.Error("answered although the gate was shut")
	}
	if err := up.Wait(patience(t), func() bool { return up.running() == 0 }); err != nil {
		t.Fatal(err)
	}
}

func TestDelayPasses(t *testing.T) {
	gate := make(chan struct{})
	close(gate)
	ctx, up := patience(t), start(t, Config{Handler: Delay(gate, Status(http.StatusNoContent))})
	if response, _, err := get(ctx, t, newFixture(t).client(t, nil), up.URL()); err != nil || response.StatusCode != http.StatusNoContent {
		t.Fatal(response, err)
	}
}
