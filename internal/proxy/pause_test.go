package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// A client that leaves in the pause before a repetition takes with it the upload of the attempt before, which still ran.
func TestAClientLeavesInThePause(t *testing.T) {
	f := func(far func(told chan<- struct{}) *plan.Backend) {
		t.Helper()
		told := make(chan struct{}, 1)
		r := newRig(t, nil, far(told))
		rule := *r.plan.Rules[0]
		rule.Retry = &plan.Retry{Attempts: 1, Backoff: time.Hour, Codes: []int{http.StatusTooManyRequests}}
		r.plan.Rules = []*plan.Rule{&rule}
		r.update()
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		body, w := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, "PUT", "http://"+r.listen+"/0", body)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(w, "hello"); <-told; leave(); _ = w.CloseWithError(io.ErrUnexpectedEOF) }()
		if res, err := h2Client(t).Do(req); err == nil {
			_ = res.Body.Close()
			t.Error(res.Status)
		}
		if e := r.seen.last(t); e.aborted != "client" {
			t.Errorf("logged %+v", e)
		}
	}
	h1 := func(told chan<- struct{}) *plan.Backend { return service("far", early(t, told)) }
	h2 := func(told chan<- struct{}) *plan.Backend {
		return h2c("far", h2Far(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_ = http.NewResponseController(w).Flush()
			told <- struct{}{}
			<-r.Context().Done()
		})))
	}
	f(h1)
	f(h2)
}

// early answers 429 as soon as it has a head, tells so, and reads on.
func early(t testing.TB, told chan<- struct{}) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
			told <- struct{}{}
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	return l.Addr().String()
}
