package protocols_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// asked is a request of the table.
type asked struct {
	name, method, path string
	fields             []string // pairs of name and value
	body               string
	chunked            bool   // the body's length is not said
	only               string // the far sides that it is for, by what their names begin with
	differs            string // why the answer through a proxy is rightly another
}

func table() []asked {
	large, huge := strings.Repeat("x", bodySize), strings.Repeat("0123456789", 300_000)
	get := func(path string, fields ...string) asked {
		return asked{name: strings.Join(append([]string{"GET", path}, fields...), " "), method: "GET", path: path, fields: fields}
	}
	send := func(method, path, body string, fields ...string) asked {
		name := fmt.Sprintf("%s %s of %d %s", method, path, len(body), strings.Join(fields, " "))
		return asked{name: name, method: method, path: path, body: body, fields: fields}
	}
	of := func(only string, list ...asked) []asked {
		for i := range list {
			list[i].only = only
		}
		return list
	}
	unsized := func(a asked) asked { a.name, a.chunked = a.name+" unsized", true; return a }
	files := of("nginx",
		get("/small.txt"), get("/empty.txt"), get("/large.bin"), get("/large.txt"), get("/a%20b.txt"), get("/once.txt"), get("/once.txt"), get("/missing.txt"),
		get("/missing%2Ftoo?q=%20&r"), get("/"), get("/teapot"), get("/cookies"),
		send("HEAD", "/small.txt", ""), send("HEAD", "/large.bin", ""), send("HEAD", "/missing.txt", ""), send("HEAD", "/empty.txt", ""),
		send("HEAD", "/large.txt", "", "Accept-Encoding", "gzip"),
		get("/large.txt", "Accept-Encoding", "gzip"), get("/large.txt", "Accept-Encoding", "br"), get("/large.txt", "Accept-Encoding", "gzip;q=0"),
		get("/large.bin", "Range", "bytes=0-9"), get("/large.bin", "Range", "bytes=-10"), get("/large.bin", "Range", "bytes=299990-"),
		get("/large.bin", "Range", "bytes=400000-"), get("/large.bin", "Range", "bytes=0-9,20-29,-5"), get("/large.bin", "Range", "lines=1-2"),
		get("/large.bin", "Range", "bytes=0-9", "If-Range", fileTag), get("/large.bin", "Range", "bytes=0-9", "If-Range", `"other"`),
		get("/large.bin", "Range", "bytes=0-9", "If-Range", fileSince), send("HEAD", "/large.bin", "", "Range", "bytes=0-9"),
		get("/large.bin", "If-None-Match", fileTag), get("/large.bin", "If-None-Match", `"other", W/`+fileTag), get("/large.bin", "If-None-Match", "*"),
		get("/large.bin", "If-Match", `"other"`), get("/large.bin", "If-Match", fileTag), get("/large.bin", "If-Modified-Since", fileSince),
		get("/large.bin", "If-Unmodified-Since", "Sun, 13 Sep 2015 12:26:40 GMT"), send("HEAD", "/large.bin", "", "If-None-Match", fileTag),
		get("/elsewhere"), send("POST", "/small.txt", "hello"), send("PUT", "/small.txt", ""), send("DELETE", "/small.txt", ""), send("PROPFIND", "/small.txt", ""),
		send("POST", "/small.txt", huge), send("POST", "/small.txt", huge, "Expect", "100-continue"),
		send("POST", "/none", "hello"), send("POST", "/none", large),
	)
	direct := get("/direct.txt", "Accept-Encoding", "gzip")
	direct.differs = "nginx compresses for nobody who is behind a proxy unless gzip_proxied says so, and Via tells it (RFC 9110, section 7.6.3)"
	files = append(files, of("nginx", direct)...)
	hinted := of("haproxy", get("/up/hinted"), get("/up/trailers", "TE", "trailers"), get("/up/trailers"), get("/denied"))
	both := []asked{
		get("/none"), get("/moved"), send("HEAD", "/moved", ""), send("OPTIONS", "/up/seen", ""),
		get("/up/seen?a=b&c=%20&&=", "X-Two", "1", "X-Two", "2", "Cookie", "a=1; b=2", "Accept", "*/*", "X-Empty", "", "Authorization", "Basic eDp5"),
		get("/up/seen", "Cache-Control", "no-cache", "Pragma", "no-cache", "Referer", "http://a.test/", "Accept-Language", "de, en;q=0.5", "Max-Forwards", "3"),
		send("POST", "/up/seen", "hello", "Content-Type", "text/plain", "Content-Encoding", "identity"),
		get("/up/body"), send("HEAD", "/up/body", ""), get("/up/events"), get("/up/unavailable"), get("/up/unknown"), get("/up/challenge"), get("/up/missing"),
		get("/up/ranges", "Range", "bytes=300-309"), get("/up/ranges", "If-None-Match", `"it"`), get("/up/ranges", "Range", "bytes=400000-"),
		send("POST", "/up/digest", "", "Content-Type", "text/plain"), send("POST", "/up/digest", "hello"), send("PUT", "/up/digest", large), send("PATCH", "/up/digest", large),
		send("POST", "/up/digest", huge), unsized(send("POST", "/up/digest", huge)), unsized(send("POST", "/up/digest", "hello")), unsized(send("PUT", "/up/digest", "")),
		send("POST", "/up/digest", huge, "Expect", "100-continue"), send("DELETE", "/up/digest", "hello"), send("GET", "/up/digest", "hello"),
	}
	return slices.Concat(files, hinted, both)
}

// answer is all that a client is to see alike.
type answer struct {
	status, interim  string
	fields, trailers []string
	body             string
}

func (a answer) String() string {
	body := a.body
	if len(body) > 500 {
		body = fmt.Sprintf("%s … of %d bytes", body[:500], len(body))
	}
	return fmt.Sprintf("%s\n  interim %q\n  %s\n  body %q\n  trailers %q", a.status, a.interim, strings.Join(a.fields, "\n  "), body, a.trailers)
}

// like compares what came through with what came straight. The length of a body whose end is known before its head is sent
// may be said where the far side did not (RFC 9110, section 8.6).
func (a answer) like(b answer) bool {
	length := fmt.Sprint("Content-Length: ", len(a.body))
	if b.status == "204" { // which has none at all, also where HAProxy says one
		b.fields = slices.DeleteFunc(slices.Clone(b.fields), func(line string) bool { return line == "Content-Length: 0" })
		return a.status == b.status && slices.Equal(a.fields, b.fields) && a.body == ""
	}
	if without := slices.DeleteFunc(slices.Clone(a.fields), func(line string) bool { return line == length }); slices.Equal(without, b.fields) {
		a.fields = without
	}
	return a.status == b.status && a.interim == b.interim && slices.Equal(a.fields, b.fields) && slices.Equal(a.trailers, b.trailers) && a.body == b.body
}

// own are the fields that are each connection's or each proxy's own.
func own(name string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Date", "Connection", "Keep-Alive", "Transfer-Encoding", "Via", "Ebbgate-Request-Id", "Alt-Svc":
		return true
	}
	return false
}

// TestDifferential asks nginx and HAProxy straight, in the version of their listener, and through the gateway, in either.
// The answers are the same.
func TestDifferential(t *testing.T) {
	p := servePeers(t)
	one, two := client(t, "HTTP11", nil), client(t, "H2C", nil)
	for _, far := range p.far {
		t.Run(far.Name, func(t *testing.T) {
			self := client(t, far.Protocol, p.tls)
			for _, a := range table() {
				if !strings.HasPrefix(far.Name, a.only) {
					continue
				}
				want := ask(t, self, far.straight(), far.host(), a)
				for version, through := range map[string]*http.Transport{"HTTP/1.1": one, "HTTP/2": two} {
					got := ask(t, through, p.base, far.host(), a)
					switch same := got.like(want); {
					case !same && a.differs == "":
						t.Errorf("%s, by a client of %s\nstraight: %s\nthrough:  %s", a.name, version, want, got)
					case same && a.differs != "":
						t.Errorf("%s, by a client of %s: the same, but: %s", a.name, version, a.differs)
					}
				}
			}
			p.switches(t, far)
			p.calls(t, far)
		})
	}
}

// client speaks one version.
func client(t *testing.T, protocol string, trust *tls.Config) *http.Transport {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: trust.Clone(), DisableCompression: true}
	transport.ExpectContinueTimeout = time.Second // nginx says no 100 over HTTP/2, and nobody is to wait for ever (RFC 9110, section 10.1.1)
	transport.Protocols.SetHTTP1(protocol == "HTTP11")
	transport.Protocols.SetHTTP2(protocol == "HTTP2")
	transport.Protocols.SetUnencryptedHTTP2(protocol == "H2C")
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// ask makes a request. What it fails with is an answer too.
func ask(t *testing.T, through *http.Transport, base, host string, a asked) answer {
	t.Helper()
	var got answer
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, fields textproto.MIMEHeader) error {
		if code != http.StatusContinue { // which each hop says for itself (RFC 9110, section 10.1.1)
			got.interim += fmt.Sprint(code, lines(http.Header(fields)))
		}
		return nil
	}})
	var body io.Reader
	if a.body != "" || a.chunked {
		body = strings.NewReader(a.body)
	}
	if a.chunked {
		body = io.MultiReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, a.method, base+a.path, body)
	check(t, err)
	request.Host = host
	request.Header.Set("User-Agent", "differential") // net/http's own has the version
	for i := 0; i+1 < len(a.fields); i += 2 {
		request.Header.Add(a.fields[i], a.fields[i+1])
	}
	response, err := through.RoundTrip(request)
	if err != nil {
		got.status = err.Error()
		return got
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		got.status = fmt.Sprint(response.StatusCode, err)
		return got
	}
	got.status, got.body = fmt.Sprint(response.StatusCode), string(read)
	got.fields, got.trailers = lines(response.Header), lines(response.Trailer)
	if kind, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err == nil && kind == "multipart/byteranges" {
		got.body = strings.ReplaceAll(got.body, parameters["boundary"], "BOUNDARY") // nginx counts them
		for i := range got.fields {
			got.fields[i] = strings.ReplaceAll(got.fields[i], parameters["boundary"], "BOUNDARY")
		}
	}
	return got
}

// lines are the fields in order, without those that may differ.
func lines(fields http.Header) []string {
	var all []string
	for name, values := range fields {
		for _, value := range values {
			if !own(name) {
				all = append(all, name+": "+value)
			}
		}
	}
	slices.Sort(all)
	return all
}
