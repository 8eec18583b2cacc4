package spec_test

import (
	"net/http"
	"strings"
	"testing"
)

// sessions keep a client on the endpoint that answered first (GEP-1619).
func sessions(t *testing.T, w *world) {
	const asked = 12 // that many requests without a session go to three endpoints in turn
	f := func(row, route, line string, carrier func(*http.Response) []string, look func(*http.Response) bool) {
		t.Helper()
		w.serve(t, row, route)
		over := []*client{w.client("http", 1), w.client("http", 2), w.client("https", 2)}
		if strings.HasPrefix(line, "CALL") {
			over = over[1:]
		}
		for _, c := range over {
			first, _ := w.exchange(t, c, parse(t, line))
			by := first.Header.Get("X-Far")
			if first.StatusCode != http.StatusOK || !look(first) {
				t.Errorf("%s: HTTP/%d: %s %v", row, c.version, first.Status, first.Header)
			}
			token := carrier(first)
			others := map[string]bool{}
			for range asked {
				a := parse(t, line)
				fresh, _ := w.exchange(t, c, a)
				others[fresh.Header.Get("X-Far")] = true
				a.fields = append(a.fields, field{"Cookie", "theirs=1"}, field{token[0], token[1]})
				if again, _ := w.exchange(t, c, a); again.Header.Get("X-Far") != by {
					t.Errorf("%s: HTTP/%d: %s answered, and then %s", row, c.version, by, again.Header.Get("X-Far"))
				}
			}
			if len(others) < 2 {
				t.Errorf("%s: HTTP/%d: without a session %v answered", row, c.version, others)
			}
		}
	}
	cookie := func(res *http.Response) []string {
		set, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
		return []string{"Cookie", set}
	}
	says := func(parts ...string) func(*http.Response) bool {
		return func(res *http.Response) bool {
			for _, part := range parts {
				if !strings.Contains(res.Header.Get("Set-Cookie")+";", part) {
					return false
				}
			}
			return true
		}
	}
	rule := func(session, backends string) string {
		return "rules: [{sessionPersistence: {" + session + "}, backendRefs: [" + backends + "]}]"
	}
	const many = `{name: many, port: 80}`
	f("HTTPRouteRule.sessionPersistence: a cookie of the browser's session is the default", rule(``, many), "GET /", cookie, func(res *http.Response) bool {
		return says("=", "HttpOnly;")(res) && !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age")
	})
	f("SessionPersistence.type: Cookie", rule(`type: Cookie, sessionName: mine`, many), "GET /", cookie, says("mine="))
	f("SessionPersistence.sessionName: of the cookie", rule(`sessionName: mine`, many), "POST /", cookie, says("mine="))
	f("SessionPersistence.cookieConfig: Permanent, the cookie lives as long", rule(`sessionName: mine, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}`, many), "GET /",
		cookie, says("mine=", "Max-Age=3600;"))
	f("CookieConfig.lifetimeType: Session is the default", rule(`sessionName: mine, absoluteTimeout: 1h, cookieConfig: {}`, many), "GET /", cookie, func(res *http.Response) bool {
		return !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age")
	})
	f("SessionPersistence.absoluteTimeout: within it", rule(`absoluteTimeout: 1h`, many), "GET /", cookie, says("="))
	header := func(res *http.Response) []string { return []string{"X-Session", res.Header.Get("X-Session")} }
	f("SessionPersistence.type: Header", rule(`type: Header, sessionName: X-Session`, many), "GET /", header, func(res *http.Response) bool {
		return res.Header.Get("X-Session") != "" && res.Header.Get("Set-Cookie") == ""
	})
	f("HTTPRouteRule.sessionPersistence: over weighted backends too", rule(``, `{one}, {two}`), "GET /", cookie, says("="))
	f("GRPCRouteRule.sessionPersistence: a field of the metadata", grpcRoutes("rules: [{sessionPersistence: {type: Header, sessionName: x-session}, backendRefs: ["+many+"]}]"), "CALL /a/B", header,
		func(res *http.Response) bool { return res.Header.Get("X-Session") != "" })
	f("GRPCRouteRule.sessionPersistence: a cookie", grpcRoutes("rules: [{sessionPersistence: {}, backendRefs: ["+many+"]}]"), "CALL /a/B", cookie, says("="))

	w.row(t, "HTTPRouteRule.sessionPersistence: the token is between client and gateway", rule(`sessionName: mine`, `{one}`),
		"GET / {Cookie: theirs=1} -> one {Cookie: theirs=1}", "GET / {Cookie: mine=x} -> one {-Cookie}")
	w.row(t, "HTTPRouteRule.sessionPersistence: left out, no session", `rules: [{backendRefs: [{one}]}]`, "GET / -> one <- 200 {-Set-Cookie}")
}
