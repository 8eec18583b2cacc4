package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

const (
	fixedHead   = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
	chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
)

func TestBodyWhole(t *testing.T) {
	const next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, c := range map[string]struct {
		in    string
		first int // bytes read before
		want  string
		whole bool
	}{
		"fixed":            {fmt.Sprintf(fixedHead, 5) + "hello" + next, 0, "hello", true},
		"fixed in part":    {fmt.Sprintf(fixedHead, 5) + "hello" + next, 2, "llo", true},
		"fixed cut":        {fmt.Sprintf(fixedHead, 5) + "hell", 0, "", false},
		"none":             {next + next, 0, "", true},
		"chunk":            {chunkedHead + "5\r\nhello\r\n0\r\n\r\n" + next, 0, "hello", true},
		"chunks":           {chunkedHead + "5;x\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n" + next, 0, "hello, world", true},
		"chunks in part":   {chunkedHead + "5\r\nhello\r\n1\r\n,\r\n0\r\nX: y\r\n\r\n" + next, 3, "lo,", true},
		"no chunks":        {chunkedHead + "0\r\n\r\n" + next, 0, "", true},
		"chunk cut":        {chunkedHead + "5\r\nhel", 0, "", false},
		"chunks cut":       {chunkedHead + "5\r\nhello\r\n0\r\n", 0, "", false},
		"chunks malformed": {chunkedHead + "5\r\nhello\r\n+0\r\n", 0, "", false},
		"bad trailers":     {chunkedHead + "5\r\nhello\r\n0\r\nX: y\r\nHost: a\r\n\r\n", 0, "", false},
		"too many chunks":  {chunkedHead + strings.Repeat("1\r\na\r\n", wholeChunks+1) + "0\r\n\r\n", 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(strings.NewReader(c.in), Limits{})
			var req exchange.Request
			if err := r.ReadRequest(&req); err != nil {
				t.Fatal(err)
			}
			b := r.Body()
			if _, err := io.ReadFull(b, make([]byte, c.first)); err != nil {
				t.Fatal(err)
			}
			plain := NewReader(strings.NewReader(c.in), Limits{})
			var again exchange.Request
			if err := plain.ReadRequest(&again); err != nil {
				t.Fatal(err)
			}
			all, readErr := io.ReadAll(plain.Body())
			got, ok := b.Whole()
			if ok != c.whole || string(got) != c.want {
				t.Errorf("got %q, %v, want %q, %v", got, ok, c.want, c.whole)
			}
			if !ok {
				// Nothing was taken, and Read comes to the same end as if Whole had not been asked.
				rest, err := io.ReadAll(b)
				if string(rest) != string(all[c.first:]) || fmt.Sprint(err) != fmt.Sprint(readErr) {
					t.Errorf("read %q, %v, want %q, %v", rest, err, all, readErr)
				}
				return
			}
			if want := again.Trailer.Get("X"); req.Trailer.Get("X") != want || req.Trailer.Len() != again.Trailer.Len() {
				t.Errorf("trailer %q, want %q", req.Trailer.Get("X"), want)
			}
			if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF || !r.Done() {
				t.Errorf("read %d, %v behind the end", n, err)
			}
			if err := r.ReadRequest(&req); err != nil || req.Path != "/next" {
				t.Errorf("next: %q, %v", req.Path, err)
			}
		})
	}
}

func TestWholeOfUntilClose(t *testing.T) {
	r := NewReader(strings.NewReader("HTTP/1.1 200 OK\r\n\r\nabc"), Limits{})
	if err := r.ReadResponse(new(exchange.Response), "GET"); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Body().Whole(); ok {
		t.Error("a body until close is whole before the close")
	}
}

// bodies reads bodies of many sizes behind heads of many sizes, through slices of many sizes: the head's strings must
// hold, and what comes next must be found.
func TestBodiesLeaveTheHeadAlone(t *testing.T) {
	for _, head := range []int{10, bufferSize - 300, bufferSize - 100, bufferSize - 90, 20 << 10, 60 << 10} {
		for _, size := range []int{1, 2047, 2048, 9000, 70000} {
			for _, slice := range []int{1, 700, 4096, 100000} {
				for _, chunk := range []int{0, 1, 1000, 5000, 80000} {
					if slice == 1 && size > 9000 || chunk == 1 && size > 9000 {
						continue
					}
					readOne(t, head, size, slice, chunk)
				}
			}
		}
	}
}

func readOne(t *testing.T, head, size, slice, chunk int) {
	t.Helper()
	value := strings.Repeat("v", head)
	body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
	in := []byte("POST /p HTTP/1.1\r\nHost: a\r\nX-Value: " + value + "\r\n")
	if chunk == 0 {
		in = append(fmt.Appendf(in, "Content-Length: %d\r\n\r\n", size), body...)
	} else {
		in = append(in, "Transfer-Encoding: chunked\r\n\r\n"...)
		for rest := body; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
			in = AppendChunk(in, rest[:min(chunk, len(rest))])
		}
		in = append(in, "0\r\nX-Trailer: t\r\n\r\n"...)
	}
	in = append(in, "GET /next HTTP/1.1\r\nHost: b\r\n\r\n"...)
	what := fmt.Sprintf("head %d, body %d, slice %d, chunk %d", head, size, slice, chunk)

	r := NewReader(iotest.HalfReader(bytes.NewReader(in)), Limits{})
	defer r.Reset(nil)
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	var got []byte
	p := make([]byte, slice)
	for {
		n, err := req.Body.Read(p)
		got = append(got, p[:n]...)
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if !bytes.Equal(got, body) {
		t.Fatalf("%s: body of %d bytes differs", what, len(got))
	}
	if req.Path != "/p" || req.Authority != "a" || req.Header.Get("x-value") != value {
		t.Fatalf("%s: the head changed", what)
	}
	if chunk > 0 && req.Trailer.Get("x-trailer") != "t" {
		t.Fatalf("%s: trailers %v", what, req.Trailer.Fields())
	}
	if err := r.ReadRequest(&req); err != nil || req.Path != "/next" || req.Authority != "b" {
		t.Fatalf("%s: next %q, %v", what, req.Path, err)
	}
}

func TestReleaseInTheMiddleOfABody(t *testing.T) {
	client, server := io.Pipe()
	go func() {
		for _, s := range []string{chunkedHead + "5\r\nhello\r\n", "6\r\n, worl\r\n", "1\r\nd\r\n0\r\nX: y\r\n\r\n", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"} {
			_, _ = io.WriteString(server, s)
		}
	}()
	r := NewReader(client, Limits{})
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		t.Fatal(err)
	}
	var got []byte
	p := make([]byte, 100)
	for {
		n, err := req.Body.Read(p)
		got = append(got, p[:n]...)
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if !r.Release() || r.buf != nil {
			t.Fatal("nothing is unread, and the buffer was kept")
		}
	}
	if string(got) != "hello, world" || req.Trailer.Get("X") != "y" {
		t.Errorf("got %q, %v", got, req.Trailer.Fields())
	}
	if err := r.ReadRequest(&req); err != nil || req.Path != "/next" {
		t.Errorf("next: %q, %v", req.Path, err)
	}
}

func TestResetStartsAnew(t *testing.T) {
	r := NewReader(strings.NewReader("bad\n"), Limits{})
	var e *Error
	if err := r.ReadRequest(new(exchange.Request)); !errors.As(err, &e) {
		t.Fatal(err)
	}
	r.Reset(strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if err := r.ReadRequest(new(exchange.Request)); err != nil || !r.Reusable() {
		t.Errorf("got %v, reusable %v", err, r.Reusable())
	}
}

func TestRefusedTrailersAreGoneAltogether(t *testing.T) {
	feeds(t, chunkedHead+"0\r\nX: y\r\nHost: a\r\n\r\n", func(t *testing.T, src io.Reader) {
		r := NewReader(src, Limits{})
		var req exchange.Request
		if err := r.ReadRequest(&req); err != nil {
			t.Fatal(err)
		}
		_, err := io.ReadAll(req.Body)
		wantError(t, err, 400)
		if req.Trailer.Len() != 0 {
			t.Errorf("trailers %v", req.Trailer.Fields())
		}
	})
}

func TestForbiddenTrailer(t *testing.T) {
	for _, name := range []string{"content-length", "TRANSFER-ENCODING", "Host", "Authorization", "cookie", "te", "Trailer",
		"Connection", "Upgrade", "Proxy-Authorization", "proxy-anything", "Ebbgate-Hop", "X-Forwarded-For", "Forwarded", "x-api-key"} {
		if !ForbiddenTrailer(name) {
			t.Errorf("%s may be a trailer", name)
		}
	}
	for _, name := range []string{"Grpc-Status", "X-Checksum", "ETag", "Digest", "Server-Timing", "Hosts", "Proxy"} {
		if ForbiddenTrailer(name) {
			t.Errorf("%s may not be a trailer", name)
		}
	}
}
