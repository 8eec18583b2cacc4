package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/source/file"
	"github.com/ebbgate/ebbgate/internal/standalone"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// pushed is a source whose snapshots the test pushes; a push returns once the snapshot is in force.
type pushed struct {
	first *source.Snapshot
	next  chan *source.Snapshot
	taken chan struct{}
}

func (p *pushed) Load(context.Context) (*source.Snapshot, []problem.Problem) { return p.first, nil }

func (p *pushed) Watch(ctx context.Context, changed func(*source.Snapshot, []problem.Problem)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-p.next:
			changed(s, nil)
			p.taken <- struct{}{}
		}
	}
}

func (p *pushed) push(s *source.Snapshot) {
	p.next <- s
	<-p.taken
}

// vendor is a destination that takes any key that was ever issued, and nothing else.
type vendor struct {
	*httptest.Server
	issued sync.Map
	wrong  atomic.Int64
}

func newVendor(t *testing.T, certificate tls.Certificate) *vendor {
	v := &vendor{}
	v.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := v.issued.Load(r.Header.Get("Authorization")); !ok {
			v.wrong.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, err := io.ReadAll(r.Body) // all of it first: net/http reads no more once it writes
		if err == nil {
			_, _ = w.Write(body) // a client that left is no matter
		}
	}))
	v.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	v.StartTLS()
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) issue(key string) string {
	v.issued.Store("Bearer "+key, true)
	return key
}

// load is clients that send all the time, each on a connection of its own, until stopped.
type load struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	sent    atomic.Int64
	done    chan struct{} // a value for each answer that somebody waits for
	mu      sync.Mutex
	failed  []string
}

const clients = 8

func startLoad(t *testing.T, roots *x509.CertPool, urls ...string) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel, done: make(chan struct{})}
	for i := range clients {
		l.running.Go(func() {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "gateway.test", MinVersion: tls.VersionTLS12}}
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport, Timeout: patience}
			body := strings.Repeat("x", 1<<(2*i)) // 1 byte to 16 KiB
			for n := 0; ctx.Err() == nil; n++ {
				got, err := try(context.WithoutCancel(ctx), c, http.MethodPost, urls[(i+n/64)%len(urls)], body)
				l.sent.Add(1)
				select {
				case l.done <- struct{}{}:
				default:
				}
				if err != nil || got.status != http.StatusOK || got.body != body {
					l.fail(fmt.Sprintf("client %d, request %d: %v, %d, %.300s", i, n, err, got.status, got.body))
				}
			}
		})
	}
	return l
}

func (l *load) fail(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, why)
}

// end stops the clients and asserts that no request failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.running.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(l.failed), l.sent.Load(), l.failed[0])
	}
	if l.sent.Load() < clients {
		t.Errorf("%d requests were sent", l.sent.Load())
	}
}

// churn is a gateway in this process whose configuration changes all the time.
type churn struct {
	*pushed
	vendor      *vendor
	authority   *ca.CA
	port, https int
	made        int // configurations
	pairs       [2]*corev1.Secret
}

func newChurn(t *testing.T) *churn {
	authority := testkit.CA(t, "churn")
	c := &churn{authority: authority, vendor: newVendor(t, testkit.Loopback(t, authority, "api.test"))}
	ports := testkit.Ports(t, 2)
	c.port, c.https = ports[0], ports[1]
	f := newFolder(t)
	f.write("all.yaml",
		gatewayOn("egress", c.port, fmt.Sprintf("- {name: https, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}", c.https)),
		certificateSecret(t, "pair", authority, "gateway.test"), certificateSecret(t, "pair2", authority, "gateway.test"),
		root("root", authority), route("api"), route("extra"), pinned("api", "api.test"), bearer("api", "key"),
		backend("api", "api.test", portOf(t, c.vendor.Listener.Addr().String()), verified("api.test", "root")),
		secret("key", "token", c.vendor.issue("key-0")))
	files, err := file.New(file.Config{Paths: []string{f.dir}, Schema: schema.New()})
	if err != nil {
		t.Fatal(err)
	}
	first, problems := files.Load(t.Context())
	if first == nil {
		t.Fatal(problems)
	}
	for i, name := range []string{"Secret/t/pair", "Secret/t/pair2"} {
		c.pairs[i] = first.Objects[name].(*corev1.Secret)
	}
	c.pushed = &pushed{first: first, next: make(chan *source.Snapshot), taken: make(chan struct{})}
	return c
}

// run serves until the test's end; the function returned ends it before and asserts that it ended well.
func (c *churn) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- standalone.Run(ctx, standalone.Config{
			Source: c, Logger: slog.New(slog.DiscardHandler), Access: io.Discard, Audit: io.Discard, Drain: patience,
			Ready: func([]string) { close(ready) },
		})
	}()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// next changes one thing after the other: the key, a route, the listener's certificate, the roots, a timeout.
func (c *churn) next() (extra bool) {
	c.made++
	objects := maps.Clone(c.first.Objects)
	object := func(name string) source.Object {
		copied := objects[name].DeepCopyObject().(source.Object)
		objects[name] = copied
		return copied
	}
	object("Secret/t/key").(*corev1.Secret).Data = map[string][]byte{"token": []byte(c.vendor.issue(fmt.Sprintf("key-%d", c.made)))}
	extra = c.made%2 == 0
	if extra { // a route of another name each time
		added := object("HTTPRoute/t/api").(*gwapiv1.HTTPRoute)
		added.Name = fmt.Sprintf("extra-%d", c.made)
		path := "/" + added.Name
		added.Spec.Rules[0].Matches[0].Path.Value = &path
		objects["HTTPRoute/t/api"] = c.first.Objects["HTTPRoute/t/api"]
		objects["HTTPRoute/t/"+added.Name] = added
	}
	if c.made%3 == 0 {
		object("Secret/t/pair").(*corev1.Secret).Data = c.pairs[c.made/3%2].Data
	}
	if c.made%5 == 0 { // the same root, written otherwise: another TLS setting, and hence another pool
		object("ConfigMap/t/root").(*corev1.ConfigMap).Data["ca.crt"] += strings.Repeat("\n", c.made%7+1)
	}
	if c.made%7 == 0 {
		object("HTTPRoute/t/api").(*gwapiv1.HTTPRoute).Spec.Rules[0].Timeouts = &gwapiv1.HTTPRouteTimeouts{Request: new(gwapiv1.Duration("30s"))}
	}
	c.push(&source.Snapshot{Objects: objects})
	return extra
}

// reload changes the configuration n times under load.
func (c *churn) reload(t *testing.T, n int) {
	t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d", c.port)
	l := startLoad(t, c.authority.Pool(), url+"/api/x", fmt.Sprintf("https://127.0.0.1:%d/api/y", c.https))
	own := client(t)
	for range n {
		for range clients / 2 { // so many answers at least come between two changes
			<-l.done
		}
		extra := c.next()
		want := http.StatusNotFound
		if extra {
			want = http.StatusOK
		}
		if c.made%10 > 1 {
			continue // the checks would slow the changes down
		}
		got := send(t, own, http.MethodPost, fmt.Sprintf("%s/extra-%d", url, c.made), "x")
		if got.status != want {
			t.Fatalf("configuration %d: its own route answers %d, not %d: %s", c.made, got.status, want, got.body)
		}
	}
	l.end(t)
	own.CloseIdleConnections()
	t.Logf("%d reloads, %d requests", n, l.sent.Load())
}

// TestReloadsUnderLoad: no request fails, and nothing is left behind.
func TestReloadsUnderLoad(t *testing.T) {
	c := newChurn(t)
	before := runtime.NumGoroutine()
	stop := c.run(t)
	c.reload(t, 100)
	c.push(c.first)
	c.vendor.CloseClientConnections() // idle ones in the gateway's pool: their number is chance
	goroutines, heap := settled(t, 0)
	c.reload(t, 1000)
	c.push(c.first)
	c.vendor.CloseClientConnections()
	after, left := settled(t, goroutines)
	t.Logf("goroutines %d, then %d; heap %d KiB, then %d KiB", goroutines, after, heap>>10, left>>10)
	if after > goroutines {
		t.Errorf("%d goroutines after 100 reloads, %d after 1,100", goroutines, after)
	}
	const grace = 4 << 20 // pools of buffers, the garbage collector's own
	if left > heap+grace {
		t.Errorf("heap %d KiB after 100 reloads, %d KiB after 1,100", heap>>10, left>>10)
	}
	if n := c.vendor.wrong.Load(); n > 0 {
		t.Errorf("%d requests without a key that was issued", n)
	}
	stop()
	c.vendor.CloseClientConnections()
	if last, _ := settled(t, before); last > before {
		buffer := make([]byte, 1<<20)
		t.Errorf("%d goroutines before the gateway, %d after it:\n%s", before, last, buffer[:runtime.Stack(buffer, true)])
	}
}

// settled waits until the goroutines are at most so many, or do not get fewer, and gives them and the live heap.
func settled(t *testing.T, want int) (goroutines int, heap uint64) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for least, since := 1<<30, time.Now(); time.Now().Before(deadline); {
		goroutines = runtime.NumGoroutine()
		if goroutines < least {
			least, since = goroutines, time.Now()
		}
		if want > 0 && goroutines <= want || time.Since(since) > 3*time.Second {
			break
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond) // goroutines end by themselves: there is no event of it to wait for
	}
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return goroutines, m.HeapAlloc
}

// TestFileReloadsUnderLoad does the same with files and the real command, as a user would.
func TestFileReloadsUnderLoad(t *testing.T) {
	authority := testkit.CA(t, "files")
	v := newVendor(t, testkit.Loopback(t, authority, "api.test"))
	ports := testkit.Ports(t, 2)
	f := newFolder(t)
	f.write("gateway.yaml", gatewayOn("egress", ports[0], fmt.Sprintf("- {name: https, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}", ports[1])))
	f.write("pair.yaml", certificateSecret(t, "pair", authority, "gateway.test"))
	f.write("key.yaml", secret("key", "token", v.issue("key-0")))
	f.write("api.yaml", root("root", authority), route("api"), pinned("api", "api.test"), bearer("api", "key"),
		backend("api", "api.test", portOf(t, v.Listener.Addr().String()), verified("api.test", "root")))
	p := run(t, f, "--access-log", "off", "--audit-log", filepath.Join(t.TempDir(), "audit.log"))
	url := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	l := startLoad(t, authority.Pool(), url+"/api/x", fmt.Sprintf("https://127.0.0.1:%d/api/y", ports[1]))
	own := client(t)
	var slowest time.Duration
	for i := range 20 {
		begun := time.Now()
		p.reloads(t, func() {
			switch i % 4 {
			case 0, 2:
				f.write("key.yaml", secret("key", "token", v.issue(fmt.Sprintf("key-%d", i+1))))
			case 1:
				f.write("pair.yaml", certificateSecret(t, "pair", authority, "gateway.test"))
				f.write("more.yaml", strings.ReplaceAll(strings.ReplaceAll(route("api"), "name: api, namespace", "name: more, namespace"), "/api", "/more"))
			case 3:
				f.remove("more.yaml")
			}
		})
		slowest = max(slowest, time.Since(begun))
		want := http.StatusNotFound
		if i%4 == 1 || i%4 == 2 {
			want = http.StatusOK
		}
		if got := send(t, own, http.MethodPost, url+"/more", "x"); got.status != want {
			t.Fatalf("reload %d: /more answers %d, not %d", i, got.status, want)
		}
	}
	l.end(t)
	if n := v.wrong.Load(); n > 0 {
		t.Errorf("%d requests without a key that was issued", n)
	}
	t.Logf("20 reloads, %d requests; the slowest from write to served took %v", l.sent.Load(), slowest)
	p.ends(t)
}
