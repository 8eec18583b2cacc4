package spec_test

import "testing"

// matches are the conditions of an HTTPRoute's rules.
func matches(t *testing.T, w *world) {
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	f("HTTPRouteRule.matches: none, every request", `
rules:
- backendRefs: [{one}]`,
		"GET / -> one", "DELETE /any/path?a=b -> one", "POST / {X-A: 1} -> one")
	f("HTTPRouteRule.matches: several, OR", `
rules:
- matches: [{path: {value: /foo}, headers: [{name: version, value: v2}]}, {path: {value: /v2/foo}}]
  backendRefs: [{one}]`,
		"GET /foo {version: v2} -> one", "GET /v2/foo -> one", "GET /v2/foo {version: v1} -> one",
		"GET /foo <- 404", "GET /foo {version: v1} <- 404", "GET / {version: v2} <- 404")
	f("HTTPRouteSpec.rules: several, each with its matches", `
rules:
- {matches: [{path: {value: /a}}], backendRefs: [{one}]}
- {matches: [{path: {value: /b}}], backendRefs: [{two}]}`,
		"GET /a -> one", "GET /b -> two", "GET /c <- 404", "HEAD /c <- 404")
	paths(t, w)

	f("HTTPRouteMatch.method", `
rules:
- {matches: [{method: POST}], backendRefs: [{one}]}
- {matches: [{method: PATCH}, {method: HEAD}], backendRefs: [{two}]}`,
		"POST / -> one", "PATCH / -> two", "HEAD / -> two", "GET / <- 404", "PUT / <- 404", "QUERY / <- 404")
	f("HTTPRouteMatch.method: ANDed with the path", `
rules:
- {matches: [{method: GET, path: {value: /a}}], backendRefs: [{one}]}`,
		"GET /a -> one", "PUT /a <- 404", "GET /b <- 404")
	conditions(t, w)
}

func paths(t *testing.T, w *world) {
	f := func(row, path string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{matches: [{path: {"+path+"}}], backendRefs: [{one}]}]", lines...)
	}
	f("HTTPPathMatch.type: Exact", `type: Exact, value: /one`,
		"GET /one -> one", "GET /one?a=b -> one", "GET /one/ <- 404", "GET /one/two <- 404", "GET /ONE <- 404", "GET / <- 404", "GET /on%65 -> one /one")
	f("HTTPPathMatch.type: Exact, trailing slash", `type: Exact, value: /one/`, "GET /one/ -> one", "GET /one <- 404")
	f("HTTPPathMatch.type: PathPrefix, whole segments", `type: PathPrefix, value: /abc`,
		"GET /abc -> one", "GET /abc/ -> one", "GET /abc/def -> one", "GET /abcd <- 404", "GET /ABC <- 404", "GET /x/abc <- 404", "GET /abc?d -> one")
	f("HTTPPathMatch.type: PathPrefix, its trailing slash ignored", `type: PathPrefix, value: /abc/`,
		"GET /abc -> one", "GET /abc/ -> one", "GET /abc/def -> one", "GET /abcd <- 404")
	f("HTTPPathMatch.type: PathPrefix is the default", `value: /abc`, "GET /abc/def -> one", "GET /abcd <- 404")
	f("HTTPPathMatch.value: / is the default", `type: PathPrefix`, "GET / -> one", "GET /any/path -> one", "OPTIONS / -> one")
	f("HTTPPathMatch.type: RegularExpression, the whole path", `type: RegularExpression, value: "/v[0-9]+/(chat|embed)"`,
		"GET /v1/chat -> one", "GET /v22/embed?a -> one", "GET /v1/chat/x <- 404", "GET /x/v1/chat <- 404", "GET /v/chat <- 404")
	f("HTTPPathMatch.value: what was matched is what is sent", `type: PathPrefix, value: /a`,
		"GET /a%2Fb <- 404", "GET /a/%2F%7e?%7e -> one /a/%2F~?%7e", "GET /x/../a/./b -> one /a/b")
}

// conditions are those on headers and query parameters.
func conditions(t *testing.T, w *world) {
	f := func(row, match string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{matches: [{"+match+"}], backendRefs: [{one}]}]", lines...)
	}
	f("HTTPRouteMatch.headers: several, AND", `headers: [{name: version, value: two}, {name: color, value: orange}]`,
		"GET / {Version: two; Color: orange} -> one", "GET / {Version: two} <- 404", "GET / {Color: orange} <- 404", "GET / {Version: two; Color: blue} <- 404")
	f("HTTPHeaderMatch.name: without case", `headers: [{name: X-Mixed-Case, value: a}]`, "GET / {x-mixed-CASE: a} -> one", "GET / {x-mixed: a} <- 404")
	f("HTTPHeaderMatch.name: of equal names the first counts", `headers: [{name: x-a, value: "1"}, {name: X-A, value: "2"}]`,
		"GET / {X-A: 1} -> one", "GET / {X-A: 2} <- 404")
	f("HTTPHeaderMatch.name: repeated in the request, the combined value", `headers: [{name: x-a, value: "1, 2"}]`,
		"GET / {X-A: 1; X-A: 2} -> one", "GET / {X-A: 1, 2} -> one", "GET / {X-A: 1} <- 404", "GET / {X-A: 2; X-A: 1} <- 404")
	f("HTTPHeaderMatch.type: Exact is the default", `headers: [{name: x-a, value: a.c}]`, "GET / {X-A: a.c} -> one", "GET / {X-A: abc} <- 404", "GET / {X-A: A.C} <- 404")
	f("HTTPHeaderMatch.type: RegularExpression, the whole value", `headers: [{name: x-a, type: RegularExpression, value: "a.c|d+"}]`,
		"GET / {X-A: abc} -> one", "GET / {X-A: ddd} -> one", "GET / {X-A: abcd} <- 404", "GET / <- 404")
	f("HTTPHeaderMatch.value: case matters", `headers: [{name: x-a, value: Abc}]`, "GET / {X-A: Abc} -> one", "GET / {X-A: abc} <- 404", "GET / {X-A: Abcd} <- 404")

	f("HTTPRouteMatch.queryParams: several, AND", `queryParams: [{name: animal, value: dolphin}, {name: color, value: blue}]`,
		"GET /?animal=dolphin&color=blue -> one", "GET /?color=blue&x=y&animal=dolphin -> one", "GET /?animal=dolphin <- 404", "GET /?color=blue <- 404",
		"GET / {animal: dolphin; color: blue} <- 404")
	f("HTTPQueryParamMatch.name: with case", `queryParams: [{name: Animal, value: whale}]`,
		"GET /?Animal=whale -> one", "GET /?animal=whale <- 404", "GET /?ANIMAL=whale <- 404")
	f("HTTPQueryParamMatch.name: of equal names the first counts, in the request too", `queryParams: [{name: a, value: "1"}, {name: b, value: "2"}]`,
		"GET /?a=1&b=2&a=3 -> one", "GET /?a=3&a=1&b=2 <- 404")
	f("HTTPQueryParamMatch.type: Exact is the default", `queryParams: [{name: animal, value: whale}]`,
		"GET /?animal=whale -> one", "GET /?animal=whales <- 404", "GET /?animal=Whale <- 404", "GET /?animal <- 404", "GET / <- 404")
	f("HTTPQueryParamMatch.type: RegularExpression, the whole value", `queryParams: [{name: animal, type: RegularExpression, value: "w.*e"}]`,
		"GET /?animal=whale -> one", "GET /?animal=whales <- 404")
	f("HTTPQueryParamMatch.value: escapes decoded", `queryParams: [{name: animal, value: "w h&le"}]`, "GET /?animal=w%20h%26le -> one", "GET /?animal=w%20h&le <- 404")
	f("HTTPRouteMatch.path: ANDed with headers and query parameters", `path: {value: /a}, headers: [{name: x-a, value: "1"}], queryParams: [{name: b, value: "2"}]`,
		"GET /a?b=2 {X-A: 1} -> one", "GET /?b=2 {X-A: 1} <- 404", "GET /a {X-A: 1} <- 404", "GET /a?b=2 <- 404")
	f("HTTPPathMatch.type: an expression that cannot be compiled fails closed", `path: {type: RegularExpression, value: "/("}`,
		"! Accepted UnsupportedValue", "GET / <- 500")
}

// precedence is which of several matches takes a request.
func precedence(t *testing.T, w *world) {
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	f("HTTPRouteRule.matches: Exact before PathPrefix, the longest prefix first, whatever their order", `
rules:
- {matches: [{path: {value: /match}}], backendRefs: [{one}]}
- {matches: [{path: {value: /match/prefix/one}}, {path: {type: Exact, value: /match/exact}}], backendRefs: [{two}]}
- {matches: [{path: {value: /match/exact}}, {path: {value: /}}], backendRefs: [{three}]}`,
		"GET /match -> one", "GET /match/any -> one", "GET /match/prefix/one/any -> two", "GET /match/exact -> two", "GET /match/exact/one -> three", "GET /any -> three")
	f("HTTPRouteRule.matches: a longer prefix before a method", `
rules:
- {matches: [{path: {value: /a}, method: GET, headers: [{name: x-a, value: "1"}]}], backendRefs: [{one}]}
- {matches: [{path: {value: /a/b}}], backendRefs: [{two}]}`,
		"GET /a/b {X-A: 1} -> two", "GET /a {X-A: 1} -> one")
	f("HTTPRouteRule.matches: a method before headers", `
rules:
- {matches: [{headers: [{name: x-a, value: "1"}, {name: x-b, value: "1"}]}], backendRefs: [{one}]}
- {matches: [{method: GET}], backendRefs: [{two}]}`,
		"GET / {X-A: 1; X-B: 1} -> two", "PUT / {X-A: 1; X-B: 1} -> one")
	f("HTTPRouteRule.matches: more headers before more query parameters", `
rules:
- {matches: [{queryParams: [{name: a, value: "1"}, {name: b, value: "1"}]}], backendRefs: [{one}]}
- {matches: [{headers: [{name: x-a, value: "1"}]}], backendRefs: [{two}]}
- {matches: [{headers: [{name: x-a, value: "1"}, {name: x-b, value: "1"}]}], backendRefs: [{three}]}`,
		"GET /?a=1&b=1 -> one", "GET /?a=1&b=1 {X-A: 1} -> two", "GET /?a=1&b=1 {X-A: 1; X-B: 1} -> three")
	f("HTTPRouteRule.matches: more query parameters first", `
rules:
- {matches: [{queryParams: [{name: a, value: "1"}]}], backendRefs: [{one}]}
- {matches: [{queryParams: [{name: a, value: "1"}, {name: b, value: "1"}]}], backendRefs: [{two}]}`,
		"GET /?a=1&b=1 -> two", "GET /?a=1 -> one")
	f("HTTPRouteRule.matches: of equal ones in a route the first rule", `
rules:
- {matches: [{path: {value: /a}}], backendRefs: [{two}]}
- {matches: [{path: {value: /a}}], backendRefs: [{one}]}`,
		"GET /a -> two")
	f("HTTPRouteRule.matches: of equal ones of several routes the first by name", `
rules: [{backendRefs: [{one}]}]
---
rules: [{backendRefs: [{two}]}]`,
		"GET / -> one")
	f("HTTPRouteRule.matches: across routes, of one hostname and more", `
hostnames: [example.com, example.net]
rules: [{matches: [{path: {value: /}}, {headers: [{name: version, value: one}]}], backendRefs: [{one}]}]
---
hostnames: [example.com]
rules: [{matches: [{path: {value: /v2}}, {headers: [{name: version, value: two}]}], backendRefs: [{two}]}]`,
		"GET example.com/ -> one", "GET example.com/a {version: one} -> one", "GET example.com/v2/a -> two", "GET example.com/ {version: two} -> two",
		"GET example.net/v2 -> one", "GET example.net/ {version: two} -> one", "GET example.org/ <- 404")
}
