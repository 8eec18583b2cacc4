package http1

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestAdopt(t *testing.T) {
	f := func(method string, head Foreign, status int, want exchange.Request) {
		t.Helper()
		r := exchange.Request{Method: method, Scheme: "http"}
		if method == "UPGRADE" {
			r.Method, r.Upgrade = http.MethodGet, "websocket"
		}
		if protocol, ok := strings.CutPrefix(method, "UPGRADE "); ok {
			r.Method, r.Upgrade = http.MethodGet, protocol
		}
		err := Adopt(&r, head, Limits{})
		wrong, _ := errors.AsType[*Error](err)
		if status != 0 {
			if wrong == nil || wrong.Status != status {
				t.Errorf("%s %+v: %v, want %d", method, head, err, status)
			}
			return
		}
		if err != nil || r.Authority != want.Authority || r.Path != want.Path || r.Query != want.Query || r.Length != want.Length {
			t.Errorf("%s %+v: %+v, %v", method, head, r, err)
		}
	}
	absent, unknown := exchange.LengthAbsent, exchange.LengthUnknown
	f("GET", Foreign{Target: "/a?b", Authority: "h"}, 0, exchange.Request{Authority: "h", Path: "/a", Query: "?b", Length: absent})
	f("POST", Foreign{Target: "/", Authority: "h:80", Hosts: []string{"h"}, Body: true}, 0, exchange.Request{Authority: "h:80", Path: "/", Length: unknown})
	f("POST", Foreign{Target: "/", Authority: "h", Lengths: []string{"5"}, Body: true}, 0, exchange.Request{Authority: "h", Path: "/", Length: 5})
	f("POST", Foreign{Target: "/", Authority: "h", Lengths: []string{"0"}}, 0, exchange.Request{Authority: "h", Path: "/", Length: 0})
	f("OPTIONS", Foreign{Target: "*", Authority: "h"}, 0, exchange.Request{Authority: "h", Path: "*", Length: absent})
	f("CONNECT", Foreign{Authority: "h:443"}, 0, exchange.Request{Authority: "h:443", Length: absent})
	f("UPGRADE", Foreign{Target: "/ws", Authority: "h"}, 0, exchange.Request{Authority: "h", Path: "/ws", Length: absent})
	for _, head := range []Foreign{
		{Target: "/"}, {Target: "/", Authority: "u@h"}, {Target: "/", Authority: "h:0"}, {Target: "/", Authority: "h,i"},
		{Target: "/", Authority: "h", Hosts: []string{"i"}}, {Target: "/", Authority: "h", Hosts: []string{"h", "h"}}, {Target: "/", Authority: "h", Hosts: []string{"h:81"}},
		{Target: "", Authority: "h"}, {Target: "a", Authority: "h"}, {Target: "http://h/", Authority: "h"}, {Target: "*", Authority: "h"},
		{Target: "/a b", Authority: "h"}, {Target: "/a#b", Authority: "h"}, {Target: "/\x00", Authority: "h"},
		{Target: "/", Authority: "h", Lengths: []string{"1", "1"}, Body: true}, {Target: "/", Authority: "h", Lengths: []string{"+1"}, Body: true},
		{Target: "/", Authority: "h", Lengths: []string{"99999999999999999999"}, Body: true}, {Target: "/", Authority: "h", Lengths: []string{"1"}},
	} {
		f("GET", head, 400, exchange.Request{})
	}
	f("G T", Foreign{Target: "/", Authority: "h"}, 400, exchange.Request{})
	f("CONNECT", Foreign{Authority: "h"}, 400, exchange.Request{})
	f("UPGRADE h2c", Foreign{Target: "/", Authority: "h"}, 501, exchange.Request{})
	f("UPGRADE H2C-14", Foreign{Target: "/", Authority: "h"}, 501, exchange.Request{})
	f("UPGRADE websocket, h2c", Foreign{Target: "/", Authority: "h"}, 400, exchange.Request{})
	f("UPGRADE HTTP/2.0", Foreign{Target: "/", Authority: "h"}, 400, exchange.Request{})
	f("GET", Foreign{Target: "/" + strings.Repeat("a", 20_000), Authority: "h"}, 414, exchange.Request{})
	f("GET", Foreign{Target: "/", Authority: "h", Fields: 129}, 431, exchange.Request{})
}

// Whatever is adopted, our own writer can write, and our own reader reads alike.
func FuzzAdopt(f *testing.F) {
	f.Add("GET", "/a?b", "h", "h", "", false)
	f.Add("POST", "/", "h:80", "", "5", true)
	f.Add("OPTIONS", "*", "[::1]:8", "[::1]:8", "", false)
	f.Fuzz(func(t *testing.T, method, target, authority, host, length string, body bool) {
		head := Foreign{Target: target, Authority: authority, Body: body}
		if host != "" {
			head.Hosts = []string{host}
		}
		if length != "" {
			head.Lengths = []string{length}
		}
		r := exchange.Request{Method: method, Scheme: "http"}
		if Adopt(&r, head, Limits{}) != nil || method == http.MethodConnect {
			return
		}
		wire, _, err := AppendRequest(nil, RequestHead{Method: r.Method, Target: r.Path + r.Query, Authority: r.Authority, Header: &r.Header, Length: r.Length})
		if err != nil {
			t.Fatalf("%q %q %q: %v", method, target, authority, err)
		}
		var back exchange.Request
		if err := NewReader(strings.NewReader(string(wire)), Limits{}).ReadRequest(&back); err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		if back.Method != r.Method || back.Path != r.Path || back.Query != r.Query || back.Authority != r.Authority || back.Length != r.Length {
			t.Fatalf("%q reads as %+v, want %+v", wire, back, r)
		}
	})
}

// A connection that begins to speak HTTP/2 is told from a request, and nothing of it is lost.
func TestPreface(t *testing.T) {
	const rest = "SM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	r := NewReader(strings.NewReader(string(Preface())+rest), Limits{})
	if err := r.ReadRequest(new(exchange.Request)); !errors.Is(err, ErrPreface) || string(r.Buffered()) != rest {
		t.Errorf("%v, then %q", err, r.Buffered())
	}
	r = NewReader(strings.NewReader("PRI * HTTP/2.0\r\nHost: a\r\n\r\n"), Limits{})
	if err := r.ReadRequest(new(exchange.Request)); errors.Is(err, ErrPreface) {
		t.Error("a head with fields is no preface")
	}
}
