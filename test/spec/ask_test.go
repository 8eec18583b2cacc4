package spec_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ask is one line of a row: what a client asks, which far sides receive what, and what the client gets.
//
//	[port: ]METHOD [host]/target [{Field: value; …}] [-> far [/target] [xTIMES] [{…}] [+ far …]] [<- status [{…}]]
//
// Without a port it is asked of Gateway gw over HTTP/1.1, over HTTP/2 with prior knowledge, and over HTTP/2 with TLS; with
// one, over both versions there. CALL is a gRPC call, which HTTP/1.1 does not know, and its status is the call's. A far
// side gets the method, the target and the body that were asked, unless the line says otherwise; of several the first
// answers, and the others are mirrors. What is not named gets nothing. In braces of what was received or answered,
// "Field: value" is the field's whole value, several lines joined by ", ", and "-Field" is absent.
type ask struct {
	text, port, method, host, target string
	fields                           []field
	reached                          []reach
	status                           string
	answer                           []field
}

type field struct{ name, value string }

// reach is what a far side must have received.
type reach struct {
	far, target string
	times       int
	fields      []field
}

var lineForm = regexp.MustCompile(`^(?:(\w+): )?([A-Z]+) ([^ /]*)(/\S*)((?: \{.*\})?)$`)
var farForm = regexp.MustCompile(`^(\S+)(?: (/\S*))?(?: x(\d+))?((?: \{.*\})?)$`)
var answerForm = regexp.MustCompile(`^(\d+)((?: \{.*\})?)$`)

func parse(t *testing.T, line string) *ask {
	t.Helper()
	a := &ask{text: line}
	rest, answered, _ := strings.Cut(line, " <- ")
	rest, farSides, _ := strings.Cut(rest, " -> ")
	m := lineForm.FindStringSubmatch(rest)
	if m == nil {
		t.Fatalf("no ask: %s", line)
	}
	a.port, a.method, a.host, a.target, a.fields = m[1], m[2], m[3], m[4], fieldsOf(m[5])
	if a.host == "" {
		a.host = "spec.test"
	}
	a.status = "200"
	if a.method == "CALL" {
		a.status = "0"
	}
	if answered != "" {
		m := answerForm.FindStringSubmatch(answered)
		if m == nil {
			t.Fatalf("no answer: %s", line)
		}
		a.status, a.answer = m[1], fieldsOf(m[2])
	}
	for far := range strings.SplitSeq(farSides, " + ") {
		if far == "" {
			continue
		}
		m := farForm.FindStringSubmatch(far)
		if m == nil {
			t.Fatalf("no far side: %s", line)
		}
		r := reach{far: m[1], target: m[2], times: 1, fields: fieldsOf(m[4])}
		if r.target == "" {
			r.target = a.target
		}
		if m[3] != "" {
			r.times, _ = strconv.Atoi(m[3])
		}
		a.reached = append(a.reached, r)
	}
	return a
}

func fieldsOf(text string) []field {
	var list []field
	for part := range strings.SplitSeq(strings.Trim(text, " {}"), "; ") {
		if name, value, ok := strings.Cut(part, ": "); ok || part != "" {
			list = append(list, field{name, value})
		}
	}
	return list
}

// client asks one port in one version of HTTP.
type client struct {
	transport *http.Transport
	scheme    string
	version   int
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// dialing is a client that speaks the version to a port, over TLS where it is given a configuration.
func dialing(port, version int, secure *tls.Config) *client {
	var p http.Protocols
	p.SetHTTP1(version == 1)
	p.SetHTTP2(version == 2 && secure != nil)
	p.SetUnencryptedHTTP2(version == 2 && secure == nil)
	c := &client{scheme: "http", version: version}
	if secure != nil {
		c.scheme = "https"
	}
	c.transport = &http.Transport{
		Protocols: &p, DisableCompression: true, TLSClientConfig: secure,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprint("127.0.0.1:", port))
		},
	}
	return c
}

// client is the client of a port and a version, made once.
func (w *world) client(port string, version int) *client {
	key := fmt.Sprint(port, version)
	if w.clients[key] == nil {
		var secure *tls.Config
		if slices.Contains(securePorts, port) {
			secure = &tls.Config{RootCAs: w.root.Pool(), ServerName: "spec.test", MinVersion: tls.VersionTLS12}
		}
		w.clients[key] = dialing(w.ports[port], version, secure)
	}
	return w.clients[key]
}

// ask runs a line with each client that it is for.
func (w *world) ask(t *testing.T, row, line string) {
	t.Helper()
	a := parse(t, line)
	var over []*client
	switch {
	case a.port == "" && a.method == "CALL":
		over = []*client{w.client("http", 2), w.client("https", 2)}
	case a.port == "":
		over = []*client{w.client("http", 1), w.client("http", 2), w.client("https", 2)}
	case a.method == "CALL":
		over = []*client{w.client(a.port, 2)}
	default:
		over = []*client{w.client(a.port, 1), w.client(a.port, 2)}
	}
	for _, c := range over {
		w.run(t, fmt.Sprintf("%s: %s (%s, HTTP/%d)", row, line, c.scheme, c.version), c, a)
	}
}

// run asks once and compares both ends.
func (w *world) run(t *testing.T, about string, c *client, a *ask) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req := w.request(ctx, t, c.scheme, a)
	sent := "body of " + req.Header.Get(askField)
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s: %v", about, err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != c.version {
		t.Errorf("%s: %s, %v", about, res.Proto, err)
	}
	status := strconv.Itoa(res.StatusCode)
	if a.method == "CALL" {
		status = res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status")
	}
	if status != a.status {
		t.Errorf("%s: status %s: %s", about, status, body)
	}
	differ(t, about+": answered", res.Header, a.answer)
	if status == "200" && len(a.reached) > 0 && a.method != http.MethodHead && string(body) != a.reached[0].far {
		t.Errorf("%s: answered by %s", about, body)
	}
	w.compare(ctx, t, about, a, req.Header.Get(askField), sent)
}

func (w *world) request(ctx context.Context, t *testing.T, scheme string, a *ask) *http.Request {
	t.Helper()
	w.asked++
	number := strconv.Itoa(w.asked)
	method, body := a.method, ""
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		body = "body of " + number
	case "CALL":
		method, body = http.MethodPost, strings.Repeat("\x00", 5)
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://"+a.host+a.target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if a.method == "CALL" {
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
	}
	for _, f := range a.fields {
		req.Header.Add(f.name, f.value)
	}
	req.Header.Set(askField, number)
	return req
}

// compare holds what far sides received against what they should have.
func (w *world) compare(ctx context.Context, t *testing.T, about string, a *ask, number, sent string) {
	t.Helper()
	for name, f := range w.fars {
		i := slices.IndexFunc(a.reached, func(r reach) bool { return r.far == name })
		if i < 0 {
			if got := f.of(number); len(got) > 0 {
				t.Errorf("%s: %s received %+v", about, name, got)
			}
			continue
		}
		want := a.reached[i]
		got, err := f.wait(ctx, number)
		if err != nil || len(got) != want.times {
			t.Errorf("%s: %s received %d requests, %v", about, name, len(got), err)
			continue
		}
		for _, r := range got {
			method := a.method
			switch method {
			case http.MethodPost, http.MethodPut, http.MethodPatch:
			case "CALL":
				method, sent = http.MethodPost, strings.Repeat("\x00", 5)
			default:
				sent = ""
			}
			if r.method != method || r.target != want.target || r.body != sent {
				t.Errorf("%s: %s received %s %s %q", about, name, r.method, r.target, r.body)
			}
			differ(t, about+": "+name+" received", r.header, want.fields)
		}
	}
}

// differ compares fields.
func differ(t *testing.T, about string, got http.Header, want []field) {
	t.Helper()
	for _, f := range want {
		name, absent := strings.CutPrefix(f.name, "-")
		values := got.Values(name)
		if absent && len(values) > 0 || !absent && (values == nil || strings.Join(values, ", ") != f.value) {
			t.Errorf("%s %s: %q", about, name, values)
		}
	}
}

// row puts objects in force and asks. Lines that begin with "! " say what the gateway finds wrong with the objects.
func (w *world) row(t *testing.T, row, objects string, lines ...string) {
	t.Helper()
	var wrong []string
	for _, line := range lines {
		if about, ok := strings.CutPrefix(line, "! "); ok {
			wrong = append(wrong, about)
		}
	}
	w.serve(t, row, objects, wrong...)
	for _, line := range lines {
		if !strings.HasPrefix(line, "! ") {
			w.ask(t, row, line)
		}
	}
}
