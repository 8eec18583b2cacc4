package spec_test

import "testing"

// hostnames are those of HTTPRoutes, on a listener that has none.
func hostnames(t *testing.T, w *world) {
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	f("HTTPRouteSpec.hostnames: none, every host", `rules: [{backendRefs: [{one}]}]`,
		"GET a.test/ -> one", "GET b.example.com/ -> one", "GET 127.0.0.1/ -> one")
	f("HTTPRouteSpec.hostnames: exact, without case and port", `
hostnames: [a.test]
rules: [{backendRefs: [{one}]}]`,
		"GET a.test/ -> one {Host: a.test}", "GET A.TEST/ -> one", "GET a.test:1234/ -> one {Host: a.test:1234}", "GET b.test/ <- 404", "GET x.a.test/ <- 404", "GET test/ <- 404")
	f("HTTPRouteSpec.hostnames: wildcard, one label or more", `
hostnames: ["*.a.test"]
rules: [{backendRefs: [{one}]}]`,
		"GET x.a.test/ -> one", "GET y.x.a.test/ -> one", "GET x.A.test:80/ -> one", "GET a.test/ <- 404", "GET xa.test/ <- 404", "GET x.b.test/ <- 404")
	f("HTTPRouteSpec.hostnames: several, OR", `
hostnames: [a.test, "*.b.test"]
rules: [{backendRefs: [{one}]}]`,
		"GET a.test/ -> one", "GET x.b.test/ -> one", "GET b.test/ <- 404")
	f("HTTPRouteSpec.hostnames: an exact one before a wildcard, whatever the path", `
hostnames: ["*.a.test"]
rules: [{matches: [{path: {type: Exact, value: /foo}, method: GET}], backendRefs: [{one}]}]
---
hostnames: [x.a.test]
rules: [{backendRefs: [{two}]}]`,
		"GET x.a.test/foo -> two", "GET y.a.test/foo -> one", "GET y.a.test/ <- 404")
	f("HTTPRouteSpec.hostnames: the longest wildcard first, then none", `
rules: [{matches: [{path: {type: Exact, value: /foo}}], backendRefs: [{one}]}]
---
hostnames: ["*.test"]
rules: [{backendRefs: [{two}]}]
---
hostnames: ["*.a.test"]
rules: [{backendRefs: [{three}]}]`,
		"GET x.a.test/foo -> three", "GET x.b.test/foo -> two", "GET test/foo -> one", "GET test/ <- 404")
}

// listeners are those of Gateways of the rows' own.
func listeners(t *testing.T, w *world) {
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	f("Listener.hostname: exact, wildcard, several", own(`
- {name: bar, port: $plain1, protocol: HTTP, hostname: bar.com}
- {name: foo-bar, port: $plain1, protocol: HTTP, hostname: foo.bar.com}
- {name: wild-bar, port: $plain1, protocol: HTTP, hostname: "*.bar.com"}
- {name: wild-foo, port: $plain1, protocol: HTTP, hostname: "*.foo.com"}`)+`
---
parentRefs: [{name: own, sectionName: bar}]
rules: [{backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: foo-bar}]
rules: [{backendRefs: [{two}]}]
---
parentRefs: [{name: own, sectionName: wild-bar}, {name: own, sectionName: wild-foo}]
rules: [{backendRefs: [{three}]}]`,
		"plain1: GET bar.com/ -> one", "plain1: GET foo.bar.com/ -> two", "plain1: GET baz.bar.com/ -> three", "plain1: GET multiple.prefixes.bar.com/ -> three",
		"plain1: GET multiple.prefixes.foo.com/ -> three", "plain1: GET foo.com/ <- 404", "plain1: GET no.matching.host/ <- 404")

	f("GatewaySpec.listeners: isolation, a host belongs to the most specific listener alone", own(isolated)+`
---
parentRefs: [{name: own, sectionName: empty}]
rules: [{matches: [{path: {value: /empty}}], backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: wild}]
rules: [{matches: [{path: {value: /wild}}], backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: wild-foo}]
rules: [{matches: [{path: {value: /foo}}], backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: exact}]
rules: [{matches: [{path: {value: /exact}}], backendRefs: [{one}]}]`, isolation...)
	f("GatewaySpec.listeners: isolation, with hostnames of routes", own(isolated)+`
---
parentRefs: [{name: own, sectionName: empty}]
hostnames: [bar.com, "*.example.com", "*.foo.example.com", abc.foo.example.com]
rules: [{matches: [{path: {value: /empty}}], backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: wild}]
hostnames: [bar.com, "*.example.com", "*.foo.example.com", abc.foo.example.com]
rules: [{matches: [{path: {value: /wild}}], backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: wild-foo}]
hostnames: [bar.com, "*.example.com", "*.foo.example.com", abc.foo.example.com]
rules: [{matches: [{path: {value: /foo}}], backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: exact}]
hostnames: [bar.com, "*.example.com", "*.foo.example.com", abc.foo.example.com]
rules: [{matches: [{path: {value: /exact}}], backendRefs: [{one}]}]`, isolation...)

	intersections(t, w)
	f("Listener.port: each serves its own", own(`
- {name: a, port: $plain1, protocol: HTTP}
- {name: b, port: $plain2, protocol: HTTP}
- {name: c, port: $plain3, protocol: HTTP, hostname: foo.com}`)+`
---
parentRefs: [{name: own, sectionName: a}]
rules: [{backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: b}]
rules: [{backendRefs: [{two}]}]
---
parentRefs: [{name: own, sectionName: c}]
rules: [{backendRefs: [{three}]}]`,
		"plain1: GET foo.com/ -> one", "plain2: GET foo.com/ -> two", "plain2: GET foo.com:1/ -> two", "plain3: GET foo.com/ -> three", "plain3: GET bar.com/ <- 404")
	f("Listener.protocol: two on one port are none, other ports serve", own(`
- {name: a, port: $plain1, protocol: HTTP}
- {name: b, port: $plain1, protocol: HTTPS, tls: {certificateRefs: [{name: listener}]}}
- {name: c, port: $plain2, protocol: HTTP}`)+`
---
parentRefs: [{name: own}]
rules: [{backendRefs: [{one}]}]`,
		"! Conflicted ProtocolConflict", "plain2: GET / -> one")
	f("Listener.protocol: HTTP takes HTTP/2 with prior knowledge too", own(`- {name: a, port: $plain1, protocol: HTTP}`)+`
---
parentRefs: [{name: own}]
rules: [{backendRefs: [{one}]}]`,
		"plain1: POST /a -> one", "plain1: GET /a -> one")
	f("Listener.protocol: an unknown one is refused, the others serve", own(`
- {name: a, port: $plain1, protocol: HTTP}
- {name: b, port: $plain2, protocol: example.com/own}`)+`
---
parentRefs: [{name: own}]
rules: [{backendRefs: [{one}]}]`,
		"! Accepted UnsupportedProtocol", "plain1: GET / -> one")
}

// own is the Gateway own with listeners.
func own(listeners string) string {
	return "apiVersion: $gateway/v1\nkind: Gateway\nmetadata: {name: own, namespace: spec}\nspec:\n  gatewayClassName: ebbgate\n  listeners:" +
		indented(listeners, "  ")
}

const isolated = `
- {name: empty, port: $plain1, protocol: HTTP}
- {name: wild, port: $plain1, protocol: HTTP, hostname: "*.example.com"}
- {name: wild-foo, port: $plain1, protocol: HTTP, hostname: "*.foo.example.com"}
- {name: exact, port: $plain1, protocol: HTTP, hostname: abc.foo.example.com}`

var isolation = []string{
	"plain1: GET bar.com/empty -> one", "plain1: GET bar.com/wild <- 404", "plain1: GET bar.com/foo <- 404", "plain1: GET bar.com/exact <- 404",
	"plain1: GET bar.example.com/empty <- 404", "plain1: GET bar.example.com/wild -> one", "plain1: GET bar.example.com/foo <- 404", "plain1: GET bar.example.com/exact <- 404",
	"plain1: GET bar.foo.example.com/empty <- 404", "plain1: GET bar.foo.example.com/wild <- 404", "plain1: GET bar.foo.example.com/foo -> one",
	"plain1: GET abc.foo.example.com/empty <- 404", "plain1: GET abc.foo.example.com/wild <- 404", "plain1: GET abc.foo.example.com/foo <- 404",
	"plain1: GET abc.foo.example.com/exact -> one",
}

// intersections are hostnames of routes held against those of listeners.
func intersections(t *testing.T, w *world) {
	f := func(row, hostnames string, lines ...string) {
		t.Helper()
		w.row(t, row, own(`
- {name: exact, port: $plain1, protocol: HTTP, hostname: very.specific.com}
- {name: wild, port: $plain1, protocol: HTTP, hostname: "*.wildcard.io"}
- {name: other, port: $plain1, protocol: HTTP, hostname: "*.anotherwildcard.io"}`)+`
---
parentRefs: [{name: own}]
hostnames: [`+hostnames+`]
rules: [{backendRefs: [{one}]}]`, lines...)
	}
	f("HTTPRouteSpec.hostnames: exact on an exact listener, others ignored", `non.matching.com, "*.nonmatchingwildcard.io", very.specific.com`,
		"plain1: GET very.specific.com/ -> one", "plain1: GET very.specific.com:1234/ -> one", "plain1: GET non.matching.com/ <- 404",
		"plain1: GET foo.nonmatchingwildcard.io/ <- 404", "plain1: GET foo.wildcard.io/ <- 404")
	f("HTTPRouteSpec.hostnames: exact on a wildcard listener", `wildcard.io, foo.wildcard.io, foo.bar.wildcard.io`,
		"plain1: GET foo.wildcard.io/ -> one", "plain1: GET foo.bar.wildcard.io/ -> one", "plain1: GET bar.wildcard.io/ <- 404", "plain1: GET wildcard.io/ <- 404")
	f("HTTPRouteSpec.hostnames: wildcard on an exact listener", `"*.specific.com"`,
		"plain1: GET very.specific.com/ -> one", "plain1: GET foo.specific.com/ <- 404", "plain1: GET specific.com/ <- 404")
	f("HTTPRouteSpec.hostnames: wildcard on a wildcard listener", `"*.anotherwildcard.io"`,
		"plain1: GET foo.anotherwildcard.io/ -> one", "plain1: GET foo.bar.anotherwildcard.io/ -> one", "plain1: GET anotherwildcard.io/ <- 404", "plain1: GET foo.wildcard.io/ <- 404")
	f("HTTPRouteSpec.hostnames: a wider wildcard gives no more than the listener's", `"*.io"`,
		"plain1: GET foo.wildcard.io/ -> one", "plain1: GET foo.bar.anotherwildcard.io/ -> one", "plain1: GET foo.io/ <- 404", "plain1: GET wildcard.io/ <- 404")
	f("HTTPRouteSpec.hostnames: none that intersects attaches to nothing", `specific.com, wildcard.io, "*.other.io"`,
		"! Accepted NoMatchingListenerHostname", "plain1: GET specific.com/ <- 404", "plain1: GET very.specific.com/ <- 404", "plain1: GET wildcard.io/ <- 404", "plain1: GET foo.other.io/ <- 404")
}

// parents are parentRefs, and whom listeners let attach.
func parents(t *testing.T, w *world) {
	two := own(`
- {name: a, port: $plain1, protocol: HTTP}
- {name: b, port: $plain2, protocol: HTTP}`)
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	ref := func(row, parentRefs string, lines ...string) {
		t.Helper()
		f(row, two+"\n---\nparentRefs: "+parentRefs+"\nrules: [{backendRefs: [{one}]}]", lines...)
	}
	ref("ParentReference.name: every listener", `[{name: own}]`, "plain1: GET / -> one", "plain2: GET / -> one", "GET / <- 404")
	ref("CommonRouteSpec.parentRefs: several", `[{name: own, sectionName: b}, {name: gw}]`, "plain1: GET / <- 404", "plain2: GET / -> one", "GET / -> one")
	ref("ParentReference.sectionName: one listener", `[{name: own, sectionName: b}]`, "plain1: GET / <- 404", "plain2: GET / -> one")
	ref("ParentReference.sectionName: one that is not there", `[{name: own, sectionName: c}]`, "! Accepted NoMatchingParent", "plain1: GET / <- 404")
	ref("ParentReference.port: the listeners of a port", `[{name: own, port: $plain1}]`, "plain1: GET / -> one", "plain2: GET / <- 404")
	ref("ParentReference.port: one that is not there", `[{name: own, port: 81}]`, "! Accepted NoMatchingParent", "plain1: GET / <- 404")
	ref("ParentReference.port: with sectionName, both must fit", `[{name: own, sectionName: a, port: $plain1}]`, "plain1: GET / -> one", "plain2: GET / <- 404")
	ref("ParentReference.port: with sectionName of another port", `[{name: own, sectionName: a, port: $plain2}]`, "! Accepted NoMatchingParent", "plain1: GET / <- 404", "plain2: GET / <- 404")
	ref("ParentReference.name: a Gateway that is not there", `[{name: missing}]`, "! Accepted NoMatchingParent", "GET / <- 404")
	ref("ParentReference.kind: Gateway, and its group, are the defaults", `[{name: own, kind: Gateway, group: $gateway, sectionName: a}]`, "plain1: GET / -> one")
	ref("ParentReference.group: another's kind is another's business", `[{name: own, kind: Service, group: ""}, {name: own, sectionName: b}]`, "plain1: GET / <- 404", "plain2: GET / -> one")
	ref("ParentReference.namespace: the route's is the default", `[{name: own, namespace: spec}]`, "plain1: GET / -> one")
	allowed(t, w)
}

func allowed(t *testing.T, w *world) {
	const foreign = `
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: blue}}
---
apiVersion: $gateway/v1
kind: HTTPRoute
metadata: {name: foreign, namespace: other}
spec:
  parentRefs: [{name: own, namespace: spec}]
  rules: [{backendRefs: [{name: four, port: 80}]}]`
	f := func(row, allowed string, lines ...string) {
		t.Helper()
		w.row(t, row, own("- {name: a, port: $plain1, protocol: HTTP, allowedRoutes: {"+allowed+"}}")+foreign, lines...)
	}
	f("Listener.allowedRoutes: routes of the Gateway's namespace is the default", ``, "! Accepted NotAllowedByListeners", "plain1: GET / <- 404")
	f("RouteNamespaces.from: All", `namespaces: {from: All}`, "plain1: GET / -> four")
	f("AllowedRoutes.namespaces: Same", `namespaces: {from: Same}`, "! Accepted NotAllowedByListeners", "plain1: GET / <- 404")
	f("RouteNamespaces.selector: that fits", `namespaces: {from: Selector, selector: {matchLabels: {team: blue}}}`, "plain1: GET / -> four")
	f("RouteNamespaces.selector: that does not", `namespaces: {from: Selector, selector: {matchLabels: {team: red}}}`, "! Accepted NotAllowedByListeners", "plain1: GET / <- 404")
	f("AllowedRoutes.kinds: another kind alone", `namespaces: {from: All}, kinds: [{kind: GRPCRoute}]`, "! Accepted NotAllowedByListeners", "plain1: GET / <- 404")
	f("RouteGroupKind.kind: what cannot be taken is refused, the rest serves", `namespaces: {from: All}, kinds: [{kind: HTTPRoute}, {kind: TCPRoute}]`,
		"! ResolvedRefs InvalidRouteKinds", "plain1: GET / -> four")
	f("RouteGroupKind.group: another's kind", `namespaces: {from: All}, kinds: [{kind: HTTPRoute, group: example.com}]`,
		"! ResolvedRefs InvalidRouteKinds", "! Accepted NotAllowedByListeners")
}
