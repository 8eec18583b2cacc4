package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
)

// echoing is a far side that switches to whatever is asked for, and echoes from then on.
func echoing(t testing.TB) string {
	t.Helper()
	return testFar(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		_, _ = io.Copy(c, in)
	}))
}

// tunnel switches protocols on a connection of its own.
func (r *rig) tunnel(path string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c := r.connect()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		r.t.Fatal(res, err)
	}
	_ = res.Body.Close()
	return c, in
}

// What is logged of a tunnel is its own request, however many others have come and gone meanwhile.
func TestATunnelIsLoggedAsItBegan(t *testing.T) {
	r := newRig(t, nil, service("far", echoing(t)))
	c, in := r.tunnel("/0/the/path/of/the/tunnel")
	defer c.Close()
	for range 20 {
		r.raw("GET /none/" + strings.Repeat("x", 100) + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		r.seen.last(t)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(in); err != nil {
		t.Error(err)
	}
	if e := r.seen.last(t); e.path != "/0/the/path/of/the/tunnel" || e.status != 101 {
		t.Errorf("logged %+v", e)
	}
}

// The time of a try ends with the switch, as that of the whole does.
func TestATunnelOutlivesTheTimeOfATry(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	slow := testFar(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}))
	r := newRig(t, nil, service("far", echoing(t)), service("slow", slow))
	for i, rule := range r.plan.Rules {
		changed := *rule
		changed.Timeouts = plan.Timeouts{Request: time.Second, BackendRequest: 100 * time.Millisecond}
		r.plan.Rules[i] = &changed
	}
	r.update()
	c, in := r.tunnel("/0")
	defer c.Close()
	if res, _ := r.do("GET", "/1", ""); res.StatusCode != 504 { // as much time has passed for the tunnel
		t.Fatal(res.Status)
	}
	if _, err := io.WriteString(c, "still here\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := in.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// TestExtendedConnect runs itself again, because net/http looks at GODEBUG when the process starts.
func TestExtendedConnect(t *testing.T) {
	const setting = "http2xconnect=1"
	if os.Getenv("GODEBUG") != setting {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExtendedConnect$", "-test.v")
		again.Env = append(os.Environ(), "GODEBUG="+setting)
		if out, err := again.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestExtendedConnect")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ending := testFar(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\nbye")
		_ = c.Close()
	}))
	r := newRig(t, nil, service("ending", ending))
	c, err := h2.Dial(t.Context(), r.listen, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := func(method, protocol, status, body string) {
		t.Helper()
		id, err := c.Open(false, [2]string{":method", method}, [2]string{":protocol", protocol}, [2]string{":scheme", "http"},
			[2]string{":authority", "h"}, [2]string{":path", "/0"})
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Whole(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status() != status || !a.Ended || body != "" && string(a.Body) != body {
			t.Errorf("%s %s: status %s, ended %t, %q", method, protocol, a.Status(), a.Ended, a.Body)
		}
		if e := r.seen.last(t); e.aborted != "" {
			t.Errorf("%s %s: logged %+v", method, protocol, e)
		}
	}
	f("CONNECT", "echo", "200", "bye") // a far side that ends first breaks nothing off
	f("CONNECT", "h2c", "501", "")     // requests in it would pass unjudged
	f("CONNECT", "echo, h2c", "400", "")
	f("POST", "echo", "400", "")
}
