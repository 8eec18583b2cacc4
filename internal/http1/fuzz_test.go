package http1

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

var requestSeeds = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET //a%20b?x=1&y HTTP/1.1\r\nHost: a.b:80\r\nX: 1\r\nx: 2\r\nPragma: no-cache\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nPOST / HTTP/1.0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n000\r\n\r\n",
	"GET HTTP://A.b:80/x HTTP/1.1\r\nHost: a.b\r\n\r\n",
	"GET https://[::1]?q HTTP/1.1\r\nHost: [::1]:443\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n",
	"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
}

var responseSeeds = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: a\r\n\r\nHTTP/1.1 200\r\n\r\nuntil close",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81",
	"HTTP/1.1 000 \r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
}

// sameHoweverFed wants the same messages from the input at once, byte by byte, and in two parts.
func sameHoweverFed(t *testing.T, in []byte, at uint16, read func(*Reader) (string, error)) {
	t.Helper()
	want := messages(bytes.NewReader(in), read)
	if got := messages(iotest.OneByteReader(bytes.NewReader(in)), read); got != want {
		t.Errorf("byte by byte:\n%s\nat once:\n%s", got, want)
	}
	cut := int(at) % (len(in) + 1)
	two := io.MultiReader(bytes.NewReader(in[:cut]), iotest.DataErrReader(bytes.NewReader(in[cut:])))
	if got := messages(two, read); got != want {
		t.Errorf("split at %d:\n%s\nat once:\n%s", cut, got, want)
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s), uint16(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, in []byte, at uint16) {
		ours, ourErr := ourRequest(in)
		theirs, theirErr := theirRequest(in)
		agree(t, ours, theirs, ourErr, theirErr)
		sameHoweverFed(t, in, at, requestText)
	})
}

func FuzzResponse(f *testing.F) {
	for i, s := range responseSeeds {
		f.Add([]byte(s), uint16(len(s)/2), i%2 == 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, at uint16, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		ours, ourErr := ourResponse(in, method)
		theirs, theirErr := theirResponse(in, method)
		agree(t, ours, theirs, ourErr, theirErr)
		sameHoweverFed(t, in, at, responseText(method))
	})
}

func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5;x=\"y\"\r\nhello\r\n00\r\nX: y\r\n\r\nrest", "1\r\na\r\n1\r\nb\r\nA\r\n0123456789\r\n0;z\r\n\r\n",
		"+1\r\na\r\n0\r\n\r\n", "1 \r\na\r\n0\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n", "1\na\n0\n\n", "ffffffffffffffff\r\n", "0\r\nHost: a\r\n\r\n",
		"0\r\nX: a\r\n\x00\r\n\r\n",
	} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, at uint16) {
		in := append([]byte(chunkedHead), body...)
		ours, ourErr := ourRequest(in)
		theirs, theirErr := theirRequest(in)
		agree(t, ours, theirs, ourErr, theirErr)
		sameHoweverFed(t, in, at, requestText)

		r := NewReader(bytes.NewReader(in), Limits{})
		var req exchange.Request
		if err := r.ReadRequest(&req); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, int(at)%16)
		n, err := io.ReadFull(req.Body, first)
		if err != nil {
			return
		}
		whole, ok := r.Body().Whole()
		if ok && (ourErr != nil || string(first[:n])+string(whole) != ours.body) {
			t.Errorf("whole %q, read %q, %v", whole, ours.body, ourErr)
		}
		if !ok {
			if rest, err := io.ReadAll(req.Body); (err == nil) != (ourErr == nil) || err == nil && string(first[:n])+string(rest) != ours.body {
				t.Errorf("read %q, %v behind Whole, else %q, %v", rest, err, ours.body, ourErr)
			}
		}
	})
}

// FuzzRoundTrip writes what was read, and wants to read the same again.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range append(requestSeeds, responseSeeds...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if out, want, ok := rewriteRequest(t, in); ok {
			got, err := requestText(NewReader(bytes.NewReader(out), Limits{}))
			if err != nil || got != want {
				t.Errorf("read\n%s\nwrote %q\nread\n%s%v", want, out, got, err)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if out, want, ok := rewriteResponse(t, in, method); ok {
				got, err := responseText(method)(NewReader(bytes.NewReader(out), Limits{}))
				if err != nil || got != want {
					t.Errorf("read\n%s\nwrote %q\nread\n%s%v", want, out, got, err)
				}
			}
		}
	})
}

func rewriteRequest(t *testing.T, in []byte) (out []byte, want string, ok bool) {
	want, err := requestText(NewReader(bytes.NewReader(in), Limits{}))
	if err != nil {
		return nil, "", false
	}
	r := NewReader(bytes.NewReader(in), Limits{})
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body())
	if err != nil {
		t.Fatal(err)
	}
	target := req.Path + req.Query
	switch {
	case req.Authority == "": // of HTTP/1.0: we never write one
		return nil, "", false
	case req.Method == http.MethodConnect:
		target = req.Authority
	case req.Absolute:
		target = strings.TrimSuffix(req.Scheme+"://"+req.Authority+target, "*")
		if req.Path != "*" {
			target = req.Scheme + "://" + req.Authority + req.Path + req.Query
		}
	}
	out, framing, err := AppendRequest(nil, RequestHead{req.Method, target, req.Authority, &req.Header, req.Length, AsIs})
	if err != nil {
		t.Errorf("what was read cannot be written: %v", err)
	}
	want = strings.Replace(want, " HTTP/1.0 ", " HTTP/1.1 ", 1)
	return appendBody(t, out, body, framing, &req.Trailer), want, true
}

func rewriteResponse(t *testing.T, in []byte, method string) (out []byte, want string, ok bool) {
	r := NewReader(bytes.NewReader(in), Limits{})
	var res exchange.Response
	if r.ReadResponse(&res, method) != nil || res.Header.Has("Host") {
		return nil, "", false
	}
	body, err := io.ReadAll(r.Body())
	if err != nil {
		return nil, "", false
	}
	want, err = responseText(method)(NewReader(bytes.NewReader(in), Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	out, framing, err := AppendResponse(nil, &res, Recipient{method, exchange.HTTP11}, AsIs)
	if err != nil {
		t.Errorf("what was read cannot be written: %v", err)
	}
	want = strings.Replace(want, " HTTP/1.0 ", " HTTP/1.1 ", 1)
	return appendBody(t, out, body, framing, &res.Trailer), want, true
}

func appendBody(t *testing.T, out, body []byte, framing Framing, trailer *exchange.Header) []byte {
	switch framing {
	case Counted:
		return append(out, body...)
	case Chunks:
		half := len(body) / 2
		out, err := AppendLastChunk(AppendChunk(AppendChunk(out, body[:half]), body[half:]), trailer)
		if err != nil {
			t.Errorf("trailers that were read cannot be written: %v", err)
		}
		return out
	}
	if len(body) > 0 {
		t.Errorf("framing %v for a body of %d bytes", framing, len(body))
	}
	return out
}
