package http1

import (
	"errors"
	"slices"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func header(fields ...string) *exchange.Header {
	var h exchange.Header
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return &h
}

func TestAppendRequest(t *testing.T) {
	for name, c := range map[string]struct {
		head    RequestHead
		want    string
		framing Framing
	}{
		"no body": {
			RequestHead{"GET", "/a?b", "h:1", header("x-A", "1", "X-a", "2", "E", ""), exchange.LengthAbsent, AsIs},
			"GET /a?b HTTP/1.1\r\nHost: h:1\r\nx-A: 1\r\nX-a: 2\r\nE: \r\n\r\n", NoBody,
		},
		"length 0": {
			RequestHead{"POST", "/", "h", header(), 0, Close},
			"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", NoBody,
		},
		"length": {
			RequestHead{"POST", "/", "h", header("Connection", "x"), 12, KeepAlive},
			"POST / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 12\r\n\r\n", Counted,
		},
		"chunked, with framing fields to drop": {
			RequestHead{"POST", "http://h/", "h", header("HOST", "evil", "content-length", "3", "Transfer-Encoding", "gzip", "Connection", "Upgrade"), exchange.LengthUnknown, AsIs},
			"POST http://h/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n", Chunks,
		},
		"CONNECT": {
			RequestHead{"CONNECT", "h:443", "h:443", header(), exchange.LengthAbsent, AsIs},
			"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", NoBody,
		},
	} {
		got, framing, err := AppendRequest([]byte("x"), c.head)
		if string(got) != "x"+c.want || framing != c.framing || err != nil {
			t.Errorf("%s: got %q, %v, %v", name, got, framing, err)
		}
	}
}

func TestAppendRequestRefuses(t *testing.T) {
	good := RequestHead{"GET", "/", "h", header(), exchange.LengthAbsent, AsIs}
	for name, change := range map[string]func(*RequestHead){
		"method":            func(h *RequestHead) { h.Method = "GET /" },
		"no method":         func(h *RequestHead) { h.Method = "" },
		"target CRLF":       func(h *RequestHead) { h.Target = "/\r\nX: y" },
		"target space":      func(h *RequestHead) { h.Target = "/ HTTP/1.1" },
		"no target":         func(h *RequestHead) { h.Target = "" },
		"authority CRLF":    func(h *RequestHead) { h.Authority = "h\r\nX: y" },
		"no authority":      func(h *RequestHead) { h.Authority = "" },
		"name CRLF":         func(h *RequestHead) { h.Header = header("X\r\nY", "z") },
		"name NUL":          func(h *RequestHead) { h.Header = header("X\x00", "z") },
		"name colon":        func(h *RequestHead) { h.Header = header("X: y\r\nZ", "z") },
		"name with space":   func(h *RequestHead) { h.Header = header("Host ", "z") },
		"no name":           func(h *RequestHead) { h.Header = header("", "z") },
		"value CR":          func(h *RequestHead) { h.Header = header("X", "y\rz") },
		"value LF":          func(h *RequestHead) { h.Header = header("X", "y\nz") },
		"value NUL":         func(h *RequestHead) { h.Header = header("X", "long enough for words\x00") },
		"body of a CONNECT": func(h *RequestHead) { h.Method, h.Target, h.Length = "CONNECT", "h:1", 1 },
	} {
		h := good
		change(&h)
		got, _, err := AppendRequest([]byte("x"), h)
		if string(got) != "x" || !errors.Is(err, ErrUnwritable) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestAppendResponse(t *testing.T) {
	get, get10 := Recipient{"GET", exchange.HTTP11}, Recipient{"GET", exchange.HTTP10}
	for name, c := range map[string]struct {
		status  int
		length  int64
		to      Recipient
		option  Connection
		want    string // behind the status line
		framing Framing
	}{
		"length":             {200, 5, get, AsIs, "Content-Length: 5\r\n", Counted},
		"length 0":           {200, 0, get, Close, "Connection: close\r\nContent-Length: 0\r\n", NoBody},
		"no length":          {200, exchange.LengthAbsent, get, AsIs, "Content-Length: 0\r\n", NoBody},
		"unknown":            {200, exchange.LengthUnknown, get, AsIs, "Transfer-Encoding: chunked\r\n", Chunks},
		"unknown for 1.0":    {200, exchange.LengthUnknown, get10, KeepAlive, "Connection: close\r\n", UntilClose},
		"length for 1.0":     {200, 5, get10, KeepAlive, "Connection: keep-alive\r\nContent-Length: 5\r\n", Counted},
		"HEAD":               {200, 5, Recipient{"HEAD", exchange.HTTP11}, AsIs, "Content-Length: 5\r\n", NoBody},
		"HEAD unknown":       {200, exchange.LengthUnknown, Recipient{"HEAD", exchange.HTTP11}, AsIs, "Transfer-Encoding: chunked\r\n", NoBody},
		"HEAD unknown 1.0":   {200, exchange.LengthUnknown, Recipient{"HEAD", exchange.HTTP10}, AsIs, "", NoBody},
		"HEAD absent":        {200, exchange.LengthAbsent, Recipient{"HEAD", exchange.HTTP11}, AsIs, "", NoBody},
		"304":                {304, 5, get, AsIs, "Content-Length: 5\r\n", NoBody},
		"304 without length": {304, exchange.LengthAbsent, get, AsIs, "", NoBody},
		"204":                {204, 5, get, AsIs, "", NoBody},
		"1xx":                {103, exchange.LengthAbsent, get, AsIs, "", NoBody},
		"101":                {101, exchange.LengthUnknown, get, AsIs, "", NoBody},
		"CONNECT":            {200, 0, Recipient{"CONNECT", exchange.HTTP11}, AsIs, "", NoBody},
		"CONNECT refused":    {403, 3, Recipient{"CONNECT", exchange.HTTP11}, AsIs, "Content-Length: 3\r\n", Counted},
	} {
		res := exchange.Response{Status: c.status, Phrase: "P", Length: c.length, Header: *header("Content-LENGTH", "9", "transfer-encoding", "x")}
		got, framing, err := AppendResponse(nil, &res, c.to, c.option)
		want := "HTTP/1.1 " + string(rune('0'+c.status/100)) + string(rune('0'+c.status/10%10)) + string(rune('0'+c.status%10)) + " P\r\n" + c.want + "\r\n"
		if string(got) != want || framing != c.framing || err != nil {
			t.Errorf("%s: got %q, %v, %v, want %q, %v", name, got, framing, err, want, c.framing)
		}
	}
	for name, res := range map[string]exchange.Response{
		"status":      {Status: 99},
		"status 600":  {Status: 600},
		"phrase CRLF": {Status: 200, Phrase: "a\r\nX: y"},
		"value LF":    {Status: 200, Header: *header("X", "a\nb")},
	} {
		if got, _, err := AppendResponse([]byte("x"), &res, get, AsIs); string(got) != "x" || !errors.Is(err, ErrUnwritable) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestChunks(t *testing.T) {
	for _, n := range []int{0, 1, 9, 15, 16, 255, 256, 4096, 1 << 20} {
		buf := make([]byte, ChunkBefore+n+ChunkAfter)
		data := buf[ChunkBefore : ChunkBefore+n]
		for i := range data {
			data[i] = 'a' + byte(i%26)
		}
		want := AppendChunk(nil, data)
		if got := FrameChunk(buf, n); string(got) != string(want) || n > 0 && len(want) < n+5 || n == 0 && len(want) != 0 {
			t.Errorf("%d bytes: got %.40q, want %.40q", n, got, want)
		}
	}
	got, err := AppendLastChunk([]byte("x"), header("X", "y", "Content-Length", "3", "Ebbgate-Hop", "z"))
	if string(got) != "x0\r\nX: y\r\n\r\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := AppendLastChunk(nil, nil); string(got) != "0\r\n\r\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := AppendLastChunk([]byte("x"), header("X", "y\r\nZ: z")); string(got) != "x" || !errors.Is(err, ErrUnwritable) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnnounce(t *testing.T) {
	for want, names := range map[string][]string{"": {"Host", "x-forwarded-for", "Content-Length"}, "X-A, X-B": {"X-B", "TE", "X-A"}} {
		if got := Announce(slices.Values(names)); got != want {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
	}
}
