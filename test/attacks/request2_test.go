package attacks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
)

// stream is what a client of HTTP/2 sends on one stream, and what must come of it. Its texts are marked as an attack's are.
type stream struct {
	name     string
	head     [][2]string
	body     string      // one frame; empty: none
	split    bool        // its first byte comes in a frame of its own
	trailers [][2]string // empty: the body, or the head, ends the stream
	refused  string      // as outcome has it, or one "or" the other; empty: it is read
	reads    string      // what it is read as, as said has it
	late     bool        // what is wrong comes so late that the head may have gone on
	not      string      // a far side that it is not for
}

// TestRequestsOfHTTP2 sends each attack to each far side, then a canary on another stream and one on another connection.
func TestRequestsOfHTTP2(t *testing.T) {
	t.Parallel()
	g, list := serveTargets(t)
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for id, s := range attacks2() {
				if s.not != f.name {
					g.attack2(t, f, s, id)
				}
			}
			f.clean(t)
		})
	}
}

func (g *gateway) attack2(t *testing.T, f target, s stream, id int) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s\nsent: %q %.100q %q", s.name, fmt.Sprintf(format, args...), s.head, s.body, s.trailers)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	before := len(f.seen.Requests())
	mark := func(fields [][2]string) (list [][2]string) {
		for _, field := range fields {
			list = append(list, [2]string{marked(field[0], f.host, id), marked(field[1], f.host, id)})
		}
		return list
	}
	conn := g.dial2(t, ctx, id)
	defer conn.Close()
	stream, err := conn.Open(s.body == "" && s.trailers == nil, mark(s.head)...)
	if s.split && err == nil {
		err = conn.Data(stream, []byte(s.body[:1]), false)
		s.body = s.body[1:]
	}
	if s.body != "" && err == nil {
		err = conn.Data(stream, []byte(marked(s.body, f.host, id)), s.trailers == nil)
	}
	if s.trailers != nil && err == nil {
		err = conn.Trailers(stream, mark(s.trailers)...)
	}
	check(t, err)
	var want []string
	expected := s.refused
	if expected == "" {
		want = append(want, marked(s.reads, f.host, id))
		expected = want[0]
	}
	got := outcome(ctx, conn, stream)
	if got != expected && !slices.Contains(strings.Split(expected, " or "), got) {
		fail("%s, want %s", got, expected)
	}
	if !strings.HasPrefix(got, "end") {
		want = append(want, canary2(t, ctx, conn, f, id, fail))
	}
	other := g.dial2(t, ctx, id)
	defer other.Close()
	want = append(want, canary2(t, ctx, other, f, id, fail))
	whole, torn := f.since(before, id)
	if !slices.Equal(whole, want) {
		fail("the far side read %q, want %q", whole, want)
	}
	if torn > 0 && !s.late {
		fail("the far side began to read a request")
	}
}

// TestMoreThanALengthSays sends a body as long as it says, which is too large to be held, and a request behind it. To a far side of
// HTTP/1.1 the body has gone on by then, whole: what comes behind it is nobody's request, and no harm to the connection.
func TestMoreThanALengthSays(t *testing.T) {
	t.Parallel()
	g, list := serveTargets(t)
	const parts = 8
	part := strings.Repeat("x", 16<<10)
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for id := range 2 { // in clear text, and over TLS
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				conn := g.dial2(t, ctx, id)
				defer conn.Close()
				before := len(f.seen.Requests())
				stream, err := conn.Open(false, [2]string{":method", "POST"}, [2]string{":scheme", "http"}, [2]string{":authority", f.host},
					[2]string{":path", marked("/attack", f.host, id)}, [2]string{"content-length", strconv.Itoa(parts * len(part))})
				for range parts {
					check(t, errors.Join(err, conn.Data(stream, []byte(part), false)))
				}
				var want []string
				if f.protocol == plan.HTTP11 {
					want = append(want, marked(said("POST", "/attack", strings.Repeat(part, parts)), f.host, id))
					_, err = f.seen.WaitRequest(ctx, before+1)
					check(t, err)
				}
				check(t, conn.Data(stream, []byte(marked(hidden, f.host, id)), true))
				if got := outcome(ctx, conn, stream); got != reset && !slices.Contains(want, got) {
					t.Errorf("%.100q, want %s or %.100q", got, reset, want)
				}
				want = append(want, canary2(t, ctx, conn, f, id, t.Errorf))
				if whole, _ := f.since(before, id); !slices.Equal(whole, want) {
					t.Errorf("the far side read %.300q", whole)
				}
			}
		})
	}
}

func (g *gateway) dial2(t *testing.T, ctx context.Context, id int) *h2.Conn {
	t.Helper()
	var conn *h2.Conn
	var err error
	if id%2 == 1 {
		config := g.trust.Clone()
		config.ServerName = "127.0.0.1"
		conn, err = h2.Dial(ctx, g.secure, config)
	} else {
		conn, err = h2.Dial(ctx, g.plain, nil)
	}
	check(t, err)
	return conn
}

// canary2 asks on a connection for what must be answered, and returns what it must be read as.
func canary2(t *testing.T, ctx context.Context, conn *h2.Conn, f target, id int, fail func(string, ...any)) string {
	t.Helper()
	own := marked(said("GET", "/canary", ""), f.host, id)
	path := marked("/canary", f.host, id)
	stream, err := conn.Open(true, [2]string{":method", "GET"}, [2]string{":scheme", "http"}, [2]string{":authority", f.host}, [2]string{":path", path})
	check(t, err)
	if got := outcome(ctx, conn, stream); got != own {
		fail("the next request is answered %q", got)
	}
	return own
}

// outcome is a status with its reason, a body of 200, "reset CODE" of the stream, or "end CODE" of the connection.
func outcome(ctx context.Context, conn *h2.Conn, stream uint32) string {
	a, err := conn.Whole(ctx, stream)
	_, code, gone := conn.GoAway()
	switch {
	case a.Ended && a.Status() == "200":
		return string(a.Body)
	case a.Ended:
		return strings.TrimSpace(a.Status() + " " + reasonIn(string(a.Body)))
	case a.Reset != nil:
		return fmt.Sprint("reset ", *a.Reset)
	case gone:
		return fmt.Sprint("end ", code)
	}
	return fmt.Sprint("end ", err)
}
