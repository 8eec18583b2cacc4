package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/testkit/h2"
)

// request is what a client sends. A streamed body comes in two halves.
type request struct {
	name     string
	method   string
	body     bool
	streamed bool
}

const (
	firstHalf  = "hello"
	secondHalf = " far side"
	wholeBody  = firstHalf + secondHalf
)

var requests = []request{
	{name: "GET", method: "GET"},
	{name: "PUT", method: "PUT", body: true},
	{name: "PUT that streams", method: "PUT", body: true, streamed: true},
	{name: "POST without a body", method: "POST"},
	{name: "POST", method: "POST", body: true},
	{name: "POST that streams", method: "POST", body: true, streamed: true},
}

func (r request) idempotent() bool { return r.method != "POST" }

// view is what a client sees of an answer.
type view struct {
	begun  bool // a head came
	status int
	whole  bool   // its framing came to its end
	broken string // how it did not
	from   string // the field X-From: which far side answered
	reason string // of the problem document, where it is one
}

// client sends a request and tells what it sees. began is called once an answer's head is there, and more is closed once
// the second half of a streamed body is to be sent.
type client func(ctx context.Context, address, path string, r request, began func(), more <-chan struct{}) (view, error)

var clients = []struct {
	name string
	do   client
}{{"HTTP/1.1", overHTTP1}, {"HTTP/2", overHTTP2}}

func overHTTP1(ctx context.Context, address, path string, r request, began func(), more <-chan struct{}) (view, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return view{}, err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // thousands that wait for their end would leave no port to others
		return view{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	head := r.method + " " + path + " HTTP/1.1\r\nHost: far.test\r\n"
	switch {
	case r.streamed:
		head += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(firstHalf), firstHalf)
	case r.body:
		head += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(wholeBody), wholeBody)
	case r.method == "POST":
		head += "Content-Length: 0\r\n\r\n"
	default:
		head += "\r\n"
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return view{}, err
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		<-more
		if r.streamed {
			_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(secondHalf), secondHalf) // where the gateway still wants it
		}
	}()
	defer func() { <-rest }()
	defer began()
	v := answerOf(conn, r.method, began)
	return v, context.Cause(ctx)
}

func answerOf(conn net.Conn, method string, began func()) view {
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return view{broken: "the connection"}
	}
	defer res.Body.Close()
	began()
	v := view{begun: true, status: res.StatusCode, from: res.Header.Get("X-From")}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.broken = "the connection"
		return v
	}
	v.whole, v.reason = true, reasonIn(res.Header.Get("Content-Type"), body)
	return v
}

func reasonIn(kind string, body []byte) string {
	var document struct{ Reason string }
	if kind != "application/problem+json" || json.Unmarshal(body, &document) != nil {
		return ""
	}
	return document.Reason
}

func overHTTP2(ctx context.Context, address, path string, r request, began func(), more <-chan struct{}) (view, error) {
	conn, err := h2.Dial(ctx, address, nil)
	if err != nil {
		return view{}, err
	}
	defer conn.Close()
	fields := [][2]string{{":method", r.method}, {":scheme", "http"}, {":authority", "far.test"}, {":path", path}}
	if r.body && !r.streamed {
		fields = append(fields, [2]string{"content-length", fmt.Sprint(len(wholeBody))})
	}
	id, err := conn.Open(!r.body, fields...)
	switch {
	case err != nil:
		return view{}, err
	case r.streamed:
		err = conn.Data(id, []byte(firstHalf), false)
	case r.body:
		err = conn.Data(id, []byte(wholeBody), true)
	}
	if err != nil {
		return view{}, err
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		<-more
		if r.streamed {
			_ = conn.Data(id, []byte(secondHalf), true) // where the gateway still wants it
		}
	}()
	defer func() { <-rest }()
	defer began()
	_ = conn.Wait(ctx, func() bool { a := conn.Answer(id); return a.Over() || len(a.Heads) > 0 })
	began()
	a, _ := conn.Whole(ctx, id) // a connection that ends before shows in the answer
	return viewOf(a), context.Cause(ctx)
}

func viewOf(a h2.Answer) view {
	v := view{begun: len(a.Heads) > 0, from: a.Value("x-from")}
	_, _ = fmt.Sscan(a.Status(), &v.status)
	if length := a.Value("content-length"); !a.Ended || length != "" && length != fmt.Sprint(len(a.Body)) {
		switch {
		case a.Reset != nil && *a.Reset != http2.ErrCodeNo:
			v.broken = "the stream"
		case !a.Ended && a.Reset == nil:
			v.broken = "the connection"
		} // else it has an end that looks like one
		return v
	}
	v.whole, v.reason = true, reasonIn(a.Value("content-type"), []byte(strings.TrimSpace(string(a.Body))))
	return v
}
