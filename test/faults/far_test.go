package faults

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// version is what a far side speaks.
type version uint8

const (
	http1 version = iota
	http2c
)

var versions = []version{http1, http2c}

func (v version) String() string { return [...]string{"HTTP/1.1", "HTTP/2"}[v] }

func (v version) protocol() plan.Protocol { return [...]plan.Protocol{plan.HTTP11, plan.HTTP2}[v] }

// limit bounds what a far side is silent for: short for the test, and long for a machine that has much to do.
const limit = 1500 * time.Millisecond

// fault is a way to fail.
type fault struct {
	group    string // heading, of all that follow too
	name     string
	only     string // the one version that has it; empty: both
	start    func(t *testing.T, v version, s *site) far
	atHead   bool // it happens once a request's head is there, whatever of its body is still to come
	pooled   bool // it happens once, to the second request of a connection
	answers  bool // an answer comes whole all the same
	deaf     bool // what is sent is not read as requests, or not at all
	settings func(*policy.Settings)
	timeouts plan.Timeouts // of the rule
	races    string        // why it has no table
	why      string        // where the class alone does not say
}

// fails is how many of an exchange's requests fail before the whole of their body is there.
func (f *fault) fails() int {
	switch {
	case f.pooled:
		return 1
	case f.atHead:
		return math.MaxInt
	}
	return 0
}

// site is what the far sides of one rig share.
type site struct {
	root   *ca.CA
	record *upstream.Record // of the one that fails; nil where it is not there
}

// of1 and of2 are raw far sides of one version.
func of1(kind upstream.Kind) func(*testing.T, version, *site) far {
	return func(t *testing.T, v version, s *site) far {
		f := testkit.Fault(t, upstream.FaultConfig{Kind: kind})
		s.record = f.Record
		return far{address: f.Addr(), protocol: v.protocol()}
	}
}

func of2(kind upstream.HTTP2Kind, code http2.ErrCode) func(*testing.T, version, *site) far {
	return func(t *testing.T, v version, s *site) far {
		f := testkit.HTTP2Fault(t, upstream.HTTP2FaultConfig{Kind: kind, Code: code})
		s.record = f.Record
		return far{address: f.Addr(), protocol: v.protocol()}
	}
}

// of is each version's own raw far side.
func of(kind upstream.Kind, kind2 upstream.HTTP2Kind) func(*testing.T, version, *site) far {
	return func(t *testing.T, v version, s *site) far {
		if v == http1 {
			return of1(kind)(t, v, s)
		}
		return of2(kind2, 0)(t, v, s)
	}
}

// handled is a far side of either version that fails as the handler does.
func handled(h http.HandlerFunc) func(*testing.T, version, *site) far {
	return func(t *testing.T, v version, s *site) far {
		f := testkit.Upstream(t, upstream.Config{Handler: h, Protocols: v.protocols(false)})
		s.record = f.Record
		return far{address: f.Addr(), protocol: v.protocol()}
	}
}

func (v version) protocols(secure bool) (p http.Protocols) {
	p.SetHTTP1(v == http1)
	p.SetHTTP2(v == http2c && secure)
	p.SetUnencryptedHTTP2(v == http2c && !secure)
	return p
}

// nobody is an address that nobody listens on, and that nobody else can take meanwhile.
func nobody(t *testing.T, v version, _ *site) far {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return far{address: fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port), protocol: v.protocol()}
}

// overTLS is a raw far side that TLS is spoken to.
func overTLS(kind upstream.Kind, certified bool) func(*testing.T, version, *site) far {
	return func(t *testing.T, v version, s *site) far {
		config := upstream.FaultConfig{Kind: kind}
		if certified {
			config.Certificate = testkit.Loopback(t, s.root, "far.test")
		}
		f := testkit.Fault(t, config)
		s.record = f.Record
		return far{address: f.Addr(), protocol: v.protocol(), tls: true}
	}
}

// impostor shows a certificate that nobody vouches for.
func impostor(t *testing.T, v version, s *site) far {
	t.Helper()
	f := testkit.Upstream(t, upstream.Config{Certificate: testkit.Loopback(t, testkit.CA(t, "stranger"), "far.test"), Protocols: v.protocols(true)})
	s.record = f.Record
	return far{address: f.Addr(), protocol: v.protocol(), tls: true}
}

// demanding asks for a client certificate that the gateway has not.
func demanding(newest uint16) func(*testing.T, version, *site) far {
	return func(t *testing.T, v version, s *site) far {
		f := testkit.Upstream(t, upstream.Config{
			Certificate: testkit.Loopback(t, s.root, "far.test"), ClientCAs: s.root.Pool(), MaxVersion: newest, Protocols: v.protocols(true),
		})
		s.record = f.Record
		return far{address: f.Addr(), protocol: v.protocol(), tls: true}
	}
}

// older speaks HTTP/1.1 alone, whatever it is asked over.
func older(t *testing.T, v version, s *site) far {
	t.Helper()
	f := testkit.Upstream(t, upstream.Config{})
	s.record = f.Record
	return far{address: f.Addr(), protocol: v.protocol()}
}

// healthy answers 200 with the body that it got.
func healthy(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-From", "other")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// cut answers with a head that states a length, or none, and the first bytes, and breaks off.
func cut(stated, bytes int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begin(w, r, stated, bytes)
		panic(http.ErrAbortHandler)
	}
}

// warm is behind the path of a request that has a connection made.
const warm = "warm"

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// restarted starts a far side with a memory of its own: the table of faults is older than one run of it.
func restarted(t *testing.T, v version, s *site) far { return handled(restarting())(t, v, s) }

// restarting closes the connection under the first request of each path, but to warm up, and serves all others.
func restarting() http.HandlerFunc {
	var met sync.Map
	return func(w http.ResponseWriter, r *http.Request) {
		if _, again := met.LoadOrStore(r.URL.Path, true); !again && !strings.HasSuffix(r.URL.Path, warm) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil { // a panic would wait for the body
				_ = c.Close()
			}
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// stall answers in the same way, and falls silent.
func stall(stated, bytes int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begin(w, r, stated, bytes)
		<-r.Context().Done()
	}
}

func begin(w http.ResponseWriter, r *http.Request, stated, bytes int) {
	_, _ = io.Copy(io.Discard, r.Body)
	if stated > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(stated))
	}
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, strings.Repeat("x", bytes))
	_ = http.NewResponseController(w).Flush()
}

// refusing answers before it has read anything of the body.
func refusing(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex() // of HTTP/1.1: else net/http reads the body first
	w.Header().Set("Content-Length", "8")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	_, _ = io.WriteString(w, "no more\n")
	_ = http.NewResponseController(w).Flush()
}
