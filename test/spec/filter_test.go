package spec_test

import "testing"

// headerModifiers are RequestHeaderModifier and ResponseHeaderModifier, of rules and of backendRefs.
func headerModifiers(t *testing.T, w *world) {
	f := func(row, filters string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{filters: ["+filters+"], backendRefs: [{one}]}]", lines...)
	}
	f("HTTPHeaderFilter.set: writes over what there is", `{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: ours}]}}`,
		"GET / -> one {X-Set: ours}", "GET / {x-set: theirs; X-Set: more; X-Other: 1} -> one {X-Set: ours; X-Other: 1}")
	f("HTTPHeaderFilter.add: appends to what there is", `{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-Add, value: ours}]}}`,
		"GET / -> one {X-Add: ours}", "GET / {X-Add: theirs} -> one {X-Add: theirs, ours}")
	f("HTTPHeaderFilter.remove: without case", `{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-REMOVE, X-Absent]}}`,
		"GET / {X-Remove: 1; X-Remove: 2; X-Removed: 3} -> one {-X-Remove; X-Removed: 3}", "GET / -> one {-X-Remove}")
	f("HTTPRouteFilter.requestHeaderModifier: set, add and remove at once", `
{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: a}, {name: X-Set2, value: b}], add: [{name: X-Add, value: c}, {name: X-Add2, value: d}], remove: [X-Gone, X-Gone2]}}`,
		"POST /p?q=1 {X-Set: 1; X-Add: 2; X-Gone: 3; X-Gone2: 4; X-Kept: 5} -> one {X-Set: a; X-Set2: b; X-Add: 2, c; X-Add2: d; -X-Gone; -X-Gone2; X-Kept: 5}")
	f("HTTPHeader.value: kept as written", `{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: "a, b;c=\"d\" %20"}]}}`, `GET / -> one {X-Set: a, b;c="d" %20}`)
	f("HTTPHeader.name: Host is URLRewrite's", `{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: other.test}]}}`, "! Accepted UnsupportedValue", "GET / <- 500")
	f("HTTPRouteFilter.responseHeaderModifier: set, add and remove", `
{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Set, value: a}], add: [{name: X-Add, value: b}], remove: [X-Gone]}}`,
		"GET / {Far-Field: X-Set=1; Far-Field: X-Add=2; Far-Field: X-Gone=3; Far-Field: X-Kept=4} -> one {-X-Set; -X-Add} <- 200 {X-Set: a; X-Add: 2, b; -X-Gone; X-Kept: 4}",
		"HEAD / -> one <- 200 {X-Set: a; X-Add: b; -X-Gone}", "GET / {Far-Status: 503} -> one <- 503 {X-Set: a}")
	f("HTTPRouteRule.filters: request and response, both", `
{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Dir, value: down}]}},
{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Dir, value: up}]}}`,
		"GET / -> one {X-Dir: up} <- 200 {X-Dir: down}")
	f("HTTPRouteFilter.extensionRef: what is not known fails closed", `{type: ExtensionRef, extensionRef: {group: example.com, kind: Unknown, name: x}}`,
		"! Accepted UnsupportedValue", "GET / <- 500")
	backendFilters(t, w)
}

func backendFilters(t *testing.T, w *world) {
	f := func(row, rule string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules:\n- "+rule, lines...)
	}
	f("HTTPBackendRef.filters: of the backend that is picked alone", `
  matches: [{path: {value: /a}}]
  backendRefs:
  - {one, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Backend, value: one}]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-By, value: one}]}}]}
  - {two, weight: 0, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Other, value: two}]}}]}
- backendRefs: [{two}]`,
		"GET /a {X-Backend: 1} -> one {X-Backend: one; -X-Other} <- 200 {X-By: one}", "GET / -> two {-X-Backend; -X-Other} <- 200 {-X-By}")
	f("HTTPBackendRef.filters: what is for whole rules fails closed", `
  backendRefs: [{one, filters: [{type: RequestMirror, requestMirror: {backendRef: {two}}}]}]`, "! Accepted UnsupportedValue", "GET / <- 500")
	f("HTTPBackendRef.filters: after those of the rule", `
  filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-A, value: rule}]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-B, value: rule}]}}]
  backendRefs: [{one, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-A, value: backend}]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-B, value: backend}]}}]}]`,
		"GET / {X-A: 1} -> one {X-A: 1, rule, backend} <- 200 {X-B: rule, backend}")
}

// redirects are answered without a backend.
func redirects(t *testing.T, w *world) {
	f := func(row, redirect string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{matches: [{path: {value: /old}}], filters: [{type: RequestRedirect, requestRedirect: {"+redirect+"}}]}]", lines...)
	}
	at := func(port string) string { return w.expand.Replace("$" + port) }
	f("HTTPRequestRedirectFilter.hostname: with the listener's scheme and port", `hostname: example.org`,
		"http: GET /old?a=b <- 302 {Location: http://example.org:"+at("http")+"/old?a=b}", "https: GET /old/x <- 302 {Location: https://example.org:"+at("https")+"/old/x}",
		"POST /old <- 302", "GET / <- 404")
	f("HTTPRequestRedirectFilter.scheme: with its well-known port, which is not written", `scheme: https`,
		"GET a.test:8080/old <- 302 {Location: https://a.test/old}")
	f("HTTPRequestRedirectFilter.scheme: http on HTTPS", `scheme: http, hostname: example.org`, "https: GET /old <- 302 {Location: http://example.org/old}")
	f("HTTPRequestRedirectFilter.port: with the scheme's is not written", `scheme: https, port: 443, hostname: example.org`, "GET /old <- 302 {Location: https://example.org/old}")
	f("HTTPRequestRedirectFilter.port: of a scheme", `scheme: https, port: 8443, hostname: example.org`, "GET /old <- 302 {Location: https://example.org:8443/old}")
	f("HTTPRequestRedirectFilter.port: without a scheme", `port: 8083`,
		"http: GET a.test:1/old <- 302 {Location: http://a.test:8083/old}", "https: GET a.test/old <- 302 {Location: https://a.test:8083/old}")
	f("HTTPRequestRedirectFilter.port: 80 on HTTP, 443 on HTTPS", `port: 80`, "http: GET a.test/old <- 302 {Location: http://a.test/old}",
		"https: GET a.test/old <- 302 {Location: https://a.test:80/old}")
	f("HTTPRequestRedirectFilter.path: ReplaceFullPath", `scheme: https, path: {type: ReplaceFullPath, replaceFullPath: /new}`,
		"GET a.test/old/x?q=1 <- 302 {Location: https://a.test/new?q=1}")
	f("HTTPRequestRedirectFilter.path: ReplacePrefixMatch", `scheme: https, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}`,
		"GET a.test/old/lemon <- 302 {Location: https://a.test/new/lemon}", "GET a.test/old <- 302 {Location: https://a.test/new}", "GET a.test/older <- 404")
	f("HTTPRequestRedirectFilter.path: with hostname and status", `scheme: https, hostname: example.org, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /new}`,
		"GET /old/x <- 301 {Location: https://example.org/new}")
	for _, code := range []string{"301", "302", "303", "307", "308"} {
		f("HTTPRequestRedirectFilter.statusCode: "+code, "scheme: https, statusCode: "+code, "GET a.test/old <- "+code+" {Location: https://a.test/old}", "PUT a.test/old <- "+code)
	}
	w.row(t, "HTTPRouteFilter.requestRedirect: with response headers", `
rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}, {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Set, value: a}]}}]}]`,
		"GET a.test/ <- 302 {Location: https://a.test/; X-Set: a}")
}

// rewrites change what the backend is asked.
func rewrites(t *testing.T, w *world) {
	f := func(row, match, rewrite string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{matches: [{path: {value: "+match+"}}], filters: [{type: URLRewrite, urlRewrite: {"+rewrite+"}}], backendRefs: [{one}]}]", lines...)
	}
	f("HTTPURLRewriteFilter.hostname", `/`, `hostname: one.example.org`, "GET a.test/x?q -> one {Host: one.example.org}", "POST a.test:81/ -> one {Host: one.example.org}")
	f("HTTPURLRewriteFilter.path: ReplaceFullPath", `/full`, `path: {type: ReplaceFullPath, replaceFullPath: /one}`,
		"GET /full -> one /one", "GET /full/one/two?q=1 -> one /one?q=1", "POST /full/ -> one /one")
	f("HTTPURLRewriteFilter.path: ReplacePrefixMatch", `/prefix/one`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}`,
		"GET /prefix/one/two?q -> one /one/two?q", "GET /prefix/one -> one /one", "GET /prefix/one/ -> one /one/", "GET /prefix/onetwo <- 404")
	f("HTTPURLRewriteFilter.path: both, hostname and path", `/prefix`, `hostname: one.example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /p}`,
		"GET /prefix/x -> one /p/x {Host: one.example.org}")
	f("HTTPPathModifier.type: ReplaceFullPath with an empty path", `/a`, `path: {type: ReplaceFullPath, replaceFullPath: ""}`, "GET /a/b?q -> one /?q")
	f("HTTPPathModifier.replaceFullPath: escapes stay", `/a`, `path: {type: ReplaceFullPath, replaceFullPath: "/x%2Fy"}`, "GET /a -> one /x%2Fy")
	// The table of the field's own comment.
	f("HTTPPathModifier.replacePrefixMatch: /foo to /xyz", `/foo`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz}`,
		"GET /foo/bar -> one /xyz/bar", "GET /foo -> one /xyz", "GET /foo/ -> one /xyz/")
	f("HTTPPathModifier.replacePrefixMatch: /foo to /xyz/", `/foo`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz/}`, "GET /foo/bar -> one /xyz/bar")
	f("HTTPPathModifier.replacePrefixMatch: /foo/ to /xyz", `/foo/`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz}`, "GET /foo/bar -> one /xyz/bar")
	f("HTTPPathModifier.replacePrefixMatch: /foo/ to /xyz/", `/foo/`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz/}`, "GET /foo/bar -> one /xyz/bar")
	f("HTTPPathModifier.replacePrefixMatch: /foo to nothing", `/foo`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: ""}`,
		"GET /foo/bar -> one /bar", "GET /foo/ -> one /", "GET /foo -> one /")
	f("HTTPPathModifier.replacePrefixMatch: /foo to /", `/foo`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /}`, "GET /foo/ -> one /", "GET /foo -> one /", "GET /foo/bar -> one /bar")
	f("HTTPPathModifier.replacePrefixMatch: / to /xyz", `/`, `path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz}`, "GET /a -> one /xyz/a")
	w.row(t, "HTTPRouteFilter.urlRewrite: with header modifiers", `
rules:
- matches: [{path: {value: /full}}]
  filters:
  - {type: URLRewrite, urlRewrite: {hostname: test.example.org, path: {type: ReplaceFullPath, replaceFullPath: /test}}}
  - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: a}], add: [{name: X-Add, value: b}], remove: [X-Gone]}}
  backendRefs: [{one}]`,
		"GET /full/x {X-Add: 1; X-Gone: 2} -> one /test {Host: test.example.org; X-Set: a; X-Add: 1, b; -X-Gone}")
}
