package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	authority *ca.CA
	server    tls.Certificate
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	authority, err := ca.New("root")
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{authority: authority}
	f.server = f.issue(t, ca.Leaf{DNSNames: []string{"up.example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return f
}

func (f fixture) issue(t *testing.T, leaf ca.Leaf) tls.Certificate {
	t.Helper()
	certificate, err := f.authority.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func (f fixture) client(t *testing.T, alter func(*tls.Config)) *http.Client {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.authority.Pool(), ServerName: "up.example"}
	if alter != nil {
		alter(config)
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func start(t *testing.T, config Config) *Upstream {
	t.Helper()
	up, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := up.Close(); err != nil {
			t.Error(err)
		}
	})
	return up
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func get(ctx context.Context, t *testing.T, client *http.Client, url string) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(client, request)
}

func do(client *http.Client, request *http.Request) (*http.Response, string, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func dial(ctx context.Context, t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestListensWhereItIsTold(t *testing.T) {
	first, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := New(Config{Address: first.Addr()}); err == nil {
		t.Errorf("two listen on %s", second.Addr())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if second := start(t, Config{Address: first.Addr()}); second.Addr() != first.Addr() {
		t.Errorf("listens on %s, told was %s", second.Addr(), first.Addr())
	}
}

func TestRecordsBytesAsTheyCame(t *testing.T) {
	ctx, up := patience(t), start(t, Config{})
	raw := "POST /a%2Fb?q=1 HTTP/1.1\r\nHOST: one.example\r\nx-B: 2\r\nX-a:  1 \r\nx-b: 3\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 6\r\nx-Other: y\r\n\r\n" +
		"GET / HTTP/1.1\r\nHost: two.example\r\n\r\n" +
		"PUT /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
	// Byte by byte and at once must read alike.
	for round, pieces := range [][]string{{raw}, strings.Split(raw, "")} {
		c := dial(ctx, t, up.Addr())
		for _, piece := range pieces {
			if _, err := io.WriteString(c, piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := up.Wait(ctx, func() bool { return up.RequestBytes() == int64((round+1)*len(raw)) }); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		seen := up.Requests()[3*round:]
		first := seen[0]
		lines := []string{"HOST: one.example", "x-B: 2", "X-a:  1 ", "x-b: 3", "Transfer-Encoding: chunked", "Trailer: X-Sum"}
		if first.Method != "POST" || first.Target != "/a%2Fb?q=1" || first.Version != "HTTP/1.1" || first.Host != "one.example" ||
			!slices.Equal(first.Lines, lines) || !slices.Equal(first.Values("X-B"), []string{"2", "3"}) {
			t.Errorf("head: %+v", first)
		}
		if string(first.Body) != "hello!" || first.Length != 6 || first.SHA256 != sha256.Sum256([]byte("hello!")) ||
			!slices.Equal(first.Trailers, []string{"X-Sum: 6", "x-Other: y"}) || !first.Complete {
			t.Errorf("body: %+v", first)
		}
		if !seen[1].Complete || seen[1].Host != "two.example" || seen[1].Connection != round {
			t.Errorf("second: %+v", seen[1])
		}
		if seen[2].Complete || string(seen[2].Body) != "half" {
			t.Errorf("cut: %+v", seen[2])
		}
	}
	if n := up.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestKeepsNoMoreThanAsked(t *testing.T) {
	ctx, up := patience(t), start(t, Config{KeepBody: 10})
	body := strings.Repeat("0123456789", 100_000)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, up.URL(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := newFixture(t).client(t, nil).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var echoed Echoed
	if err := json.NewDecoder(response.Body).Decode(&echoed); err != nil || echoed.Length != int64(len(body)) || echoed.Body != body {
		t.Errorf("echo of %d bytes, %v", echoed.Length, err)
	}
	_ = response.Body.Close()
	seen, err := up.WaitRequest(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(seen.Body) != body[:10] || seen.Length != int64(len(body)) || seen.SHA256 != sha256.Sum256([]byte(body)) {
		t.Errorf("kept %d of %d", len(seen.Body), seen.Length)
	}
}

func TestRecordsHandshake(t *testing.T) {
	ctx, f := patience(t), newFixture(t)
	up := start(t, Config{Certificate: f.server, ClientCAs: f.authority.Pool(), MaxVersion: tls.VersionTLS12})
	mine := f.issue(t, ca.Leaf{CommonName: "me", Client: true})
	client := f.client(t, func(c *tls.Config) {
		c.Certificates, c.NextProtos = []tls.Certificate{mine}, []string{"http/1.1", "acme"}
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	})
	for range 2 {
		if response, _, err := get(ctx, t, client, up.URL()); err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		client.CloseIdleConnections()
	}
	for i, c := range up.Accepted() {
		if c.SNI != "up.example" || !slices.Equal(c.ALPN, []string{"http/1.1", "acme"}) || c.Version != tls.VersionTLS12 ||
			!c.Verified || c.Client[0].Subject.CommonName != "me" || c.Requests != 1 || c.Resumed != (i == 1) {
			t.Errorf("connection %d: %+v", i, c)
		}
	}
}

func TestRefusedHandshakesCarryNoRequestByte(t *testing.T) {
	ctx, f := patience(t), newFixture(t)
	up := start(t, Config{Certificate: f.server, ClientCAs: f.authority.Pool()})
	for name, alter := range map[string]func(*tls.Config){
		"no client certificate":   nil,
		"untrusted server":        func(c *tls.Config) { c.RootCAs = newFixture(t).authority.Pool() },
		"another server expected": func(c *tls.Config) { c.ServerName = "other.example" },
	} {
		before := up.Connections()
		if _, _, err := get(ctx, t, f.client(t, alter), up.URL()); err == nil {
			t.Errorf("%s: served", name)
		}
		if err := up.WaitClosed(ctx, before+1); err != nil {
			t.Fatal(err)
		}
		if c := up.Accepted()[before]; c.Handshake == "" || !c.Closed || c.SNI == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if up.RequestBytes() != 0 || len(up.Requests()) != 0 {
		t.Errorf("%d bytes, %d requests", up.RequestBytes(), len(up.Requests()))
	}
}

func TestUnverifiedClientCertificateIsTold(t *testing.T) {
	ctx, f := patience(t), newFixture(t)
	up := start(t, Config{Certificate: f.server, ClientAuth: tls.RequireAnyClientCert})
	stranger := newFixture(t).issue(t, ca.Leaf{Client: true})
	if _, _, err := get(ctx, t, f.client(t, func(c *tls.Config) { c.Certificates = []tls.Certificate{stranger} }), up.URL()); err != nil {
		t.Fatal(err)
	}
	if c := up.Accepted()[0]; c.Verified || len(c.Client) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestSetCertificate(t *testing.T) {
	ctx, f := patience(t), newFixture(t)
	up := start(t, Config{Certificate: f.server})
	client := f.client(t, nil)
	serial := func() string {
		response, _, err := get(ctx, t, client, up.URL())
		if err != nil {
			t.Fatal(err)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	up.SetCertificate(f.issue(t, ca.Leaf{DNSNames: []string{"up.example"}}))
	if serial() != before {
		t.Error("the open connection was not reused")
	}
	up.CloseConnections()
	if err := up.WaitClosed(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if serial() == before {
		t.Error("a new connection saw the old certificate")
	}
}

func TestClientHelloOnPlainPortIsNoRequest(t *testing.T) {
	ctx, f, up := patience(t), newFixture(t), start(t, Config{})
	if _, _, err := get(ctx, t, f.client(t, nil), "https://"+up.Addr()); err == nil {
		t.Error("served")
	}
	if err := up.WaitClosed(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if c := up.Accepted()[0]; !c.TLSHello || up.RequestBytes() != 0 {
		t.Errorf("%+v", c)
	}
}

func TestHijackedConnectionIsATunnel(t *testing.T) {
	ctx := patience(t)
	up := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		go func() { _, _ = io.Copy(c, c) }()
	})})
	c := dial(ctx, t, up.Addr())
	_, _ = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
	if _, err := io.ReadFull(c, make([]byte, len(answer))); err != nil {
		t.Fatal(err)
	}
	const noise = "GET /no-request HTTP/1.1\r\n\r\n"
	_, _ = io.WriteString(c, noise)
	back := make([]byte, len(noise))
	if _, err := io.ReadFull(c, back); err != nil || string(back) != noise {
		t.Fatalf("%q, %v", back, err)
	}
	if n := len(up.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	up := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := up.WaitRequest(ctx, 1); err == nil || !strings.Contains(err.Error(), "request 1") {
		t.Errorf("%v", err)
	}
	if _, err := up.WaitHead(ctx, 0); err == nil {
		t.Error("waited for request 0")
	}
}
