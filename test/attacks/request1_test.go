package attacks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// attack is what a client of HTTP/1.1 sends, and what must come of it. In raw the host is host, and /attack, /hidden and
// /canary stand for paths of the same length that no other attack has.
type attack struct {
	name   string
	raw    string
	reads  []string // what it is read as, as said has it
	status int      // of the refusal, behind what is read, which ends the connection; zero: none
	late   bool     // what is wrong comes so late that the head may have gone on: the far side sees no whole request
	ends   bool     // it is read, and ends the connection
	over1  bool     // it is for far sides of HTTP/1.1
}

const (
	host   = "f0.test"
	upper  = "F0.TEST"
	canary = "GET /canary HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	hidden = "GET /hidden HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
)

// marked are the text with the host and the paths of one attack.
func marked(text, host0 string, id int) string {
	mark := func(letter string) string { return fmt.Sprintf("/%s%05d", letter, id) }
	return strings.NewReplacer(host, host0, upper, strings.ToUpper(host0), "/attack", mark("a"), "/hidden", mark("h"), "/canary", mark("c")).Replace(text)
}

// TestRequestsOfHTTP1 sends each attack to each far side, the gateway's canary behind it, and then one on another connection.
func TestRequestsOfHTTP1(t *testing.T) {
	t.Parallel()
	g, list := serveTargets(t)
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for id, a := range attacks1() {
				if !a.over1 || f.protocol == plan.HTTP11 {
					g.attack1(t, f, a, id)
				}
			}
			f.clean(t)
		})
	}
}

func (g *gateway) attack1(t *testing.T, f target, a attack, id int) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s\nsent: %.300q", a.name, fmt.Sprintf(format, args...), marked(a.raw, f.host, id))
	}
	before := len(f.seen.Requests())
	address := g.plain
	if id%4 == 3 {
		address = g.secure
	}
	conn := g.dial(t, address)
	defer conn.Close()
	_, err := io.WriteString(conn, marked(a.raw+canary, f.host, id))
	check(t, err)
	in := bufio.NewReader(conn)
	var want []string
	for _, r := range a.reads {
		want = append(want, marked(r, f.host, id))
	}
	own := marked(said("GET", "/canary", ""), f.host, id)
	switch {
	case a.status != 0:
		if got := answers(in, want); !slices.Equal(got, want) {
			fail("answers %q, want %q", got, want)
		}
		if got := refusal(in); got != fmt.Sprint(a.status, " ", reasonOf(a.status)) {
			fail("%s, want %d", got, a.status)
		}
	case a.ends:
		if got := append(answers(in, want), end(in)); !slices.Equal(got, append(want, "end")) {
			fail("answers %q, want %q", got, append(want, "end"))
		}
	default:
		want = append(want, own)
		if got := answers(in, want); !slices.Equal(got, want) {
			fail("answers %q, want %q", got, want)
		}
	}
	other := g.dial(t, g.plain)
	defer other.Close()
	_, err = io.WriteString(other, marked(canary, f.host, id))
	check(t, err)
	want = append(want, own)
	if got := answers(bufio.NewReader(other), []string{own}); got[0] != own {
		fail("the next client is answered %q", got)
	}
	whole, torn := f.since(before, id)
	if !slices.Equal(whole, want) {
		fail("the far side read %q, want %q", whole, want)
	}
	if torn > 0 && !a.late {
		fail("the far side began to read a request")
	}
}

// answers reads the answers to requests of which each is known, and stops at the first that is another.
func answers(in *bufio.Reader, want []string) (got []string) {
	for _, w := range want {
		method, _, _ := strings.Cut(w, " ")
		status, body, err := answer(in, method)
		switch {
		case err != nil:
			return append(got, err.Error())
		case status != http.StatusOK:
			return append(got, fmt.Sprint(status, " ", reasonIn(body)))
		}
		if got = append(got, body); body != w {
			break
		}
	}
	return got
}

// answer reads the next answer that is final.
func answer(in *bufio.Reader, method string) (status int, body string, err error) {
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return 0, "", err
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode >= http.StatusOK {
			return res.StatusCode, string(text), err
		}
	}
}

// refusal reads one answer that says that it is the last, and the connection's end. It is the status with the reason.
func refusal(in *bufio.Reader) string {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch got := fmt.Sprint(res.StatusCode, " ", reasonIn(string(body))); {
	case err != nil:
		return got + " " + err.Error()
	case !res.Close:
		return got + " without Connection: close"
	case end(in) != "end":
		return got + " and then " + end(in)
	default:
		return got
	}
}

// end is "end" where the connection ends in order, and else what comes.
func end(in io.Reader) string {
	switch rest, err := io.ReadAll(in); {
	case err != nil:
		return err.Error()
	case len(rest) > 0:
		return fmt.Sprintf("%.200q", rest)
	}
	return "end"
}

func reasonIn(body string) string {
	var document struct{ Reason string }
	_ = json.Unmarshal([]byte(body), &document) // what is none has no reason
	return document.Reason
}

// reasonOf is the reason that docs/protocols.md has beside a status.
func reasonOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return "route_not_found"
	case http.StatusRequestHeaderFieldsTooLarge:
		return "head_too_large"
	case http.StatusBadGateway:
		return "upstream_invalid"
	}
	return "bad_request"
}

// since are the requests from the nth on that came whole, and how many of the attack did not.
func (f target) since(n, id int) (whole []string, torn int) {
	mark := fmt.Sprintf("%05d", id)
	for _, r := range f.seen.Requests()[n:] {
		switch {
		case r.Complete:
			whole = append(whole, said(r.Method, r.Target, string(r.Body)))
		case strings.Contains(r.Target, mark): // another's may come late
			torn++
		}
	}
	return whole, torn
}

// clean holds what reached a far side of HTTP/1.1, straight from the gateway, to the form that has one reading.
func (f target) clean(t *testing.T) {
	t.Helper()
	if f.address != f.seen.Addr() || f.protocol != plan.HTTP11 {
		return
	}
	for _, r := range f.seen.Requests() {
		lengths := append(r.Values("Content-Length"), r.Values("Transfer-Encoding")...)
		ends, controls := strings.Count(r.Head, "\r\n"), strings.ContainsFunc(strings.ReplaceAll(r.Head, "\r\n", ""), func(c rune) bool { return c < ' ' && c != '\t' })
		if len(lengths) > 1 || len(r.Values("Host")) != 1 || ends != strings.Count(r.Head, "\n") || controls || len(r.Values("HTTP2-Settings")) > 0 {
			t.Errorf("went out: %q", r.Head)
		}
		for name := range strings.SplitSeq(strings.Join(append(r.Values("Trailer"), r.Trailers...), ","), ",") {
			if name, _, _ = strings.Cut(name, ":"); http1.ForbiddenTrailer(strings.TrimSpace(name)) {
				t.Errorf("went out: %q %q", r.Head, r.Trailers)
			}
		}
		for _, upgrade := range r.Values("Upgrade") {
			if http1.UpgradesHTTP(upgrade) {
				t.Errorf("went out: %q", r.Head)
			}
		}
	}
}
