package cors

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

func request(method string, pairs ...string) *exchange.Request {
	r := &exchange.Request{Method: method}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

func header(lines ...string) *exchange.Header {
	h := &exchange.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func lines(h *exchange.Header) []string {
	list := []string{}
	for name, value := range h.All() {
		list = append(list, name+": "+value)
	}
	return list
}

const (
	page  = "https://app.example.com"
	echo  = "Access-Control-Allow-Origin: " + page
	varys = "Vary: Origin"
)

// TestPreflight goes through HTTPCORSFilter's comments, field by field.
func TestPreflight(t *testing.T) {
	f := func(p plan.CORS, req *exchange.Request, want ...string) {
		t.Helper()
		res := &exchange.Header{}
		if !New(&p).Preflight(req, res) {
			t.Errorf("%+v: no preflight", req.Header.Fields())
		}
		if diff := cmp.Diff(want, lines(res)); diff != "" {
			t.Errorf("%+v\n%s", p, diff)
		}
	}
	asks := func(pairs ...string) *exchange.Request {
		return request("OPTIONS", append([]string{"Origin", page, "Access-Control-Request-Method", "PUT"}, pairs...)...)
	}
	allowed := []string{page}
	all := []string{"*"}

	// AllowOrigins.
	f(plan.CORS{Origins: allowed}, asks(), varys, echo, "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: []string{"https://other.example", page}}, asks(), varys, echo, "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: []string{"https://other.example"}, Methods: all, Headers: all, Credentials: true, MaxAge: 9}, asks(), varys)
	f(plan.CORS{}, asks(), varys)
	f(plan.CORS{Origins: all}, asks(), "Access-Control-Allow-Origin: *", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: all, Credentials: true}, asks(), varys, echo, "Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed}, asks("Origin", page), varys) // an origin that came twice is none

	// AllowCredentials.
	f(plan.CORS{Origins: allowed, Credentials: true}, asks(), varys, echo, "Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 5")

	// AllowMethods.
	f(plan.CORS{Origins: allowed, Methods: []string{"GET", "DELETE"}}, asks(), varys, echo, "Access-Control-Allow-Methods: GET, DELETE", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Methods: all}, asks(), varys, echo, "Access-Control-Allow-Methods: *", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Methods: all, Credentials: true}, asks(), varys, echo, "Access-Control-Allow-Credentials: true",
		"Access-Control-Allow-Methods: PUT", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Methods: all, Credentials: true}, request("OPTIONS", "Origin", page, "Access-Control-Request-Method", ""), varys, echo,
		"Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Methods: all, Credentials: true}, request("OPTIONS", "Origin", page, "Access-Control-Request-Method", "A, B"), varys, echo,
		"Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 5")

	// AllowHeaders.
	f(plan.CORS{Origins: allowed, Headers: []string{"X-A", "x-b"}}, asks("Access-Control-Request-Headers", "x-c"), varys, echo,
		"Access-Control-Allow-Headers: X-A, x-b", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Headers: all}, asks(), varys, echo, "Access-Control-Allow-Headers: *", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Headers: all}, asks("Access-Control-Request-Headers", "authorization"), varys, echo,
		"Access-Control-Allow-Headers: authorization", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Headers: all}, asks("Access-Control-Request-Headers", "<"), varys, echo,
		"Access-Control-Allow-Headers: *", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Headers: all, Credentials: true}, asks("Access-Control-Request-Headers", "x-c,authorization"), varys, echo,
		"Access-Control-Allow-Credentials: true", "Access-Control-Allow-Headers: x-c,authorization", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Headers: all, Credentials: true}, asks(), varys, echo, "Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 5")

	// ExposeHeaders is for other answers, and told all the same, but for what only those can tell; MaxAge is for these.
	f(plan.CORS{Origins: allowed, Expose: []string{"X-A"}, MaxAge: 600}, asks(), varys, echo, "Access-Control-Expose-Headers: X-A", "Access-Control-Max-Age: 600")
	f(plan.CORS{Origins: allowed, Expose: all}, asks(), varys, echo, "Access-Control-Expose-Headers: *", "Access-Control-Max-Age: 5")
	f(plan.CORS{Origins: allowed, Expose: all, Credentials: true}, asks(), varys, echo, "Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 5")
}

func TestWhatIsNoPreflight(t *testing.T) {
	f := func(req *exchange.Request) {
		t.Helper()
		res := &exchange.Header{}
		if New(&plan.CORS{Origins: []string{"*"}}).Preflight(req, res) || res.Len() > 0 {
			t.Errorf("%s %v is a preflight: %v", req.Method, req.Header.Fields(), lines(res))
		}
	}
	f(request("OPTIONS"))
	f(request("OPTIONS", "Origin", page))
	f(request("OPTIONS", "Access-Control-Request-Method", "PUT"))
	f(request("GET", "Origin", page, "Access-Control-Request-Method", "PUT"))
	f(request("options", "Origin", page, "Access-Control-Request-Method", "PUT"))
}

func TestMark(t *testing.T) {
	f := func(p plan.CORS, req *exchange.Request, res *exchange.Header, want ...string) {
		t.Helper()
		New(&p).Mark(req, res)
		if diff := cmp.Diff(want, lines(res)); diff != "" {
			t.Errorf("%+v\n%s", p, diff)
		}
	}
	asks := request("GET", "Origin", page)
	allowed := plan.CORS{Origins: []string{page}, Methods: []string{"PUT"}, Headers: []string{"X-H"}, MaxAge: 9}
	f(allowed, asks, header("Server: x"), "Server: x", varys, echo)
	f(allowed, asks, header("Vary: Accept"), "Vary: Accept", varys, echo)
	f(allowed, asks, header("vary: Accept, origin"), "vary: Accept, origin", echo)
	f(allowed, asks, header("Vary: *"), "Vary: *", echo)
	f(allowed, request("OPTIONS", "Origin", page), header(), varys, echo)

	// The destination's own fields go, whoever asks.
	theirs := []string{"Access-Control-Allow-Origin: *", "Server: x", "access-control-allow-credentials: true", "Access-Control-Expose-Headers: X", "Access-Control-Allow-Private-Network: true"}
	f(allowed, asks, header(theirs...), "Server: x", varys, echo)
	f(allowed, request("GET"), header(theirs...), "Server: x", varys)
	f(allowed, request("GET", "Origin", "https://evil.example"), header(theirs...), "Server: x", varys)
	f(allowed, request("GET", "Origin", "null"), header(), varys)
	f(allowed, request("GET", "Origin", page, "Origin", "https://evil.example"), header(), varys)

	any := plan.CORS{Origins: []string{"*"}}
	f(any, asks, header(theirs...), "Server: x", "Access-Control-Allow-Origin: *")
	f(any, request("GET"), header(), "Access-Control-Allow-Origin: *")
	f(any, request("GET", "Origin", "null"), header(), "Access-Control-Allow-Origin: *")
	any.Credentials = true
	f(any, asks, header(), varys, echo, "Access-Control-Allow-Credentials: true")
	f(any, request("GET"), header(), varys)
	f(any, request("GET", "Origin", "null"), header(), varys, "Access-Control-Allow-Origin: null", "Access-Control-Allow-Credentials: true")

	f(plan.CORS{Origins: []string{page}, Expose: []string{"X-A", "X-B"}}, asks, header(), varys, echo, "Access-Control-Expose-Headers: X-A, X-B")
	f(plan.CORS{Origins: []string{page}, Expose: []string{"*"}}, asks, header(), varys, echo, "Access-Control-Expose-Headers: *")
	f(plan.CORS{Origins: []string{page}, Expose: []string{"X-A", "*"}}, asks, header(), varys, echo, "Access-Control-Expose-Headers: *")
	f(plan.CORS{Origins: []string{page}, Expose: []string{"*"}, Credentials: true}, asks,
		header("Content-Type: a", "Set-Cookie: a=b", "X-A: 1", "x-a: 2", "ETag: 3"),
		"Content-Type: a", "Set-Cookie: a=b", "X-A: 1", "x-a: 2", "ETag: 3", varys, echo, "Access-Control-Allow-Credentials: true",
		"Access-Control-Expose-Headers: X-A, ETag, Vary")
	f(plan.CORS{Origins: []string{"https://other.example"}, Expose: []string{"*"}, Credentials: true}, asks, header("X-A: 1"), "X-A: 1", varys)
}

func TestOrigins(t *testing.T) {
	f := func(configured, asking string, want bool) {
		t.Helper()
		if got := New(&plan.CORS{Origins: []string{configured}}).allows(asking); got != want {
			t.Errorf("%s allows %s: %t", configured, asking, got)
		}
	}
	f("https://a.example", "https://a.example", true)
	f("https://A.example", "https://a.EXAMPLE", true)
	f("https://a.example", "http://a.example", false)
	f("https://a.example", "https://a.example.evil", false)
	f("https://a.example", "https://xa.example", false)
	f("https://a.example", "https://a.example:443", true)
	f("http://a.example:80", "http://a.example", true)
	f("https://a.example", "https://a.example:8443", false)
	f("https://a.example:8443", "https://a.example:8443", true)
	f("https://a.example:8443", "https://a.example", false)
	f("http://192.0.2.1:8080", "http://192.0.2.1:8080", true)

	f("https://*.example.com", "https://a.example.com", true)
	f("https://*.example.com", "https://a.b.c.example.com", true)
	f("https://*.example.com", "https://example.com", false)
	f("https://*.example.com", "https://.example.com", false)
	f("https://*.example.com", "https://evilexample.com", false)
	f("https://*.example.com", "https://a.example.com:8443", false)
	f("https://*.example.com:8443", "https://a.example.com:8443", true)
	f("https://*.example.com", "http://a.example.com", false)
	f("https://*.example.com", "https://evil/.example.com", false)
	f("https://*.example.com", "https://evil@.example.com", false)
	f("https://*", "https://a.example", true)
	f("https://*", "https://[2001:db8::1]", true)
	f("https://*", "http://a.example", false)
	f("https://*", "https://a.example:8443", false)
	f("http://*:8080", "http://[2001:db8::1]:8080", true)
	f("http://*:8080", "http://a.example", false)

	f("*", "https://a.example", true)
	f("*", "null", true)
	f("https://a.example", "null", false)
	f("https://a.example", "", false)
	f("https://a.example", "https://", false)
	f("https://a.example", "https://a.example, https://b.example", false)
	f("https://a.example", "https://a.example:", false)
	f("https://a.example", "https://a.example:x", false)
	f("ftp://a.example", "ftp://a.example", false)
	f("nonsense", "nonsense", false)
}

func TestMarkAllocates(t *testing.T) {
	c := New(&plan.CORS{Origins: []string{"https://*.example.com"}, Credentials: true, Expose: []string{"X-A"}})
	req := request("GET", "Host", "x", "Origin", page)
	var res exchange.Header
	if n := testing.AllocsPerRun(100, func() {
		res.Reset()
		res.Add("Server", "x")
		res.Add("Access-Control-Allow-Origin", "*")
		c.Mark(req, &res)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
