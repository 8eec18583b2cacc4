package http1

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

const benchFields = "User-Agent: curl/8.11.0\r\nAccept: application/json, text/event-stream\r\nAccept-Encoding: gzip, br\r\n" +
	"Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef\r\nContent-Type: application/json\r\n" +
	"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"

const (
	benchGet      = "GET /v1/models?limit=20 HTTP/1.1\r\nHost: api.example.com\r\n" + benchFields + "\r\n"
	benchPost     = "POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n" + benchFields + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	benchResponse = "HTTP/1.1 200 OK\r\n" + benchFields + "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello"
)

// again gives one message over and over, a message a read, as a client does that waits for each answer.
type again string

func (a again) Read(p []byte) (int, error) { return copy(p, a), nil }

// relay reads a message and writes its head anew, with its body where it is there.
func relay(r *Reader, req *exchange.Request, out []byte) ([]byte, error) {
	if err := r.ReadRequest(req); err != nil {
		return nil, err
	}
	out, _, err := AppendRequest(out[:0], RequestHead{
		Method: req.Method, Target: req.Path, Authority: req.Authority, Header: &req.Header, Length: req.Length,
	})
	if err != nil {
		return nil, err
	}
	body, ok := r.Body().Whole()
	if !ok {
		return nil, io.ErrShortBuffer
	}
	return append(out, body...), nil
}

func TestNoAllocations(t *testing.T) {
	for name, in := range map[string]string{"GET": benchGet, "POST": benchPost} {
		r := NewReader(again(in), Limits{})
		var req exchange.Request
		out := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(200, func() {
			var err error
			if out, err = relay(r, &req, out); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
	}
	r := NewReader(again(benchResponse), Limits{})
	var res exchange.Response
	out, body := make([]byte, 0, 4096), make([]byte, 100)
	if n := testing.AllocsPerRun(200, func() {
		if err := r.ReadResponse(&res, http.MethodGet); err != nil {
			t.Fatal(err)
		}
		var err error
		if out, _, err = AppendResponse(out[:0], &res, Recipient{Method: http.MethodGet}, AsIs); err != nil {
			t.Fatal(err)
		}
		if n, err := res.Body.Read(body); n != 5 || err != io.EOF {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a response", n)
	}
}

func BenchmarkReadRequest(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchGet)))
	r := NewReader(again(benchGet), Limits{})
	var req exchange.Request
	for b.Loop() {
		if err := r.ReadRequest(&req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadResponse(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchResponse)))
	r := NewReader(again(benchResponse), Limits{})
	var res exchange.Response
	for b.Loop() {
		if err := r.ReadResponse(&res, http.MethodGet); err != nil {
			b.Fatal(err)
		}
		if _, ok := r.Body().Whole(); !ok {
			b.Fatal("no whole body")
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	r := NewReader(strings.NewReader(benchGet), Limits{})
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		out, _, err = AppendRequest(out[:0], RequestHead{
			Method: req.Method, Target: req.Path, Authority: req.Authority, Header: &req.Header, Length: req.Length,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(out)))
}

func BenchmarkNormalizePath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := NormalizePath("/v1/chat/completions", nil); err != nil {
			b.Fatal(err)
		}
	}
}
