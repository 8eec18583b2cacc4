package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// rude is a gateway in front of a destination that a test makes.
func rude(t *testing.T, up *upstream.Upstream) (*process, string) {
	t.Helper()
	f := newFolder(t)
	port := testkit.Ports(t, 1)[0]
	f.write("all.yaml", gatewayOn("egress", port), route("api"), backend("api", "api.test", portOf(t, up.Addr()), plain), pinned("api", "api.test"))
	return run(t, f), fmt.Sprintf("127.0.0.1:%d", port)
}

func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// leaves asserts that the destination's connections are closed within a second of the client's end.
func leaves(t *testing.T, up *upstream.Upstream, c *net.TCPConn, reset bool) {
	t.Helper()
	if reset {
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := up.WaitClosed(ctx, 1); err != nil {
		t.Fatalf("the destination's connection is still open: %v", err)
	}
	took := time.Since(begun)
	t.Logf("closed after %v", took)
	if took > 3*time.Second { // documented as a second; the rest is for a busy machine
		t.Errorf("the destination's connection was closed %v after the client left", took)
	}
}

// TestClientLeaves: what a client no longer waits for is not asked of the destination any longer.
func TestClientLeaves(t *testing.T) {
	gate := make(chan struct{})
	for _, reset := range []bool{false, true} {
		t.Run(fmt.Sprintf("mid-upload, reset %t", reset), func(t *testing.T) {
			up := testkit.Upstream(t, upstream.Config{})
			p, address := rude(t, up)
			c := connect(t, address)
			if _, err := io.WriteString(c, "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"+strings.Repeat("x", 4<<20)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := up.WaitHead(ctx, 1); err != nil {
				t.Fatal(err)
			}
			leaves(t, up, c, reset)
			p.ends(t)
			if line := logged(p.Out.String(), "HTTPRoute/t/api"); !strings.Contains(line, `"aborted":"client"`) {
				t.Errorf("access log: %s", line)
			}
			if r := up.Requests(); len(r) != 1 || r[0].Complete {
				t.Errorf("the destination saw %d requests, and took this one for whole", len(r))
			}
		})
		t.Run(fmt.Sprintf("waiting, reset %t", reset), func(t *testing.T) {
			up := testkit.Upstream(t, upstream.Config{Handler: upstream.Delay(gate, upstream.Echo())})
			p, address := rude(t, up)
			c := connect(t, address)
			if _, err := io.WriteString(c, "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := up.WaitRequest(ctx, 1); err != nil {
				t.Fatal(err)
			}
			leaves(t, up, c, reset)
			p.ends(t)
			if line := logged(p.Out.String(), "HTTPRoute/t/api"); !strings.Contains(line, `"reason":"client_gone"`) || !strings.Contains(line, `"status":499`) {
				t.Errorf("access log: %s", line)
			}
		})
		t.Run(fmt.Sprintf("mid-answer, reset %t", reset), func(t *testing.T) {
			events := make(chan struct{})
			up := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(1000, events)})
			p, address := rude(t, up)
			c := connect(t, address)
			if _, err := io.WriteString(c, "GET /api HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			select {
			case events <- struct{}{}:
			case <-time.After(patience):
				t.Fatal("the destination was not asked")
			}
			for reader := bufio.NewReader(c); ; {
				line, err := reader.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(line, "data: event 0") {
					break
				}
			}
			leaves(t, up, c, reset)
			p.ends(t)
			if line := logged(p.Out.String(), "HTTPRoute/t/api"); !strings.Contains(line, `"aborted":"client"`) || !strings.Contains(line, `"status":200`) {
				t.Errorf("access log: %s", line)
			}
		})
	}
}

// TestClientNeverReads: the gateway holds a bounded part of what a client does not take, and the others are served.
func TestClientNeverReads(t *testing.T) {
	const size = 64 << 20
	up := testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/large" {
			upstream.Body(size).ServeHTTP(w, r)
		}
	})})
	p, address := rude(t, up)
	c := client(t)
	url := "http://" + address + "/api/small"
	send(t, c, http.MethodGet, url, "").ok(t)
	before := resident(t, p.PID())
	const readers = 8
	for range readers {
		rude := connect(t, address)
		if err := rude.SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(rude, "GET /api/large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := up.WaitRequest(ctx, 1+readers); err != nil {
		t.Fatal(err)
	}
	for range 200 { // takes the time in which the answers arrive
		send(t, c, http.MethodGet, url, "").ok(t)
	}
	grown := resident(t, p.PID()) - before
	t.Logf("%d MiB more resident for %d answers of %d MiB that nobody reads", grown>>20, readers, size>>20)
	if grown > readers*8<<20 { // of 512 MiB
		t.Errorf("%d MiB more resident", grown>>20)
	}
}

// resident is a process's memory in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestDestinationFails in the middle of things: the client learns it, and learns whether the work may have been done.
func TestDestinationFails(t *testing.T) {
	f := newFolder(t)
	port := testkit.Ports(t, 1)[0]
	objects := []string{gatewayOn("egress", port)}
	for name, kind := range map[string]upstream.Kind{
		"reset": upstream.ResetAfterHead, "cut": upstream.CutBody, "chunk": upstream.CutChunked, "garbage": upstream.Garbage, "closes": upstream.AcceptClose,
	} {
		up := testkit.Fault(t, upstream.FaultConfig{Kind: kind})
		objects = append(objects, route(name), backend(name, name+".test", portOf(t, up.Addr()), plain), pinned(name, name+".test"))
	}
	f.write("all.yaml", objects...)
	p := run(t, f)
	c := client(t)
	url := func(name string) string { return fmt.Sprintf("http://127.0.0.1:%d/%s", port, name) }
	send(t, c, http.MethodGet, url("reset"), "").is(t, 502, "upstream_reset")
	send(t, c, http.MethodPost, url("reset"), "{}").is(t, 504, "outcome_unknown")
	send(t, c, http.MethodGet, url("closes"), "").is(t, 502, "upstream_reset")
	send(t, c, http.MethodGet, url("garbage"), "").is(t, 502, "upstream_invalid")
	send(t, c, http.MethodPost, url("garbage"), "{}").is(t, 502, "upstream_invalid")
	send(t, c, http.MethodGet, url("cut"), "").is(t, 502, "upstream_reset") // short, hence not begun before it is whole
	send(t, c, http.MethodPost, url("cut"), "{}").is(t, 502, "upstream_reset")
	if got, err := try(t.Context(), c, http.MethodGet, url("chunk"), ""); err == nil {
		t.Errorf("an answer that was cut off came to a clean end: %d, %d bytes", got.status, len(got.body))
	}
	p.ends(t)
	if line := logged(p.Out.String(), "HTTPRoute/t/chunk"); !strings.Contains(line, `"aborted":"upstream_reset"`) {
		t.Errorf("access log: %s", line)
	}
}

// TestEarlyAnswer: a destination that answers before it has read the request is heard.
func TestEarlyAnswer(t *testing.T) {
	up := testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})})
	p, address := rude(t, up)
	for range 5 {
		got := send(t, client(t), http.MethodPost, "http://"+address+"/api", strings.Repeat("x", 20<<20))
		if got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("answered %d: %s", got.status, got.body)
		}
	}
	p.ends(t)
}

// TestStop: SIGTERM lets an exchange finish, and takes no new one.
func TestStop(t *testing.T) {
	gate := make(chan struct{})
	up := testkit.Upstream(t, upstream.Config{Handler: upstream.Delay(gate, upstream.Echo())})
	p, address := rude(t, up)
	answered := make(chan error, 1)
	c := client(t)
	go func() {
		got, err := try(t.Context(), c, http.MethodGet, "http://"+address+"/api", "")
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("answered %d: %s", got.status, got.body)
		}
		answered <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := up.WaitRequest(ctx, 1); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan int, 1)
	go func() { stopped <- p.Stop(t) }()
	for { // until it takes nothing new
		another, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			break
		}
		_ = another.Close()
	}
	for page, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK, "/metrics": http.StatusOK} {
		if got, err := try(ctx, c, http.MethodGet, "http://"+p.health+page, ""); err != nil || got.status != want {
			t.Errorf("while exchanges finish, %s answers %d (%v), not %d", page, got.status, err, want)
		}
	}
	select {
	case code := <-stopped:
		t.Fatalf("ended with %d before the exchange was over", code)
	default:
	}
	close(gate)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestStart measures what a user waits for.
func TestStart(t *testing.T) {
	f := newFolder(t)
	up := testkit.Upstream(t, upstream.Config{})
	port := testkit.Ports(t, 1)[0]
	f.write("all.yaml", gatewayOn("egress", port), route("api"), backend("api", "api.test", portOf(t, up.Addr()), plain), pinned("api", "api.test"), bearer("api", "key"), secret("key", "token", "x"))
	begun := time.Now()
	p := launch(t, f)
	c := client(t)
	for {
		got, err := try(t.Context(), c, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api", port), "")
		if err == nil {
			got.ok(t)
			break
		}
		if time.Since(begun) > patience {
			t.Fatal(err)
		}
	}
	t.Logf("start to first served request: %v; resident %d MiB", time.Since(begun), resident(t, p.PID())>>20)
	p.ends(t)
}
