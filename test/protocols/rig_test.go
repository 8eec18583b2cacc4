package protocols_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// rig is the command in front of far sides; or, straight, far sides alone, to tell what a client does without us.
type rig struct {
	authority          *ca.CA
	root               string // a file with the authority's certificate
	plain, secure      string // base URLs
	web, either, clear *upstream.Upstream
	grpc, grpcs        *grpcecho.Server
	straight           bool
}

// each runs the test through the gateway and straight.
func each(t *testing.T, f func(*testing.T, *rig)) {
	t.Run("straight", func(t *testing.T) { f(t, straight(t)) })
	t.Run("through", func(t *testing.T) { f(t, serve(t)) })
}

// straight starts far sides that clients call themselves.
func straight(t *testing.T) *rig {
	t.Helper()
	r := &rig{straight: true}
	r.trust(t)
	r.start(t, map[string]string{})
	r.plain, r.secure = r.clear.URL(), r.either.URL()
	return r
}

// trust makes the authority.
func (r *rig) trust(t *testing.T) {
	t.Helper()
	r.authority, r.root = testkit.CA(t, "root"), filepath.Join(t.TempDir(), "root.pem")
	write(t, r.root, string(r.authority.PEM()))
}

// serve starts all, with the configuration of testdata, in which ${NAME} stands for what is known only now, and more.
func serve(t *testing.T, more ...string) *rig {
	t.Helper()
	r := &rig{}
	r.trust(t)
	values := map[string]string{}
	r.start(t, values)
	ports := testkit.Ports(t, 4) // after all others have theirs, which might take these
	local := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	r.plain, r.secure = "http://"+local(0), "https://"+local(1)
	pair := testkit.Loopback(t, r.authority, "gateway.test", "grpcs.test")
	key, err := ca.KeyPEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	values["HTTP"], values["HTTPS"] = strconv.Itoa(ports[0]), strconv.Itoa(ports[1])
	values["ROOT"] = base64.StdEncoding.EncodeToString(r.authority.PEM())
	values["CERTIFICATE"] = base64.StdEncoding.EncodeToString(ca.CertificatePEM(pair))
	values["KEY"] = base64.StdEncoding.EncodeToString(key)

	folder := t.TempDir()
	templates, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(templates) == 0 {
		t.Fatal("no configuration in testdata", err)
	}
	for _, name := range templates {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, filepath.Base(name)), os.Expand(string(text), func(name string) string {
			if values[name] == "" {
				t.Errorf("testdata has ${%s}, which is unknown", name)
			}
			return values[name]
		}))
	}
	write(t, filepath.Join(folder, "more.yaml"), strings.Join(more, ""))
	p := command.Start(t, os.Getenv(binary), nil, "run", "-f", folder, "--admin", local(2), "--health", local(3))
	p.Await(t, "serving on ", local(0), local(1))
	t.Cleanup(func() {
		if code := p.Stop(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	return r
}

// start starts the far sides and notes their ports.
func (r *rig) start(t *testing.T, values map[string]string) {
	t.Helper()
	r.web = testkit.Upstream(t, upstream.Config{Handler: pages()})
	var either, clear http.Protocols
	either.SetHTTP1(true)
	either.SetHTTP2(true)
	clear.SetHTTP1(r.straight) // of the gateway it is asked in HTTP/2 alone
	clear.SetUnencryptedHTTP2(true)
	pair := testkit.Loopback(t, r.authority, "far.test", "grpcs.test")
	r.either = testkit.Upstream(t, upstream.Config{Handler: pages(), Protocols: either, Certificate: pair})
	r.clear = testkit.Upstream(t, upstream.Config{Handler: pages(), Protocols: clear})
	r.grpc, r.grpcs = testkit.GRPC(t, grpcecho.Config{}), testkit.GRPC(t, grpcecho.Config{Certificate: pair})
	values["WEB"], values["EITHER"], values["CLEAR"] = portOf(t, r.web.Addr()), portOf(t, r.either.Addr()), portOf(t, r.clear.Addr())
	values["GRPC"], values["GRPCS"] = portOf(t, r.grpc.Addr()), portOf(t, r.grpcs.Addr())
}

const (
	bodySize = 300_000
	events   = 5
)

// pages are what every far side serves, below whatever first segment a route has.
func pages() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/echo", upstream.Echo())
	mux.Handle("/body", upstream.Body(bodySize))
	mux.Handle("/ranges", upstream.Ranges(bodySize))
	mux.Handle("/none", upstream.Status(http.StatusNoContent))
	mux.Handle("/trailers", upstream.Trailers("hello", "X-Sum", "5"))
	mux.Handle("/hinted", upstream.Hinted(http.StatusEarlyHints, upstream.Status(http.StatusOK), "Link", "</style.css>"))
	mux.Handle("/early", upstream.Early())
	mux.Handle("/events", upstream.Stream(events, nil))
	mux.Handle("/ws", websocket.Echo())
	mux.Handle("/upgrade", upgrade())
	mux.Handle("/never", upstream.Delay(make(chan struct{}), nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, rest, ok := strings.Cut(r.URL.Path[1:], "/"); ok {
			r.URL.Path, r.URL.RawPath = "/"+rest, ""
		}
		mux.ServeHTTP(w, r)
	})
}

// upgrade switches to a protocol that repeats bytes, where that is what is asked for.
func upgrade() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" {
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(struct{ io.Writer }{c}, buffered) // ends with the client
	})
}

// saw waits for the far side's request after the first n, whole.
func saw(t *testing.T, up *upstream.Upstream, n int) upstream.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := up.WaitRequest(ctx, n+1)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
