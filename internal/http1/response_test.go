package http1

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestReadResponse(t *testing.T) {
	for name, c := range map[string]struct{ method, in, want string }{
		"length": {
			"GET", "HTTP/1.1 200 All right\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
			"200 \"All right\" HTTP/1.1 length=5 until close=false\nX-A=b\nbody \"hello\" <nil>\nkeep=true done=true\n",
		},
		"chunked": {
			"GET", "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
			"200 \"\" HTTP/1.1 length=-1 until close=false\nbody \"hello\" <nil>\n~X=y\nkeep=true done=true\n",
		},
		"until close": {
			"GET", "HTTP/1.1 599\r\nHost: a\r\n\r\nhello",
			"599 \"\" HTTP/1.1 length=-1 until close=true\nHost=a\nbody \"hello\" <nil>\nkeep=false done=true\n",
		},
		"until close in 1.0": {
			"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
			"200 \"OK\" HTTP/1.0 length=-1 until close=true\nConnection=keep-alive\nbody \"\" <nil>\nkeep=false done=true\n",
		},
		"HEAD with length": {
			"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			"200 \"OK\" HTTP/1.1 length=5 until close=false\nkeep=true done=true\n",
		},
		"HEAD with coding": {
			"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
			"200 \"OK\" HTTP/1.1 length=-1 until close=false\nkeep=true done=true\n",
		},
		"HEAD with nothing": {
			"HEAD", "HTTP/1.1 200 OK\r\n\r\n",
			"200 \"OK\" HTTP/1.1 length=-2 until close=false\nkeep=true done=true\n",
		},
		"304 with length": {
			"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
			"304 \"Not Modified\" HTTP/1.1 length=5 until close=false\nkeep=true done=true\n",
		},
		"204": {
			"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
			"204 \"No Content\" HTTP/1.1 length=-2 until close=false\nkeep=true done=true\n",
		},
		"1xx": {
			"GET", "HTTP/1.1 100 Continue\r\n\r\n",
			"100 \"Continue\" HTTP/1.1 length=-2 until close=false\nkeep=true done=true\n",
		},
		"CONNECT": {
			"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			"200 \"OK\" HTTP/1.1 length=-2 until close=false\nkeep=true done=true\n",
		},
		"CONNECT refused": {
			"CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
			"403 \"No\" HTTP/1.1 length=2 until close=false\nConnection=close\nbody \"no\" <nil>\nkeep=false done=true\n",
		},
		"nothing":           {"GET", "", "EOF\n"},
		"cut in the status": {"GET", "HTTP/1.1 200", "unexpected EOF\n"},
		"cut in the body": {
			"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
			"200 \"OK\" HTTP/1.1 length=5 until close=false\nbody \"he\" unexpected EOF\nkeep=true done=false\n",
		},
		"cut at a chunk's edge": {
			"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n",
			"200 \"OK\" HTTP/1.1 length=-1 until close=false\nbody \"he\" unexpected EOF\nkeep=true done=false\n",
		},
		"cut in a chunk": {
			"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
			"200 \"OK\" HTTP/1.1 length=-1 until close=false\nbody \"he\" unexpected EOF\nkeep=true done=false\n",
		},
		"cut in the trailers": {
			"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
			"200 \"OK\" HTTP/1.1 length=-1 until close=false\nbody \"\" unexpected EOF\nkeep=true done=false\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			feeds(t, c.in, func(t *testing.T, src io.Reader) {
				r := NewReader(src, Limits{})
				defer r.Reset(nil)
				if got := dumpResponse(r, c.method); got != c.want {
					t.Errorf("got:\n%swant:\n%s", got, c.want)
				}
			})
		})
	}
}

func TestReadResponseRefuses(t *testing.T) {
	const (
		ok = "HTTP/1.1 200 OK\r\n"
		te = "Transfer-Encoding: chunked\r\n"
	)
	for name, in := range map[string]string{
		"length with coding":       ok + "Content-Length: 1\r\n" + te + "\r\n",
		"length twice":             ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"length signed":            ok + "Content-Length: +1\r\n\r\n",
		"length overflows":         ok + "Content-Length: 9223372036854775808\r\n\r\n",
		"coding unknown":           ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"coding in 1.0":            "HTTP/1.0 200 OK\r\n" + te + "\r\n",
		"fold":                     ok + "X: a\r\n b\r\n\r\n",
		"bare LF":                  ok + "X: a\nY: b\r\n\r\n",
		"bare LF in first line":    "HTTP/1.1 200 OK\n\r\n",
		"bare CR":                  ok + "X: a\rb\r\n\r\n",
		"NUL":                      ok + "X: a\x00b\r\n\r\n",
		"name with space":          ok + marker + " : a\r\n\r\n",
		"blank line first":         "\r\n" + ok + "\r\n",
		"version 2":                "HTTP/2.0 200 OK\r\n\r\n",
		"version in other letters": "http/1.1 200 OK\r\n\r\n",
		"no HTTP":                  marker + " 200 OK\r\n\r\n",
		"status 000":               "HTTP/1.1 000 OK\r\n\r\n",
		"status 099":               "HTTP/1.1 099 OK\r\n\r\n",
		"status 600":               "HTTP/1.1 600 OK\r\n\r\n",
		"status of four digits":    "HTTP/1.1 2000 OK\r\n\r\n",
		"status of two digits":     "HTTP/1.1 20 OK\r\n\r\n",
		"status signed":            "HTTP/1.1 +20 OK\r\n\r\n",
		"status missing":           "HTTP/1.1\r\n\r\n",
		"two spaces":               "HTTP/1.1  200 OK\r\n\r\n",
		"tab before phrase":        "HTTP/1.1 200\tOK\r\n\r\n",
		"no space before phrase":   "HTTP/1.1 200OK\r\n\r\n",
		"control in phrase":        "HTTP/1.1 200 O\x01K\r\n\r\n",
		"204 with length":          "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
		"204 with coding":          "HTTP/1.1 204 No Content\r\n" + te + "\r\n",
		"1xx with length":          "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\n",
		"1xx with coding":          "HTTP/1.1 100 Continue\r\n" + te + "\r\n",
		"304 with both":            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n" + te + "\r\n",
		"head too large":           ok + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"too many fields":          ok + strings.Repeat("X: a\r\n", 129) + "\r\n",
		"chunk size signed":        ok + te + "\r\n+1\r\na\r\n0\r\n\r\n",
		"chunk line by LF":         ok + te + "\r\n1\na\r\n0\r\n\r\n",
		"chunk longer":             ok + te + "\r\n1\r\nab\r\n0\r\n\r\n",
		"trailer Set-Cookie":       ok + te + "\r\n0\r\nset-cookie: " + marker + "\r\n\r\n",
		"trailers too large":       ok + te + "\r\n0\r\nX: " + strings.Repeat("a", 9<<10) + "\r\n\r\n",
		"Trailer names credential": ok + te + "Trailer: Authorization\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			feeds(t, in, func(t *testing.T, src io.Reader) {
				r := NewReader(src, Limits{})
				defer r.Reset(nil)
				var res exchange.Response
				err := r.ReadResponse(&res, http.MethodGet)
				if err == nil && res.Body != nil {
					_, err = io.Copy(io.Discard, res.Body)
				}
				wantError(t, err, 502)
				if r.KeepAlive() || r.Reusable() {
					t.Error("the connection may be used again")
				}
			})
		})
	}
}

func TestInterimResponsesComeOneByOne(t *testing.T) {
	feeds(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		func(t *testing.T, src io.Reader) {
			r := NewReader(src, Limits{})
			var res exchange.Response
			for _, want := range []int{100, 103, 200} {
				if err := r.ReadResponse(&res, http.MethodGet); err != nil || res.Status != want {
					t.Errorf("got %d and %v, want %d", res.Status, err, want)
				}
			}
			if got, err := io.ReadAll(res.Body); string(got) != "ok" || err != nil {
				t.Errorf("got %q and %v", got, err)
			}
		})
}

// Bytes behind a response belong to no request: a connection that has them is thrown away.
func TestResponseWithUnaskedBytesIsNotReusable(t *testing.T) {
	for in, want := range map[string]bool{
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n":     true,
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody": false,
		"HTTP/1.1 204 No Content\r\n\r\nbody":                        false,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200":   false,
	} {
		r := NewReader(strings.NewReader(in), Limits{})
		if err := r.ReadResponse(new(exchange.Response), http.MethodGet); err != nil {
			t.Fatal(err)
		}
		if got := r.Reusable(); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
}

func TestConnectionErrorIsWrapped(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n\r\nabc"), errReader{broken}), Limits{})
	var res exchange.Response
	if err := r.ReadResponse(&res, http.MethodGet); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); string(got) != "abc" || !errors.Is(err, broken) || r.Done() {
		t.Errorf("got %q, %v, done %v", got, err, r.Done())
	}
	if err := NewReader(errReader{broken}, Limits{}).ReadResponse(&res, http.MethodGet); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := NewReader(errReader{nil}, Limits{}).ReadResponse(&res, http.MethodGet); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v from a source that gives nothing", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
