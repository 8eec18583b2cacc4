package spec_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// How asks talk to far sides, and far sides are told of in answers.
const (
	askField    = "X-Ask"     // the number of the ask
	answerField = "Far-Field" // "Name=value": a field that the answer shall have
	statusField = "Far-Status"
	failsField  = "Far-Fails"  // how often Far-Status is answered before all is well; absent: always
	silentField = "Far-Silent" // how often no answer comes
	cutField    = "Far-Cut"    // how often the connection is closed in the place of an answer
)

// received is a request as a far side got it.
type received struct {
	far, method, target, proto, body string
	header                           http.Header // with Host
	at                               time.Time
}

// far is a far side that answers in HTTP/1.1, or in HTTP/2 to who begins with it.
type far struct {
	name, address string

	mu      sync.Mutex
	seen    map[string][]received // by ask
	arrived chan struct{}         // closed, and made anew, when a request comes
}

// far starts a far side that lives as long as the test.
func (w *world) far(t *testing.T, name string) *far {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{name: name, address: l.Addr().String(), seen: map[string][]received{}, arrived: make(chan struct{})}
	var p http.Protocols
	p.SetHTTP1(name != "h2c")
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: f, Protocols: &p, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	w.fars[name] = f
	return f
}

func (f *far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	times := f.record(r, string(body))
	for _, field := range r.Header.Values(answerField) {
		name, value, _ := strings.Cut(field, "=")
		w.Header().Add(name, value)
	}
	w.Header().Set("X-Far", f.name)
	status, _ := strconv.Atoi(r.Header.Get(statusField))
	if fails := r.Header.Get(failsField); fails != "" && strconv.Itoa(times) > fails {
		status = 0
	}
	switch {
	case strconv.Itoa(times) <= r.Header.Get(cutField):
		panic(http.ErrAbortHandler)
	case strconv.Itoa(times) <= r.Header.Get(silentField):
		<-r.Context().Done()
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		answerCall(w)
	case r.Header.Get("Upgrade") != "":
		websocket.Echo().ServeHTTP(w, r)
	default:
		if status == 0 {
			status = http.StatusOK
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, f.name)
	}
}

func (f *far) record(r *http.Request, body string) (times int) {
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	f.mu.Lock()
	defer f.mu.Unlock()
	ask := header.Get(askField)
	f.seen[ask] = append(f.seen[ask], received{f.name, r.Method, r.RequestURI, r.Proto, body, header, time.Now()})
	close(f.arrived)
	f.arrived = make(chan struct{})
	return len(f.seen[ask])
}

// of are the requests that came of an ask.
func (f *far) of(ask string) []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen[ask])
}

// wait waits until a request of the ask has come.
func (f *far) wait(ctx context.Context, ask string) ([]received, error) {
	err := f.until(ctx, func() bool { return len(f.of(ask)) > 0 })
	return f.of(ask), err
}

// until waits until done, which is asked again when a request has come.
func (f *far) until(ctx context.Context, done func() bool) error {
	for {
		f.mu.Lock()
		arrived := f.arrived
		f.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("far side %s: what should come did not: %w", f.name, context.Cause(ctx))
		}
	}
}

// answerCall is the answer to a gRPC call: an empty message, and status OK in the trailers.
func answerCall(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(make([]byte, 5))
	w.Header().Set("Grpc-Status", "0")
}
