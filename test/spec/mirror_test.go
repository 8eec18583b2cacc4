package spec_test

import (
	"strconv"
	"testing"
)

// mirrors are RequestMirror filters: what else is asked, and who hears nothing of it.
func mirrors(t *testing.T, w *world) {
	f := func(row, filters string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{matches: [{path: {value: /m}}], filters: ["+filters+"], backendRefs: [{one}]}]", lines...)
	}
	f("HTTPRequestMirrorFilter.backendRef: gets what the backend gets, and its answer is nobody's", `{type: RequestMirror, requestMirror: {backendRef: {two}}}`,
		"GET /m/x?q=1 {X-A: 1; Far-Field: X-B=2} -> one + two {X-A: 1; Host: spec.test} <- 200 {X-B: 2}", "POST /m -> one + two", "PUT /m -> one + two", "HEAD /m -> one + two", "GET / <- 404")
	f("HTTPRouteFilter.requestMirror: several, to different backends", `
{type: RequestMirror, requestMirror: {backendRef: {two}}}, {type: RequestMirror, requestMirror: {backendRef: {three}}}`,
		"GET /m -> one + two + three", "POST /m -> one + two + three")
	f("HTTPRouteFilter.requestMirror: with header modifiers", `
{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: a}], add: [{name: X-Add, value: b}], remove: [X-Gone]}},
{type: RequestMirror, requestMirror: {backendRef: {two}}}`,
		"GET /m {X-Add: 1; X-Gone: 2} -> one {X-Set: a; X-Add: 1, b; -X-Gone} + two {X-Set: a; X-Add: 1, b; -X-Gone}")
	f("HTTPRouteFilter.requestMirror: with a rewrite", `
{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /n}}}, {type: RequestMirror, requestMirror: {backendRef: {two}}}`,
		"GET /m/x -> one /n/x + two /n/x")
	f("HTTPRequestMirrorFilter.percent: 100", `{type: RequestMirror, requestMirror: {backendRef: {two}, percent: 100}}`, "GET /m -> one + two")
	f("HTTPRequestMirrorFilter.percent: 0", `{type: RequestMirror, requestMirror: {backendRef: {two}, percent: 0}}`, "GET /m -> one")
	f("HTTPRequestMirrorFilter.fraction: the whole", `{type: RequestMirror, requestMirror: {backendRef: {two}, fraction: {numerator: 3, denominator: 3}}}`, "GET /m -> one + two")
	f("Fraction.numerator: 0", `{type: RequestMirror, requestMirror: {backendRef: {two}, fraction: {numerator: 0}}}`, "GET /m -> one")
	f("HTTPRequestMirrorFilter.backendRef: that leads nowhere mirrors nothing, and the rule serves", `{type: RequestMirror, requestMirror: {backendRef: {name: missing, port: 80}}}`,
		"! ResolvedRefs BackendNotFound", "GET /m -> one")
	f("HTTPRequestMirrorFilter.backendRef: of another namespace needs a ReferenceGrant", `{type: RequestMirror, requestMirror: {backendRef: {name: four, namespace: other, port: 80}}}`,
		"! ResolvedRefs RefNotPermitted", "GET /m -> one")
	f("HTTPRequestMirrorFilter.backendRef: that is dead costs the client nothing", `{type: RequestMirror, requestMirror: {backendRef: {name: dead, port: 80}}}`, "GET /m -> one")
	shares(t, w)
}

// shares are mirrors that get a part of the requests.
func shares(t *testing.T, w *world) {
	const asked = 400
	f := func(row, share string, percent int) {
		t.Helper()
		w.serve(t, row, "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {two}, "+share+"}}], backendRefs: [{one}]}]")
		count := func() (n int) {
			for number := w.asked; number > w.asked-asked; number-- {
				n += len(w.fars["two"].of(strconv.Itoa(number)))
			}
			return n
		}
		for range asked {
			w.send(t, w.client("http", 1), "GET /")
		}
		// Each bound is more than six standard deviations away.
		least, most := asked*percent/100-70, asked*percent/100+70
		if err := w.fars["two"].until(t.Context(), func() bool { return count() >= least }); err != nil || count() > most {
			t.Errorf("%s: %d of %d were mirrored, %v", row, count(), asked, err)
		}
	}
	f("HTTPRequestMirrorFilter.percent: a part", `percent: 20`, 20)
	f("Fraction.denominator: 100 is the default", `fraction: {numerator: 35}`, 35)
	f("Fraction.denominator: written", `fraction: {numerator: 1, denominator: 2}`, 50)
}
