package session

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

const rule = "HTTPRoute/ai/chat#0"

var (
	start    = time.Unix(1_800_000_000, 0)
	address  = netip.MustParseAddrPort("10.0.0.1:8080")
	byCookie = plan.Session{Type: plan.SessionCookie, Name: "s"}
	byField  = plan.Session{Type: plan.SessionHeader, Name: "X-Session"}
)

func header(pairs ...string) *exchange.Header {
	h := &exchange.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// issued is what the session tells a new client.
func issued(s *Session, at time.Time) (field exchange.Field, text string) {
	var res exchange.Header
	s.Write(&res, Token{}, s.Backend("b"), s.Endpoint("b", address), false, at)
	field = res.Fields()[0]
	text, _, _ = strings.Cut(strings.TrimPrefix(field.Value, "s="), ";")
	return field, text
}

func TestATokenNamesWhatAnswered(t *testing.T) {
	for _, p := range []plan.Session{byCookie, byField} {
		s := New(&p, rule)
		_, text := issued(s, start)
		req := header("X-Session", text)
		if p.Type == plan.SessionCookie {
			req = header("Cookie", "a=b; s="+text)
		}
		token, ok := New(&p, rule).Read(req, start.Add(1000*time.Hour)) // another replica's
		if !ok || !token.Backend(s.Backend("b")) || !token.Endpoint(s.Endpoint("b", address)) {
			t.Fatalf("%s: %+v, %t", p.Type, token, ok)
		}
		other := New(&p, "HTTPRoute/ai/chat#1")
		if token.Backend(s.Backend("c")) || token.Endpoint(s.Endpoint("c", address)) || token.Endpoint(s.Endpoint("b", netip.MustParseAddrPort("10.0.0.1:8081"))) ||
			token.Backend(other.Backend("b")) || token.Endpoint(other.Endpoint("b", address)) || token.Backend(ID{}) {
			t.Error("a token names what did not answer")
		}
	}
}

func TestATokenWithoutAnEndpointNamesNone(t *testing.T) {
	s := New(&byField, rule)
	var res exchange.Header
	s.Write(&res, Token{}, s.Backend("b"), ID{}, false, start)
	token, ok := s.Read(&res, start)
	if !ok || !token.Backend(s.Backend("b")) || token.Endpoint(ID{}) || token.Endpoint(s.Endpoint("b", address)) {
		t.Errorf("%+v %t", token, ok)
	}
}

func TestReadRefuses(t *testing.T) {
	_, text := issued(New(&byCookie, rule), start)
	_, later := issued(New(&byCookie, rule), start.Add(time.Second))
	f := func(p plan.Session, want bool, pairs ...string) {
		t.Helper()
		if _, ok := New(&p, rule).Read(header(pairs...), start); ok != want {
			t.Errorf("%s %q: %t", p.Type, pairs, ok)
		}
	}
	f(byCookie, true, "cookie", "s="+text)
	f(byCookie, true, "Cookie", "a=1;s="+text+" ;b")
	f(byCookie, true, "Cookie", "a=1", "Cookie", "s="+text)
	f(byCookie, true, "Cookie", "s="+text+"; s="+text)
	f(byCookie, false, "Cookie", "s="+text+"; s="+later)
	f(byCookie, false, "Cookie", "s="+text, "Cookie", "s=x")
	f(byCookie, false, "Cookie", "S="+text)
	f(byCookie, false, "Cookie", "xs="+text)
	f(byCookie, false, "Cookie", `s="`+text+`"`)
	f(byCookie, false, "Cookie", "s")
	f(byCookie, false, "Cookie", "s=")
	f(byCookie, false, "Cookie", text)
	f(byCookie, false, "s", text)
	f(byCookie, false)
	f(byField, true, "x-session", text)
	f(byField, true, "X-Session", text, "x-session", text)
	f(byField, false, "X-Session", text, "X-Session", later)
	f(byField, false, "Cookie", "X-Session="+text)
	f(byField, false, "X-Session", text+"A")
	f(byField, false, "X-Session", text[1:])
	f(byField, false, "X-Session", "B"+text[1:]) // another version
	f(byField, false, "X-Session", text[:len(text)-1]+"\n")
	f(byField, false, "X-Session", text[:len(text)-1]+"_") // bits that mean nothing
	f(byField, false, "X-Session", strings.Repeat("A", length))
	f(byField, false, "X-Session", (&Token{issued: uint32(start.Unix()), seen: uint32(start.Unix())}).text()) // no backend
}

func TestExpiry(t *testing.T) {
	f := func(absolute, idle, age, silence time.Duration, want bool) {
		t.Helper()
		p := plan.Session{Type: plan.SessionHeader, Name: "X", Absolute: absolute, Idle: idle}
		s := New(&p, rule)
		token := Token{issued: uint32(start.Add(-age).Unix()), seen: uint32(start.Add(-silence).Unix()), backend: s.Backend("b")}
		if _, ok := s.Read(header("X", token.text()), start); ok != want {
			t.Errorf("absolute %s, idle %s: a session of %s, silent for %s, is in force: %t", absolute, idle, age, silence, ok)
		}
	}
	const m, h = time.Minute, time.Hour
	f(0, 0, 10_000*h, 10_000*h, true)
	f(h, 0, h-time.Second, h-time.Second, true)
	f(h, 0, h, 0, false)
	f(0, m, h, 59*time.Second, true)
	f(0, m, h, m, false)
	f(h, m, h, 0, false)
	f(h, m, m, m, false)
	f(h, 0, -m, -m, true) // another replica's clock
	f(h, 0, -m-time.Second, -m-time.Second, false)
	f(h, 0, m, m+time.Second, false) // renewed before it began
	f(time.Millisecond, 0, 0, 0, true)
}

func TestWrite(t *testing.T) {
	var s *Session
	var token Token
	f := func(p plan.Session, had bool, endpoint string, secure bool, after time.Duration, want string) {
		t.Helper()
		s = New(&p, rule)
		token = Token{}
		if had {
			_, text := issued(s, start)
			var ok bool
			if token, ok = parse(text); !ok {
				t.Fatal("no token")
			}
		}
		var res exchange.Header
		s.Write(&res, token, s.Backend("b"), s.Endpoint("b", netip.MustParseAddrPort(endpoint)), secure, start.Add(after))
		got := ""
		for name, value := range res.All() {
			got += name + ": " + value
		}
		now := func(issued, seen time.Duration) string {
			next := Token{uint32(start.Add(issued).Unix()), uint32(start.Add(seen).Unix()), s.Backend("b"), s.Endpoint("b", netip.MustParseAddrPort(endpoint))}
			return next.text()
		}
		want = strings.NewReplacer("NEW", now(after, after), "RENEWED", now(0, after)).Replace(want)
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	const same, other = "10.0.0.1:8080", "10.0.0.2:8080"
	f(byCookie, false, same, false, 0, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax")
	f(byCookie, false, same, true, 0, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax; Secure")
	f(byCookie, true, same, false, time.Hour, "")
	f(byCookie, true, other, false, time.Hour, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax")
	f(byField, false, same, true, 0, "X-Session: NEW")
	f(byField, true, same, true, time.Hour, "")

	idle := byCookie
	idle.Idle = 2 * time.Hour
	f(idle, true, same, false, time.Hour, "Set-Cookie: s=RENEWED; Path=/; HttpOnly; SameSite=Lax")
	f(idle, true, same, false, 0, "")
	f(idle, true, other, false, time.Hour, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax")

	permanent := byCookie
	permanent.Permanent, permanent.Absolute = true, 3*time.Hour
	f(permanent, false, same, false, 0, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax; Max-Age=10800")
	permanent.Idle = 2 * time.Hour
	f(permanent, true, same, true, time.Hour, "Set-Cookie: s=RENEWED; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=7200")
	permanent.Absolute = time.Millisecond
	f(permanent, false, same, false, 0, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax; Max-Age=1")
	limited := byCookie
	limited.Absolute = time.Hour
	f(limited, false, same, false, 0, "Set-Cookie: s=NEW; Path=/; HttpOnly; SameSite=Lax")
}

func TestWriteReplacesTheDestinationsField(t *testing.T) {
	res := header("x-session", "theirs")
	s := New(&byField, rule)
	s.Write(res, Token{}, s.Backend("b"), ID{}, false, start)
	if values := res.Values("X-Session"); len(values) != 1 || values[0] == "theirs" {
		t.Error(values)
	}
}

func TestTokensGiveNoAddressAway(t *testing.T) {
	_, text := issued(New(&byCookie, rule), start)
	if len(text) != length || strings.ContainsAny(text, ".:;, =\"") {
		t.Error(text)
	}
	// The form is the same on every replica and in every version: a change here ends every session.
	if want := "AWtJ0gBrSdIA"; !strings.HasPrefix(text, want) {
		t.Errorf("%s does not begin with %s", text, want)
	}
}

func TestStrip(t *testing.T) {
	f := func(p plan.Session, h *exchange.Header, want ...string) {
		t.Helper()
		New(&p, rule).Strip(h)
		if diff := cmp.Diff(header(want...).Fields(), h.Fields()); diff != "" {
			t.Error(diff)
		}
	}
	f(byCookie, header("A", "1", "Cookie", "s=x", "B", "2"), "A", "1", "B", "2")
	f(byCookie, header("Cookie", "a=1; s=x; b=2"), "Cookie", "a=1; b=2")
	f(byCookie, header("Cookie", "s=x; a=1;b = 2 ;; c"), "Cookie", "a=1;b = 2 ;; c")
	f(byCookie, header("Cookie", "a=1; s=x"), "Cookie", "a=1")
	f(byCookie, header("Cookie", "s=x; s=y; a=1; s=z"), "Cookie", "a=1")
	f(byCookie, header("cookie", "s=x", "Cookie", "a=1"), "Cookie", "a=1")
	f(byCookie, header("Cookie", " a=s=x; S=x; xs=1;s"), "Cookie", " a=s=x; S=x; xs=1;s")
	f(byCookie, header("Cookie", ""), "Cookie", "")
	f(byCookie, header("X-Session", "x", "s", "x"), "X-Session", "x", "s", "x")
	f(byField, header("X-Session", "x", "x-session", "y", "Cookie", "X-Session=1"), "Cookie", "X-Session=1")
}

func TestReadAllocates(t *testing.T) {
	s := New(&byCookie, rule)
	_, text := issued(s, start)
	req := header("Accept", "*/*", "Cookie", "a=b; s="+text+"; c=d")
	without := header("Cookie", "a=b; c=d")
	if n := testing.AllocsPerRun(100, func() { s.Read(req, start); s.Read(without, start); s.Strip(without) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCookies(f *testing.F) {
	s := New(&byCookie, rule)
	_, text := issued(s, start)
	for _, seed := range []string{"", "s=" + text, "a=1; s=" + text + ";b", "s=; s", ";;=s=;s = x", "s=" + strings.Repeat("A", length)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		h := header("Cookie", value)
		token, ok := s.Read(h, start)
		if ok && !strings.Contains(value, token.text()) {
			t.Errorf("%q holds %+v", value, token)
		}
		var kept []string
		for pair := range strings.SplitSeq(value, ";") {
			if name, _, found := strings.Cut(pair, "="); !found || strings.Trim(name, " \t") != "s" {
				kept = append(kept, pair)
			}
		}
		changed := len(kept) != strings.Count(value, ";")+1
		want := strings.Join(kept, ";")
		if changed {
			want = strings.TrimLeft(want, " \t")
		}
		s.Strip(h)
		if got := h.Get("Cookie"); got != want || changed && want == "" && h.Len() > 0 {
			t.Errorf("%q became %q of %s fields, want %q", value, got, strconv.Itoa(h.Len()), want)
		}
		if _, ok := s.carried(h); ok {
			t.Errorf("%q still holds a session", h.Get("Cookie"))
		}
	})
}
