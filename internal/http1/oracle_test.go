package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// reading is what a parser made of the first message of an input, in net/http's terms.
type reading struct {
	method, host, path, query string
	status                    int
	header                    http.Header
	body                      string
	trailer                   http.Header
	rest                      string // behind the message
}

func httpHeader(h *exchange.Header) http.Header {
	out := http.Header{}
	for name, value := range h.All() {
		name = textproto.CanonicalMIMEHeaderKey(name)
		out[name] = append(out[name], value)
	}
	return out
}

// settle takes out what net/http changes by design: it moves Trailer away, adds Cache-Control for Pragma, drops nil
// trailers that were only announced, and keeps Content-Length in the header. Both readings are settled alike.
func (m *reading) settle(response bool) {
	m.header.Del("Content-Length")
	m.header.Del("Trailer")
	if m.header.Get("Pragma") != "" {
		m.header.Del("Cache-Control")
	}
	if response {
		m.header.Del("Connection")
	}
	settled := http.Header{}
	for name, values := range m.trailer {
		if len(values) > 0 {
			settled[name] = values
		}
	}
	m.trailer = settled
}

func (r *Reader) rest(src *bytes.Reader) string {
	tail, _ := io.ReadAll(src)
	return string(r.Buffered()) + string(tail)
}

// ourRequest reads as accept does: the path is normalised, and refused, at once.
func ourRequest(in []byte) (m reading, err error) {
	src := bytes.NewReader(in)
	r := NewReader(src, Limits{})
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		return m, err
	}
	if _, _, err := NormalizePath(req.Path, nil); err != nil {
		return m, err
	}
	body, err := io.ReadAll(r.Body())
	if err != nil {
		return m, err
	}
	path, err := url.PathUnescape(req.Path)
	m = reading{
		method: req.Method, host: req.Authority, path: path, query: req.Query,
		header: httpHeader(&req.Header), body: string(body), trailer: httpHeader(&req.Trailer), rest: r.rest(src),
	}
	m.settle(false)
	return m, err
}

func theirRequest(in []byte) (m reading, err error) {
	src := bytes.NewReader(in)
	buffered := bufio.NewReaderSize(src, 64<<10) // room for trailers as long as ours
	req, err := http.ReadRequest(buffered)
	if err != nil {
		return m, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return m, err
	}
	rest, _ := io.ReadAll(buffered)
	m = reading{
		method: req.Method, host: req.Host, path: req.URL.Path, header: req.Header,
		body: string(body), trailer: req.Trailer, rest: string(rest),
	}
	if req.URL.ForceQuery || req.URL.RawQuery != "" {
		m.query = "?" + req.URL.RawQuery
	}
	if req.URL.IsAbs() && m.path == "" { // an empty path is "/", or "*" for OPTIONS
		m.path = "/"
		if req.Method == http.MethodOptions && m.query == "" {
			m.path = "*"
		}
	}
	m.settle(false)
	return m, nil
}

func ourResponse(in []byte, method string) (m reading, err error) {
	src := bytes.NewReader(in)
	r := NewReader(src, Limits{})
	var res exchange.Response
	if err := r.ReadResponse(&res, method); err != nil {
		return m, err
	}
	body, err := io.ReadAll(r.Body())
	m = reading{
		status: res.Status, header: httpHeader(&res.Header), body: string(body),
		trailer: httpHeader(&res.Trailer), rest: r.rest(src),
	}
	m.settle(true)
	return m, err
}

func theirResponse(in []byte, method string) (m reading, err error) {
	buffered := bufio.NewReaderSize(bytes.NewReader(in), 64<<10)
	res, err := http.ReadResponse(buffered, &http.Request{Method: method})
	if err != nil {
		return m, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return m, err
	}
	rest, _ := io.ReadAll(buffered)
	m = reading{
		status: res.StatusCode, header: res.Header, body: string(body),
		trailer: res.Trailer, rest: string(rest),
	}
	m.settle(true)
	return m, nil
}

// agree holds the rule: what both accept they read alike, and what net/http refuses we refuse. There are no exceptions.
func agree(t *testing.T, ours, theirs reading, ourErr, theirErr error) {
	t.Helper()
	switch {
	case ourErr != nil:
		checkError(t, ourErr)
	case theirErr != nil:
		t.Errorf("net/http refuses what we accept: %v", theirErr)
	case !reflect.DeepEqual(ours, theirs):
		t.Errorf("we read\n%+v\nnet/http reads\n%+v", ours, theirs)
	}
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if errors.As(err, &e) {
		if e.Status < 400 || e.Text == "" {
			t.Errorf("error %+v", e)
		}
	} else if err != io.EOF && err != io.ErrUnexpectedEOF {
		t.Errorf("error %v is neither the peer's fault nor an end", err)
	}
}

// messages are the messages of a connection as we read them, whatever the way they come in.
func messages(src io.Reader, read func(*Reader) (string, error)) string {
	r := NewReader(src, Limits{})
	defer r.Reset(nil)
	var all []byte
	for {
		m, err := read(r)
		all = append(all, m...)
		var e *Error
		if errors.As(err, &e) {
			err = errors.New("refused") // which of two faults is told may depend on what came first
		}
		if err != nil || !r.KeepAlive() {
			return string(fmt.Append(all, err))
		}
	}
}

func requestText(r *Reader) (string, error) {
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body())
	return fmt.Sprintf("%s %s|%s|%s|%s %v %d %q %q %q\n", req.Method, req.Scheme, req.Authority, req.Path, req.Query,
		req.Version, req.Length, req.Header.Fields(), body, req.Trailer.Fields()), err
}

func responseText(method string) func(*Reader) (string, error) {
	return func(r *Reader) (string, error) {
		var res exchange.Response
		if err := r.ReadResponse(&res, method); err != nil {
			return "", err
		}
		body, err := io.ReadAll(r.Body())
		return fmt.Sprintf("%d %q %v %d %q %q %q\n", res.Status, res.Phrase, res.Version, res.Length,
			res.Header.Fields(), body, res.Trailer.Fields()), err
	}
}
