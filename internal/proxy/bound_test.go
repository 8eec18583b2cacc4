package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// limiting bounds bodies as a policy does.
type limiting struct{ limit exchange.BodyLimit }

func (l limiting) Request(_ context.Context, x *exchange.Exchange) *exchange.Refusal {
	x.Request.Limit = l.limit
	return nil
}

// TestBodiesAreBounded: a body over its limit is answered 413 and no far side takes it for a whole one, whether it states its
// length or not.
func TestBodiesAreBounded(t *testing.T) {
	var whole atomic.Int64 // requests that a far side read to their end
	far := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
			fmt.Fprintf(w, "%d", n)
		}
	})
	kinds := []*policy.Kind{{
		Name: "Limiting", Config: func() any { return new(struct{}) },
		Apply: func(policy.Env, any) (any, error) {
			return limiting{exchange.BodyLimit{Bytes: 100 << 10, Policy: "GuardRailsPolicy/t/x"}}, nil
		},
	}}
	for _, limited := range []bool{false, true} {
		config := Config{Observer: newRecorder(), Logger: slog.New(slog.DiscardHandler), bodyMost: 200 << 10}
		most := 200 << 10
		if limited {
			config.Kinds, most = kinds, 100<<10
		}
		r := newRigOf(t, config, service("h1", testFar(t, far)), h2c("h2", h2Far(t, nil, far)))
		f := func(path string, size int, chunked, grpc, ok bool) {
			t.Helper()
			before := whole.Load()
			head := "POST " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
			if grpc {
				head += "Content-Type: application/grpc\r\n"
			}
			body := strings.Repeat("x", size)
			if chunked {
				body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body)
				head += "Transfer-Encoding: chunked\r\n\r\n"
			} else {
				head += fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
			}
			answer := r.raw(head + body)
			refused := strings.HasPrefix(answer, "HTTP/1.1 413 ") && strings.Contains(answer, `"body_too_large"`) || grpc && strings.Contains(answer, "Grpc-Status: 8\r\n")
			if served := strings.HasPrefix(answer, "HTTP/1.1 200 ") && !refused; served != ok || refused == ok {
				t.Errorf("limited %t, %s, %d bytes, chunked %t, gRPC %t: %.300q", limited, path, size, chunked, grpc, answer)
			}
			if n := whole.Load() - before; (n == 1) != ok || n > 1 {
				t.Errorf("limited %t, %s, %d bytes, chunked %t: %d far sides took it for whole", limited, path, size, chunked, n)
			}
		}
		for _, path := range []string{"/0", "/1"} {
			for _, chunked := range []bool{false, true} {
				f(path, 10, chunked, false, true)
				f(path, most, chunked, false, true)
				f(path, most+1, chunked, false, false)
				f(path, 2*most, chunked, false, false)
				if path == "/0" || limited { // over HTTP/2 such a call has its own rules
					f(path, most+1, chunked, true, !limited)
				}
			}
		}
	}
}
