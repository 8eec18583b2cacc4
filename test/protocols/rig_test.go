package protocols_test

import (
	"context"
	"encoding/base64"
	"fmt"
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
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// rig is the command in front of far sides.
type rig struct {
	authority     *ca.CA
	root          string // a file with the authority's certificate
	plain, secure string // the gateway's base URLs
	web           *upstream.Upstream
}

// serve starts all, with the configuration of testdata, in which ${NAME} stands for what is known only now.
func serve(t *testing.T) *rig {
	t.Helper()
	ports := command.Ports(t, 4)
	local := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	r := &rig{authority: testkit.CA(t, "root"), plain: "http://" + local(0), secure: "https://" + local(1)}
	r.root = filepath.Join(t.TempDir(), "root.pem")
	write(t, r.root, string(r.authority.PEM()))
	pair := testkit.Loopback(t, r.authority, "gateway.test")
	key, err := ca.KeyPEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"HTTP": strconv.Itoa(ports[0]), "HTTPS": strconv.Itoa(ports[1]),
		"CERTIFICATE": base64.StdEncoding.EncodeToString(ca.CertificatePEM(pair)), "KEY": base64.StdEncoding.EncodeToString(key),
	}
	r.start(t, values)

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
	values["WEB"] = portOf(t, r.web.Addr())
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
	mux.Handle("/never", upstream.Delay(make(chan struct{}), nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, rest, ok := strings.Cut(r.URL.Path[1:], "/"); ok {
			r.URL.Path, r.URL.RawPath = "/"+rest, ""
		}
		mux.ServeHTTP(w, r)
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
