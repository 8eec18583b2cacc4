package soak

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// content is n bytes that the seed alone decides: who knows both knows the checksum.
func content(seed uint64, n int) io.Reader {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), int64(n))
}

// digest is the length and the checksum of what a reader has.
func digest(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d %x", n, h.Sum(nil)), err
}

func digestOf(seed uint64, n int) string {
	text, _ := digest(content(seed, n)) // what is made up can be read
	return text
}

// The fields that an answer says in what has come, and what it is itself.
const (
	gotField = "X-Got"
	sumField = "X-Sum"
)

// far is every far side: it answers in the way that the request's query names, with what the query describes.
type far struct {
	issued sync.Map // keys that may come
	wrong  atomic.Int64
	h1     *httptest.Server // HTTP/1.1
	h2     *httptest.Server // HTTP/2 by prior knowledge, and HTTP/1.1
	tls    *httptest.Server // both, by ALPN
	ws     *httptest.Server
}

func newFar(t *testing.T, certificate tls.Certificate) *far {
	f := &far{}
	start := func(h http.Handler, change func(*httptest.Server)) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		change(s)
		if s.TLS == nil {
			s.Start()
		} else {
			s.StartTLS()
		}
		t.Cleanup(s.Close)
		return s
	}
	f.h1 = start(f, func(*httptest.Server) {})
	f.h2 = start(f, func(s *httptest.Server) {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	})
	f.tls = start(f, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	})
	f.ws = start(websocket.Echo(), func(*httptest.Server) {})
	return f
}

// disconnect ends every connection, so that what the gateway keeps in its pools is no matter of chance.
func (f *far) disconnect() {
	for _, s := range []*httptest.Server{f.h1, f.h2, f.tls, f.ws} {
		s.CloseClientConnections()
	}
}

func (f *far) issue(key string) string {
	f.issued.Store("Bearer "+key, true)
	return key
}

func (f *far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, ok := f.issued.Load(r.Header.Get("Authorization")); !ok {
		f.wrong.Add(1)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	q := r.URL.Query()
	got, err := digest(r.Body)
	if err != nil {
		return // the client has left
	}
	number, _ := strconv.ParseUint(q.Get("seed"), 10, 64)
	size, _ := strconv.Atoi(q.Get("size"))
	w.Header().Set(gotField, got)
	switch q.Get("way") {
	case "counted":
		w.Header().Set("Content-Length", q.Get("size"))
	case "chunked", "slow":
	case "trailers":
		w.Header().Set("Trailer", sumField)
	case "call":
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", sumField+", Grpc-Status")
	case "events":
		f.events(w, r, number)
		return
	case "reset":
		end(w)
		return
	case "cut":
		_, _ = io.Copy(w, content(number, size/2))
		_ = http.NewResponseController(w).Flush()
		end(w)
		return
	case "stall":
		<-r.Context().Done()
		return
	}
	f.send(w, r, number, size, q.Get("way"))
}

// send writes the answer's body; slowly where it is to.
func (f *far) send(w http.ResponseWriter, r *http.Request, number uint64, size int, way string) {
	body := content(number, size)
	for piece, n := int64(size/10+1), int64(1); n > 0 && way == "slow"; {
		var err error
		if n, err = io.CopyN(w, body, piece); err != nil && n == 0 || http.NewResponseController(w).Flush() != nil {
			break
		}
		pause(r, 5*time.Millisecond)
	}
	_, _ = io.Copy(w, body) // a client may leave
	switch way {
	case "call":
		w.Header().Set("Grpc-Status", "0")
		fallthrough
	case "trailers":
		w.Header().Set(sumField, digestOf(number, size))
	}
}

// events are as many as a stream has, each with its number.
func (f *far) events(w http.ResponseWriter, r *http.Request, number uint64) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range eventsOf(number) {
		_, _ = io.WriteString(w, event(number, i))
		if http.NewResponseController(w).Flush() != nil || !pause(r, 2*time.Millisecond) {
			return
		}
	}
}

func eventsOf(seed uint64) int { return 1 + int(seed%20) }

func event(seed uint64, i int) string {
	return fmt.Sprintf("id: %d\ndata: %s\n\n", i, digestOf(seed+uint64(i), 10))
}

// pause is shorter than its bound, and over when the client has left.
func pause(r *http.Request, most time.Duration) bool {
	select {
	case <-time.After(rand.N(most)):
		return true
	case <-r.Context().Done():
		return false
	}
}

// end breaks a connection, or a stream of HTTP/2, off.
func end(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
