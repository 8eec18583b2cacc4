package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
)

// h2Far is a far side of prior knowledge or, with a certificate, of ALPN.
func h2Far(t testing.TB, certificate *tls.Certificate, h http.Handler) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetHTTP1(certificate != nil)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: h, Protocols: &p, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if certificate != nil {
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
			_ = server.ServeTLS(l, "", "")
			return
		}
		_ = server.Serve(l)
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String()
}

func h2Client(t testing.TB) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &p, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		w.Header().Set("X-Te", r.Header.Get("Te"))
		w.Header().Set("X-Via", r.Header.Get("Via"))
		w.Header().Set("Trailer", "X-End")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("X-Path", r.RequestURI)
		_, _ = w.Write(body)
		w.Header().Set("X-End", "done "+r.Trailer.Get("X-Up"))
	})
}

func h2c(name, address string) *plan.Backend {
	b := service(name, address)
	b.Protocol = plan.HTTP2
	return b
}

// Every combination of versions carries the same exchange.
func TestEveryPairOfVersions(t *testing.T) {
	far := h2Far(t, nil, echo())
	plainFar := testFar(t, echo())
	r := newRig(t, nil, h2c("h2", far), service("h1", plainFar))
	old := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer old.CloseIdleConnections()
	f := func(client *http.Client, path string, near, upstream string, size int) {
		t.Helper()
		body := bytes.Repeat([]byte("x"), size)
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.listen+path+"//a%2Fb?q=%20", struct{ io.Reader }{bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Up": {"1"}}
		req.Header.Set("Te", "trailers")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, body) || res.StatusCode != 200 {
			t.Fatalf("%s %d: %d, %d bytes, %v", path, size, res.StatusCode, len(got), err)
		}
		if res.Header.Get("X-Proto") != upstream || res.Proto != near {
			t.Errorf("%s: spoke %s to us and %s upstream", path, res.Proto, res.Header.Get("X-Proto"))
		}
		if res.Header.Get("X-Te") != "trailers" || res.Trailer.Get("X-End") != "done 1" || res.Header.Get("X-Path") != path+"//a%2Fb?q=%20" {
			t.Errorf("%s: te %q, trailer %q, path %q", path, res.Header.Get("X-Te"), res.Trailer.Get("X-End"), res.Header.Get("X-Path"))
		}
		if e := r.seen.last(t); e.in != int64(size) || e.out != int64(size) || e.status != 200 {
			t.Errorf("%s: logged %+v", path, e)
		}
	}
	for _, size := range []int{1, 70_000, 5 << 20} {
		f(h2Client(t), "/0", "HTTP/2.0", "HTTP/2.0", size)
		f(h2Client(t), "/1", "HTTP/2.0", "HTTP/1.1", size)
		f(old, "/0", "HTTP/1.1", "HTTP/2.0", size)
		f(old, "/1", "HTTP/1.1", "HTTP/1.1", size)
	}
}

func testFar(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String()
}

// Towards a backend of protocol HTTP the client's version is mirrored where the far side offers it over TLS.
func TestVersionIsMirrored(t *testing.T) {
	root := testkit.CA(t, "far")
	leaf := testkit.Loopback(t, root, "far.test")
	far := h2Far(t, &leaf, echo())
	a := netip.MustParseAddrPort(far)
	b := &plan.Backend{
		Name: "Backend/t/far", Origin: plan.Literal, Hostname: "far.test", Port: int(a.Port()), Protocol: plan.HTTP,
		Addresses: []plan.Endpoint{{Address: a.Addr().String(), Port: int(a.Port())}},
		TLS:       &plan.TLS{Hostname: "far.test", Roots: []string{"ConfigMap/t/ca"}},
	}
	r := newRig(t, nil)
	r.plan.Secrets = []*plan.Secret{{Name: "ConfigMap/t/ca", Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(root.PEM())}}}
	r.plan.Backends = append(r.plan.Backends, b)
	r.plan.Rules = append(r.plan.Rules, &plan.Rule{
		Name: "HTTPRoute/t/r#0", Route: "HTTPRoute/t/r", Parents: []plan.Parent{{Gateway: "t/g", Listener: "http"}},
		Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/0"}}},
		Backends: []plan.RuleBackend{{Backend: b.Name, Weight: 1}},
	})
	r.update()
	old := &http.Client{Transport: &http.Transport{}}
	defer old.CloseIdleConnections()
	f := func(client *http.Client, want string, version exchange.Version) {
		t.Helper()
		res, err := client.Post("http://"+r.listen+"/0", "text/plain", strings.NewReader("hello")) //nolint:noctx // short
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if e := r.seen.last(t); e.version != version {
			t.Errorf("seen over %s, want %s", e.version, version)
		}
		if got := res.Header.Get("X-Proto"); got != want || res.StatusCode != 200 {
			t.Errorf("%d over %q, want %q", res.StatusCode, got, want)
		}
	}
	f(h2Client(t), "HTTP/2.0", exchange.HTTP2)
	f(old, "HTTP/1.1", exchange.HTTP11)
}

// An answer that breaks off is never taken for a whole one, and a stream is drained like an exchange.
func TestAStreamIsDrained(t *testing.T) {
	gate := make(chan struct{})
	far := h2Far(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-gate
		_, _ = io.WriteString(w, "last")
	}))
	r := newRig(t, nil, h2c("far", far))
	res, err := h2Client(t).Get("http://" + r.listen + "/0") //nolint:noctx // short
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 6)
	if _, err := io.ReadFull(res.Body, first); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		drained <- r.sockets.Drain(ctx)
	}()
	close(gate)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "last" {
		t.Errorf("%q, %v", rest, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// Streams that a drain cuts off are over, and logged, when it returns.
func TestADrainWaitsForTheStreamsThatItCuts(t *testing.T) {
	begun := make(chan struct{})
	far := h2Far(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	}))
	for range 10 {
		r := newRig(t, nil, h2c("far", far))
		client := h2Client(t)
		var all sync.WaitGroup
		const streams = 20
		for range streams {
			all.Go(func() {
				if res, err := client.Get("http://" + r.listen + "/0"); err == nil { //nolint:noctx // cut off
					_ = res.Body.Close()
				}
			})
			<-begun
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_ = r.sockets.Drain(over) // it says that it cut
		for n := range streams {
			select {
			case <-r.seen.more:
			default:
				t.Fatalf("%d of %d were logged", n, streams)
			}
		}
		all.Wait()
	}
}

// A client that leaves its stream has its upstream stream reset.
func TestAStreamIsLeft(t *testing.T) {
	gone := make(chan struct{})
	far := h2Far(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	r := newRig(t, nil, h2c("far", far))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.listen+"/0", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h2Client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cancel()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the far side's stream goes on")
	}
	if e := r.seen.last(t); e.aborted != "client" {
		t.Errorf("logged %+v", e)
	}
}

// Protocols switch in every pair of versions, and bytes flow both ways.
func TestUpgrade(t *testing.T) {
	far := testFar(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			http.Error(w, "no upgrade", http.StatusUpgradeRequired)
			return
		}
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		_, _ = io.Copy(c, in)
	}))
	r := newRig(t, nil, service("far", far))
	answer := ""
	c := r.connect()
	defer c.Close()
	if _, err := io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c, echo\r\n\r\nearly "); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "late"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	answer = string(got)
	if !strings.HasPrefix(answer, "HTTP/1.1 101 Switching Protocols\r\n") || !strings.HasSuffix(answer, "\r\n\r\nhello early late") ||
		!strings.Contains(answer, "Upgrade: echo\r\n") || !strings.Contains(answer, "Connection: Upgrade\r\n") {
		t.Errorf("%q", answer)
	}
	if e := r.seen.last(t); e.status != 101 || e.in != 10 || e.out != 16 || e.aborted != "" {
		t.Errorf("logged %+v", e)
	}
	if got := r.raw("GET /0 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 426 ") {
		t.Errorf("h2c: %q", got)
	}
}

// The time of a try bounds the try, and not only the taking of its connection.
func TestATimeOfATryOverHTTP2(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	far := h2Far(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/0/slow" {
			select {
			case <-gate:
			case <-r.Context().Done():
			}
		}
	}))
	r := newRig(t, nil, h2c("far", far))
	f := func(path string, limit time.Duration, status int) {
		t.Helper()
		changed := *r.plan.Rules[0]
		changed.Timeouts = plan.Timeouts{BackendRequest: limit}
		r.plan.Rules = []*plan.Rule{&changed}
		r.update()
		if res, _ := r.do("POST", path, "x"); res.StatusCode != status {
			t.Errorf("%s: %d, want %d; logged %+v", path, res.StatusCode, status, r.seen.last(t))
		}
	}
	f("/0", time.Minute, 200)
	f("/0/slow", 50*time.Millisecond, 504)
}

// A stream that the far side resets is no pooled connection that died: its request is not sent again beside all retries.
func TestAResetStreamIsNoDeadConnection(t *testing.T) {
	asked := make(chan struct{}, 10)
	far := h2Far(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		if len(asked) > 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	r := newRig(t, nil, h2c("far", far))
	for i, want := range []int{http.StatusOK, http.StatusBadGateway} {
		res, _ := r.do("GET", "/0", "")
		if e := r.seen.last(t); res.StatusCode != want || len(asked) != i+1 || len(e.attempts) != 1 {
			t.Errorf("request %d: %s, the far side asked %d times, logged %+v", i, res.Status, len(asked), e)
		}
	}
}
