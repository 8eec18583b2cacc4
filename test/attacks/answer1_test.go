package attacks

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// reply is what a far side of HTTP/1.1 answers with, and what a client must see of it.
type reply struct {
	name   string
	raw    string
	later  string // written once the client has its answer
	close  bool   // the far side closes the connection behind it
	method string // of the request; empty: GET
	ask    string // field lines of the request, which only a client of HTTP/1.1 can send
	want   string // as view has it
	kept   bool   // the connection may carry another request
}

// cut is an answer that the client sees broken off.
const cut = "cut"

// TestAnswersOfHTTP1 has a far side answer each attack to a client of each version. Canaries follow on the client's connection
// and on another, and get their own answers: over another connection than what was wrong came on.
func TestAnswersOfHTTP1(t *testing.T) {
	t.Parallel()
	list := replies1()
	f := fake(t, func(c *fakeConn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			id, attack := c.asked(r.URL.Path)
			if !attack {
				text := said(r.Method, r.URL.Path, "")
				_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
				continue
			}
			_, _ = io.WriteString(c, list[id].raw)
			if list[id].later != "" {
				<-c.fake.more
				_, _ = io.WriteString(c, list[id].later)
				c.fake.more <- struct{}{}
			}
			if list[id].close {
				return
			}
		}
	})
	g := serve(t, far{host: host, address: f.address, protocol: plan.HTTP11})
	for id, r := range list {
		f.check(t, g, r.name, id, r.want, r.kept, false, func(context.Context) string { return g.over1(t, f, r, id) })
		if r.ask == "" {
			f.check(t, g, r.name+", HTTP/2", id, r.want, r.kept, false, func(ctx context.Context) string { return g.over2(t, ctx, f, r, id) })
		}
	}
}

// over1 asks for an attack over HTTP/1.1, and then for a canary, and is what the client saw of the first.
func (g *gateway) over1(t *testing.T, f *faker, r reply, id int) string {
	t.Helper()
	conn := g.dial(t, g.plain)
	defer conn.Close()
	in := bufio.NewReader(conn)
	method := r.method
	if method == "" {
		method = "GET"
	}
	request := method + " /attack HTTP/1.1\r\nHost: " + host + "\r\n" + r.ask + "\r\n"
	_, err := io.WriteString(conn, marked(request, host, id))
	check(t, err)
	status, body, err := answer(in, method)
	if r.later != "" {
		f.more <- struct{}{}
		<-f.more
	}
	if err != nil {
		return cut
	}
	_, err = io.WriteString(conn, marked(canary, host, id))
	if got := answers(in, []string{canaryOf(id)}); err != nil || got[0] != canaryOf(id) {
		t.Errorf("%s: the next request on the connection is answered %q, %v", r.name, got, err)
	}
	return view(fmt.Sprint(status), body)
}

// over2 is the same over HTTP/2.
func (g *gateway) over2(t *testing.T, ctx context.Context, f *faker, r reply, id int) string {
	t.Helper()
	conn := g.dial2(t, ctx, 0)
	defer conn.Close()
	head := pseudo(":path", marked("/attack", host, id))
	if r.method != "" {
		head[0][1] = r.method
	}
	stream, err := conn.Open(true, head...)
	check(t, err)
	a, err := conn.Whole(ctx, stream)
	check(t, err)
	if r.later != "" {
		f.more <- struct{}{}
		<-f.more
	}
	next, err := conn.Open(true, pseudo(":path", marked("/canary", host, id))...)
	check(t, err)
	if got := outcome(ctx, conn, next); got != canaryOf(id) {
		t.Errorf("%s: the next stream is answered %q", r.name, got)
	}
	if !a.Ended {
		return cut
	}
	return view(a.Status(), string(a.Body))
}

// canaryOf is the canary's own answer.
func canaryOf(id int) string { return said("GET", marked("/canary", host, id), "") }

// view is a body of 200, or another status with its reason.
func view(status, body string) string {
	if status == "200" {
		return body
	}
	return strings.TrimSpace(status + " " + reasonIn(body))
}
