package attacks

import (
	"fmt"
	"slices"
	"strings"
)

// The ways to be refused: by the gateway, in its words; and by net/http's codec, which says no more than it must.
const (
	bad      = "400 bad_request"
	codecBad = "400"
	reset    = "reset PROTOCOL_ERROR"
	either   = bad + " or " + reset // the gateway's words, or the codec's reset if a body has come by then
)

// plus is a head with fields, as pairs of name and value.
func plus(pairs ...string) [][2]string {
	list := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", "/attack"}}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, [2]string{pairs[i], pairs[i+1]})
	}
	return list
}

// pseudo is a head with another value of a pseudo-field.
func pseudo(name, value string, more ...string) [][2]string {
	list := plus(more...)
	list[slices.IndexFunc(list, func(f [2]string) bool { return f[0] == name })][1] = value
	return list
}

// without is a head that lacks a pseudo-field.
func without(name string, more ...string) [][2]string {
	return slices.DeleteFunc(plus(more...), func(f [2]string) bool { return f[0] == name })
}

func posting(more ...string) [][2]string { return pseudo(":method", "POST", more...) }

func attacks2() []stream {
	return slices.Concat(pseudos(), authorities(), paths(), methods(), fields2(), connections(), lengths2(), trailers2(), connects())
}

// malformed are heads, all refused alike.
func malformed(outcome string, heads map[string][][2]string) (list []stream) {
	for name, fields := range heads {
		list = append(list, stream{name: name, head: fields, refused: outcome})
	}
	slices.SortFunc(list, func(a, b stream) int { return strings.Compare(a.name, b.name) })
	return list
}

// harmless are heads that are read as they stand.
func harmless(as string, heads map[string][][2]string) []stream {
	list := malformed("", heads)
	for i := range list {
		list[i].reads = as
	}
	return list
}

func pseudos() (list []stream) {
	heads := map[string][][2]string{
		"a pseudo-field that is unknown": plus(":other", "x"), "a pseudo-field of answers": plus(":status", "200"), "a pseudo-field after a field": append([][2]string{{"x", "y"}}, plus()...),
		":path after a field": append(without(":path", "x", "y"), [2]string{":path", "/attack"}), ":authority after a field": append(without(":authority", "x", "y"), [2]string{":authority", host}),
		"a pseudo-field without a name": plus(":", "x"), "a pseudo-field in upper case": append(without(":path"), [2]string{":Path", "/attack"}), ":protocol of a GET": plus(":protocol", "websocket"),
		"a scheme that is another": pseudo(":scheme", "ftp"), "a scheme with a line end": pseudo(":scheme", "http\r\n"), "a scheme that is a URL": pseudo(":scheme", "http://evil.test/?"), "a scheme that is empty": pseudo(":scheme", ""),
	}
	for _, name := range []string{":method", ":scheme", ":path"} {
		heads[name+" missing"] = without(name)
	}
	for _, field := range plus() {
		heads[field[0]+" twice, alike"] = plus(field[0], field[1])
	}
	heads[":authority twice"], heads[":path twice"], heads[":method twice"] = plus(":authority", "evil.test"), plus(":path", "/hidden"), plus(":method", "POST")
	return malformed(reset, heads)
}

func authorities() []stream {
	heads := map[string][][2]string{
		"Host against :authority": plus("host", "evil.test"), "Host against :authority, by its port": plus("host", host+":81"), "two Hosts": plus("host", host, "host", host), "two Hosts, unlike": plus("host", host, "host", "evil.test"),
		"Host that is empty": plus("host", ""), "no authority": without(":authority"), "two Hosts without :authority": without(":authority", "host", host, "host", "evil.test"), "Host in a list": plus("host", host+", evil.test"),
	}
	for name, value := range map[string]string{
		"empty": "", "with a path": host + "/x", "with a query": host + "?x", "with a fragment": host + "#x", "with a scheme": "http://" + host, "in a list": host + ",evil.test", "with port 0": host + ":0",
		"with two ports": host + ":80:80", "with a backslash": host + `\x`, "with an escape": "f0%2etest", "with an empty port": host + ":", "in brackets": "[" + host + "]", "with a space": host + " x", "with a tab": host + "\tx",
	} {
		heads[":authority "+name] = pseudo(":authority", value)
	}
	return slices.Concat(malformed(bad, heads), malformed(reset, map[string][][2]string{
		":authority with a user": pseudo(":authority", "u@"+host), ":authority as a user": pseudo(":authority", host+"@evil.test"),
	}), harmless(got, map[string][][2]string{
		"Host like :authority": plus("host", host), "Host like :authority, in other letters": plus("host", upper), "Host without :authority": without(":authority", "host", host), "Host with the usual port": plus("host", host+":80"),
	}))
}

func paths() []stream {
	heads := map[string][][2]string{}
	for name, value := range map[string]string{
		"with a space": "/att ack", "with a fragment": "/attack#x", "beyond ASCII": "/attack\xc3\xa9", "that is a URL": "http://evil.test/attack", "that is an authority": host + ":80", "that is *": "*",
		"with an escaped NUL": "/attack%00", "with dot segments behind an escaped slash": "/x%2f..%2fattack",
	} {
		heads[":path "+name] = pseudo(":path", value)
	}
	broken := map[string][][2]string{}
	for name, value := range map[string]string{
		"that is empty": "", "without a slash": "attack", "that is a query": "?attack", "that is a request line": "/attack HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /hidden", "with CR": "/attack\r", "with LF": "/attack\nx", "with NUL": "/attack\x00", "with a tab": "/attack\tx",
		"with DEL": "/attack\x7f", "with an escape that breaks off": "/attack%2",
	} {
		broken[":path "+name] = pseudo(":path", value)
	}
	return slices.Concat(malformed(bad, heads), malformed(reset, broken), malformed("414 bad_request", map[string][][2]string{":path over the bound": pseudo(":path", "/attack"+strings.Repeat("a", 17<<10))}))
}

func methods() (list []stream) {
	for value, outcome := range map[string]string{"": reset, "GET /hidden HTTP/1.1\r\nX: ": reset, "GET\r\n": reset, "GET\x00": reset, "G T": bad, "GE:T": bad, "G\xc3\x89T": bad, "GET ": bad} {
		list = append(list, malformed(outcome, map[string][][2]string{fmt.Sprintf(":method %q", value): pseudo(":method", value)})...)
	}
	return list
}

func fields2() []stream {
	heads := map[string][][2]string{}
	for _, name := range []string{"X", "x-Y", "Content-Length", "Transfer-Encoding", "x y", "x ", " x", "", "x:", "x:y", "x\r\ny", "x\ry", "x\ny", "x\x00y", "x\x01", "x\x7f", "x\x80", "x(y)", "x\r\n\r\nget /hidden http/1.1", "x: y\r\ntransfer-encoding", "transfer-encoding: chunked\r\nx"} {
		heads[fmt.Sprintf("name %q", name)] = plus(name, "y")
	}
	for _, value := range []string{"a\r\nb: c", "a\rb", "a\nb", "a\x00b", "a\r\n\r\nGET /hidden HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "\r\n", "a\x01b", "a\x7fb", "\nTransfer-Encoding: chunked"} {
		heads[fmt.Sprintf("value %q", value)] = plus("x", value)
	}
	many := strings.Split(strings.TrimSuffix(strings.Repeat("x,y,", 129), ","), ",")
	return slices.Concat(malformed(reset, heads), malformed("431 head_too_large", map[string][][2]string{"too many fields": plus(many...)}), malformed("431", map[string][][2]string{
		"fields over the bound": plus("x", strings.Repeat("a", 40<<10), "y", strings.Repeat("b", 40<<10)),
	}), malformed("end COMPRESSION_ERROR", map[string][][2]string{"a value over the bound": plus("x", strings.Repeat("a", 70<<10))}), harmless(got, map[string][][2]string{
		"a value beyond ASCII": plus("x", "\xff\x80"), "a value that is escaped": plus("x", "%0d%0aContent-Length: 5"), "a value within spaces": plus("x", " y\t"), "every letter of a token": plus("!#$%&'*+-.^_`|~09az", "y"), "http2-settings": plus("http2-settings", "AAMAAABkAAQAAP__"),
		"Expect": plus("expect", "100-continue"), "te: trailers": plus("te", "trailers"),
	}))
}

// connections are fields that only HTTP/1.1 has (RFC 9113, section 8.2.2).
func connections() []stream {
	return slices.Concat(malformed(codecBad, map[string][][2]string{
		"connection": plus("connection", "close"), "connection that names a field": plus("connection", "x", "x", "y"), "keep-alive": plus("keep-alive", "timeout=5"), "proxy-connection": plus("proxy-connection", "close"), "upgrade": plus("upgrade", "h2c"),
		"transfer-encoding": plus("transfer-encoding", "chunked"), "transfer-encoding: identity": plus("transfer-encoding", "identity"), "te: gzip": plus("te", "gzip"), "te: trailers and more": plus("te", "trailers, gzip"), "te twice": plus("te", "trailers", "te", "trailers"),
	}), []stream{
		{name: "h2.TE", head: posting("transfer-encoding", "chunked"), body: "0\r\n\r\n" + hidden, refused: codecBad},
	})
}

func lengths2() []stream {
	list := []stream{
		{name: "h2.CL of 0", head: posting("content-length", "0"), body: hidden, refused: reset},
		{name: "h2.CL, too short", head: posting("content-length", "1"), body: hidden, refused: reset, late: true},
		{name: "h2.CL, too short, in two frames", head: posting("content-length", "1"), body: hidden, split: true, refused: reset, late: true},
		{name: "h2.CL, too long", head: posting("content-length", "500"), body: hidden, refused: bad, late: true},
		{name: "a length without a body", head: posting("content-length", "5"), refused: bad},
		{name: "a length of 0 without a body", head: posting("content-length", "0"), reads: said("POST", "/attack", "")},
		{name: "a length", head: posting("content-length", "5"), body: "hello", reads: posted},
		{name: "a body that looks like a request", head: posting(), body: hidden, reads: said("POST", "/attack", hidden)},
		{name: "a body that looks like chunks", head: posting(), body: chunks, reads: said("POST", "/attack", chunks)},
		{name: "a body of a GET", head: plus(), body: "hello", reads: said("GET", "/attack", "hello")},
	}
	for _, value := range []string{"5, 5", "5,6", "+5", "-5", "0x5", "", "5 5", "five", "5;a", "18446744073709551621", "9223372036854775808", "\xef\xbc\x95", " 5 ", "5.0"} {
		list = append(list, stream{name: fmt.Sprintf("length %q", value), head: posting("content-length", value), refused: bad})
		list = append(list, stream{name: fmt.Sprintf("length %q of a body", value), head: posting("content-length", value), body: "hello", refused: either})
	}
	return append(list,
		stream{name: "length twice", head: posting("content-length", "5", "content-length", "5"), body: "hello", refused: bad},
		stream{name: "length twice, unlike", head: posting("content-length", "5", "content-length", "0"), body: "hello", refused: bad},
	)
}

func trailers2() (list []stream) {
	end := func(name, refused string, pairs ...[2]string) {
		list = append(list, stream{name: name, head: posting(), body: "hello", trailers: pairs, refused: refused, reads: posted, late: true})
	}
	end("trailers", "", [2]string{"x-sum", "5"})
	end("trailers with a pseudo-field", reset, [2]string{":path", "/hidden"})
	end("trailers with a status", reset, [2]string{":status", "200"})
	end("trailers in upper case", reset, [2]string{"X-Sum", "5"})
	end("trailers with a line end", reset, [2]string{"x-sum", "5\r\nx: y"})
	end("trailers with a line end in a name", reset, [2]string{"x\r\ny", "5"})
	end("trailers with NUL", reset, [2]string{"x-sum", "\x00"})
	end("trailers with a space in a name", reset, [2]string{"x y", "5"})
	for _, name := range []string{"content-length", "transfer-encoding", "host", "authorization", "connection", "x-forwarded-for", "ebbgate-client", "trailer", "te", "cookie"} {
		end("trailer "+name, "", [2]string{name, "5"})
	}
	announced := func(name, trailer, refused string) {
		list = append(list, stream{
			name: name, head: posting("trailer", "x-sum, host, X-Forwarded-For, content-length"), body: "hello", trailers: [][2]string{{"x-sum", "5"}, {trailer, "5"}},
			refused: refused, reads: posted, late: true,
			not: "nginx, HTTP/2", // which takes trailers of a request for a mistake
		})
	}
	announced("Trailer names what must not be one", "x-more", "")
	announced("Trailer names what comes", "x-forwarded-for", "")
	announced("Trailer names what comes, and net/http knows", "host", reset)
	return list
}

func connects() []stream {
	connect := func(pairs ...string) [][2]string {
		list := [][2]string{{":method", "CONNECT"}}
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, [2]string{pairs[i], pairs[i+1]})
		}
		return list
	}
	return slices.Concat(malformed(reset, map[string][][2]string{
		"CONNECT with :path": connect(":authority", host+":443", ":path", "/attack"), "CONNECT with :scheme": connect(":authority", host+":443", ":scheme", "http"), "CONNECT without :authority": connect(), "CONNECT that is extended": connect(":authority", host, ":scheme", "http", ":path", "/attack", ":protocol", "websocket"),
	}), malformed(bad, map[string][][2]string{
		"CONNECT without a port": connect(":authority", host), "CONNECT of a user": connect(":authority", "u@"+host+":443"),
	}), malformed("404 route_not_found", map[string][][2]string{"CONNECT": connect(":authority", host+":443")}))
}
