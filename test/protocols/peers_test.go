package protocols_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// peer is one listener of a server that others wrote.
type peer struct {
	Name, Protocol string // Protocol is what the gateway is told to speak
	Port           int
	Secure         bool
}

// host is the authority by which it is asked, straight and through.
func (p peer) host() string { return fmt.Sprintf("%s.test:%d", p.Name, p.Port) }

// straight is where it listens.
func (p peer) straight() string {
	if p.Secure {
		return fmt.Sprintf("https://127.0.0.1:%d", p.Port)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", p.Port)
}

// peers are nginx and HAProxy with servers of ours behind them, and the gateway before them.
type peers struct {
	far  []peer
	base string // the gateway's listener
	tls  *tls.Config
}

// servePeers starts nginx, HAProxy and the gateway.
func servePeers(t *testing.T) *peers {
	t.Helper()
	authority, folder := testkit.CA(t, "peers"), t.TempDir()
	web := testkit.Upstream(t, upstream.Config{Handler: behind()})
	calls := testkit.GRPC(t, grpcecho.Config{})
	ports := testkit.Ports(t, 6) // after the servers behind have theirs, which might take these
	far := []peer{
		{"nginx-one", "HTTP11", ports[0], false}, {"nginx-two", "HTTP2", ports[1], true}, {"nginx-clear", "H2C", ports[2], false},
		{"haproxy-one", "HTTP11", ports[3], false}, {"haproxy-two", "HTTP2", ports[4], true}, {"haproxy-clear", "H2C", ports[5], false},
	}
	names := make([]string, len(far))
	for i, p := range far {
		names[i] = p.Name + ".test"
	}
	pair := testkit.Loopback(t, authority, names...)
	key, err := ca.KeyPEM(pair)
	check(t, err)
	write(t, filepath.Join(folder, "far.pem"), string(ca.CertificatePEM(pair))+string(key))
	files(t, filepath.Join(folder, "www"))
	values := map[string]any{
		"Root": os.Getuid() == 0, "Folder": folder, "Far": far, "CA": base64.StdEncoding.EncodeToString(authority.PEM()),
		"NginxPlain": ports[0], "NginxSecure": ports[1], "NginxClear": ports[2],
		"HAProxyPlain": ports[3], "HAProxySecure": ports[4], "HAProxyClear": ports[5],
		"Upstream": portOf(t, web.Addr()), "Calls": portOf(t, calls.Addr()),
	}
	render := func(name string) (text, path string) {
		parsed, err := template.New(name).Option("missingkey=error").ParseFiles("testdata/peers/" + name)
		check(t, err)
		var out bytes.Buffer
		check(t, parsed.Execute(&out, values))
		path = filepath.Join(folder, name)
		write(t, path, out.String())
		return out.String(), path
	}
	_, config := render("nginx.conf")
	command.Start(t, system(t, "nginx"), nil, "-p", folder, "-e", "stderr", "-c", config).Await(t, "start worker process ")
	_, config = render("haproxy.cfg")
	command.Start(t, system(t, "haproxy"), nil, "-W", "-db", "-f", config).Await(t, "Loading success")
	text, _ := render("gateway.yaml")
	return &peers{far: far, base: serve(t, text).plain, tls: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}
}

// system is the path of a program that Debian has where the PATH of most users does not lead.
func system(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		return path
	}
	return command.Need(t, name, "install it (Debian: apt-get install "+name+")")
}

// Files have one time, of which nginx makes their entity tags, with the length.
const (
	fileTime  = 1_600_000_000
	fileTag   = `"5f5e1000-493e0"` // of one of bodySize bytes
	fileSince = "Sun, 13 Sep 2020 12:26:40 GMT"
)

func files(t *testing.T, folder string) {
	t.Helper()
	check(t, os.Mkdir(folder, 0o700))
	large := strings.Repeat("0123456789", bodySize/10)
	for name, text := range map[string]string{
		"small.txt": "hello\n", "empty.txt": "", "large.txt": large, "large.bin": large, "teapot.html": "<p>short and stout</p>\n", "a b.txt": "spaced\n",
	} {
		path := filepath.Join(folder, name)
		write(t, path, text)
		check(t, os.Chtimes(path, time.Time{}, time.Unix(fileTime, 0)))
	}
}

// behind is what nginx and HAProxy pass on to.
func behind() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/up/seen", seen())
	mux.Handle("/up/digest", digest())
	mux.Handle("/up/body", upstream.Body(bodySize))
	mux.Handle("/up/ranges", upstream.Ranges(bodySize))
	mux.Handle("/up/events", upstream.Stream(events, nil))
	mux.Handle("/up/trailers", upstream.Trailers("hello", "X-Sum", "5"))
	mux.Handle("/up/hinted", upstream.Hinted(http.StatusEarlyHints, upstream.Status(http.StatusOK), "Link", "</style.css>"))
	mux.Handle("/up/unavailable", upstream.Status(http.StatusServiceUnavailable, "Retry-After", "7"))
	mux.Handle("/up/unknown", upstream.Status(599, "X-Two", "1", "X-Two", "2"))
	mux.Handle("/up/challenge", upstream.Status(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="a"`, "WWW-Authenticate", "Bearer"))
	mux.Handle("/ws", websocket.Echo())
	return mux
}

// seen answers with what came, but for what a proxy writes.
func seen() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := []string{r.Method + " " + r.RequestURI + " " + r.Host}
		for name, values := range r.Header {
			if !own(name) {
				lines = append(lines, fmt.Sprintf("%s: %q", name, values))
			}
		}
		slices.Sort(lines[1:])
		_, _ = io.WriteString(w, strings.Join(lines, "\n"))
	})
}

// digest answers with how much came, and its sum.
func digest() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			return // the client left, and there is nobody to answer
		}
		_, _ = fmt.Fprintf(w, "%s %d %x %s", r.Method, n, sum.Sum(nil), cmp.Or(r.Header.Get("Content-Type"), "untyped"))
	})
}
