package spec_test

import (
	"fmt"
	"strings"
	"testing"
)

// grpcRoutes makes GRPCRoutes of their specs.
func grpcRoutes(specs ...string) string {
	var documents []string
	for i, spec := range specs {
		if !strings.Contains(spec, "parentRefs:") {
			spec += "\nparentRefs: [{name: gw}]"
		}
		documents = append(documents, fmt.Sprintf("apiVersion: $gateway/v1\nkind: GRPCRoute\nmetadata: {name: row-%d, namespace: spec}\nspec:%s", i, indented(spec, "  ")))
	}
	return strings.Join(documents, "\n---\n")
}

// calls are the matches and backends of GRPCRoutes.
func calls(t *testing.T, w *world) {
	f := func(row, spec string, lines ...string) {
		t.Helper()
		w.row(t, row, grpcRoutes(spec), lines...)
	}
	match := func(row, match string, lines ...string) {
		t.Helper()
		f(row, "rules: [{matches: [{"+match+"}], backendRefs: [{one}]}]", lines...)
	}
	f("GRPCRouteRule.matches: none, every call", `rules: [{backendRefs: [{one}]}]`, "CALL /a.B/C -> one", "CALL /other/Method -> one")
	f("GRPCRouteRule.matches: several, OR", `
rules:
- matches: [{method: {service: foo.bar}, headers: [{name: version, value: "2"}]}, {method: {service: foo.bar.v2}}]
  backendRefs: [{one}]`,
		"CALL /foo.bar/Get {version: 2} -> one", "CALL /foo.bar.v2/Get -> one", "CALL /foo.bar/Get <- 12", "CALL /other/Get {version: 2} <- 12")
	f("GRPCRouteSpec.rules: several, what none takes is unimplemented", `
rules:
- {matches: [{method: {service: acme.Echo, method: Echo}}], backendRefs: [{one}]}
- {matches: [{method: {service: acme.Echo, method: EchoTwo}}], backendRefs: [{two}]}`,
		"CALL /acme.Echo/Echo -> one", "CALL /acme.Echo/EchoTwo -> two", "CALL /acme.Echo/EchoThree <- 12", "CALL /acme.Echoes/Echo <- 12", "GET /acme.Echo/Echo <- 404")
	match("GRPCMethodMatch.service: any method", `method: {service: acme.Echo}`, "CALL /acme.Echo/Any -> one", "CALL /acme.Echo2/Any <- 12", "CALL /Acme.Echo/Any <- 12")
	match("GRPCMethodMatch.method: of any service", `method: {method: Get}`, "CALL /a.B/Get -> one", "CALL /c.D/Get -> one", "CALL /a.B/Got <- 12", "CALL /a.B/GetIt <- 12")
	match("GRPCRouteMatch.method: service and method, both", `method: {service: a.B, method: Get}`, "CALL /a.B/Get -> one", "CALL /a.B/Put <- 12", "CALL /c.D/Get <- 12")
	match("GRPCMethodMatch.type: RegularExpression, of whole names", `method: {type: RegularExpression, service: "acme\\.(Chat|Echo)", method: "Get.*"}`,
		"CALL /acme.Chat/Get -> one", "CALL /acme.Echo/GetMore -> one", "CALL /acme.Chat/Put <- 12", "CALL /acmexChat/Get <- 12", "CALL /v.acme.Chat/Get <- 12")
	match("GRPCMethodMatch.type: RegularExpression, of a service alone", `method: {type: RegularExpression, service: "acme\\..*"}`, "CALL /acme.X/Any -> one", "CALL /other.X/Any <- 12")
	match("GRPCMethodMatch.type: Exact is the default", `method: {service: acme.Echo}`, "CALL /acme.Echo/Any -> one", "CALL /acmexEcho/Any <- 12")
	match("GRPCRouteMatch.headers: several, AND", `headers: [{name: version, value: two}, {name: color, value: orange}]`,
		"CALL /a/B {Version: two; Color: orange} -> one", "CALL /a/B {Version: two} <- 12", "CALL /a/B {Color: orange} <- 12")
	match("GRPCHeaderMatch.name: without case, of equal names the first counts", `headers: [{name: X-A, value: "1"}, {name: x-a, value: "2"}]`, "CALL /a/B {x-a: 1} -> one", "CALL /a/B {x-a: 2} <- 12")
	match("GRPCHeaderMatch.type: RegularExpression", `headers: [{name: x-a, type: RegularExpression, value: "[0-9]+"}]`, "CALL /a/B {x-a: 12} -> one", "CALL /a/B {x-a: 1a} <- 12")
	match("GRPCHeaderMatch.value: case matters", `headers: [{name: x-a, value: Abc}]`, "CALL /a/B {x-a: Abc} -> one", "CALL /a/B {x-a: abc} <- 12")
	f("GRPCRouteRule.matches: headers across rules", `
rules:
- {matches: [{headers: [{name: version, value: one}]}], backendRefs: [{one}]}
- {matches: [{headers: [{name: version, value: two}]}], backendRefs: [{two}]}
- {matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}], backendRefs: [{three}]}
- {matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}], backendRefs: [{one}]}`,
		"CALL /a/B {version: one} -> one", "CALL /a/B {version: two} -> two", "CALL /a/B {version: two; color: orange} -> three", "CALL /a/B {version: two; color: blue} -> two",
		"CALL /a/B {color: green} -> one", "CALL /a/B {color: orange} <- 12", "CALL /a/B {other: one} <- 12")
	f("GRPCRouteRule.matches: more characters of the service first, then of the method, then headers", `
rules:
- {matches: [{headers: [{name: x-a, value: "1"}, {name: x-b, value: "1"}]}], backendRefs: [{one}]}
- {matches: [{method: {service: a.B}}], backendRefs: [{two}]}
- {matches: [{method: {service: a.B, method: Get}}], backendRefs: [{three}]}`,
		"CALL /a.B/Get {x-a: 1; x-b: 1} -> three", "CALL /a.B/Put {x-a: 1; x-b: 1} -> two", "CALL /c.D/Get {x-a: 1; x-b: 1} -> one", "CALL /c.D/Get <- 12")
	f("GRPCRouteRule.matches: of equal ones the first rule", `
rules:
- {matches: [{method: {service: a.B}}], backendRefs: [{two}]}
- {matches: [{method: {service: a.B}}], backendRefs: [{one}]}`, "CALL /a.B/Get -> two")
	w.row(t, "GRPCRouteRule.matches: of equal ones of several routes the first by name", grpcRoutes(`rules: [{backendRefs: [{one}]}]`, `rules: [{backendRefs: [{two}]}]`), "CALL /a/B -> one")
	callBackends(t, w)
}

func callBackends(t *testing.T, w *world) {
	f := func(row, backendRefs string, lines ...string) {
		t.Helper()
		w.row(t, row, grpcRoutes("rules: [{backendRefs: ["+backendRefs+"]}]"), lines...)
	}
	f("GRPCRouteRule.backendRefs: a Service is spoken to in HTTP/2", `{name: h2c, port: 80}`, "CALL /a/B -> h2c")
	f("GRPCRouteRule.backendRefs: none, unavailable", ``, "CALL /a/B <- 14")
	f("GRPCRouteRule.backendRefs: one that does not exist, unavailable", `{name: missing, port: 80}`, "! ResolvedRefs BackendNotFound", "CALL /a/B <- 14")
	f("GRPCRouteRule.backendRefs: without ready endpoints, unavailable", `{name: empty, port: 80}`, "CALL /a/B <- 14")
	f("GRPCBackendRef.kind: an unknown one", `{one, kind: Unknown}`, "! ResolvedRefs InvalidKind", "CALL /a/B <- 14")
	f("GRPCBackendRef.group: an unknown one", `{one, group: example.com}`, "! ResolvedRefs InvalidKind", "CALL /a/B <- 14")
	f("GRPCBackendRef.name: that does not exist", `{name: missing, port: 80}`, "! ResolvedRefs BackendNotFound", "CALL /a/B <- 14")
	f("GRPCBackendRef.port: that speaks WebSocket", `{name: ws, port: 80}`, "! ResolvedRefs UnsupportedProtocol", "CALL /a/B <- 14")
	f("GRPCBackendRef.namespace: another, without a ReferenceGrant", `{name: four, namespace: other, port: 80}`, "! ResolvedRefs RefNotPermitted", "CALL /a/B <- 14")
	w.row(t, "GRPCBackendRef.namespace: another, with a ReferenceGrant", `
apiVersion: $gateway/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec: {from: [{group: $gateway, kind: GRPCRoute, namespace: spec}], to: [{group: "", kind: Service}]}
---
`+grpcRoutes(`rules: [{backendRefs: [{name: four, namespace: other, port: 80}]}]`), "CALL /a/B -> four")
	f("GRPCBackendRef.weight: 0 gets nothing", `{one, weight: 0}, {two, weight: 1}`, "CALL /a/B -> two")

	const row, asked = "GRPCBackendRef.weight: in proportion", 500
	w.serve(t, row, grpcRoutes(`rules: [{backendRefs: [{one, weight: 70}, {two, weight: 30}, {three, weight: 0}]}]`))
	got := map[string]int{}
	for range asked {
		res, _ := w.exchange(t, w.client("http", 2), parse(t, "CALL /a/B"))
		got[res.Header.Get("X-Far")]++
	}
	if d := got["one"] - asked*7/10; d < -65 || d > 65 || got["one"]+got["two"] != asked {
		t.Errorf("%s: %v", row, got)
	}
}

// callFilters are the filters of GRPCRoutes.
func callFilters(t *testing.T, w *world) {
	f := func(row, rule string, lines ...string) {
		t.Helper()
		w.row(t, row, grpcRoutes("rules: [{"+rule+"}]"), lines...)
	}
	f("GRPCRouteFilter.requestHeaderModifier", `
  filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: a}], add: [{name: x-add, value: b}], remove: [x-gone]}}], backendRefs: [{one}]`,
		"CALL /a/B {X-Set: 1; X-Add: 2; X-Gone: 3} -> one {X-Set: a; X-Add: 2, b; -X-Gone}")
	f("GRPCRouteFilter.responseHeaderModifier", `
  filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-set, value: a}], add: [{name: x-add, value: b}], remove: [x-gone]}}], backendRefs: [{one}]`,
		"CALL /a/B {Far-Field: X-Add=2; Far-Field: X-Gone=3} -> one <- 0 {X-Set: a; X-Add: 2, b; -X-Gone}")
	f("GRPCRouteFilter.requestMirror: several", `
  filters: [{type: RequestMirror, requestMirror: {backendRef: {two}}}, {type: RequestMirror, requestMirror: {backendRef: {three}}}], backendRefs: [{one}]`,
		"CALL /a/B {X-A: 1} -> one + two {X-A: 1} + three")
	f("GRPCRouteRule.filters: with the same of a backend after them", `
  filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-a, value: rule}]}}],
  backendRefs: [{one, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-a, value: backend}]}}]}]`,
		"CALL /a/B -> one {X-A: rule, backend}")
	f("GRPCBackendRef.filters: of the answer", `
  backendRefs: [{one, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-by, value: one}]}}]}, {two, weight: 0}]`,
		"CALL /a/B -> one <- 0 {X-By: one}")
	f("GRPCRouteFilter.extensionRef: what is not known fails closed", `
  filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Unknown, name: x}}], backendRefs: [{one}]`,
		"! Accepted UnsupportedValue", "CALL /a/B <- 13")
}

// callHosts are the hostnames of GRPCRoutes, also where HTTPRoutes have the same.
func callHosts(t *testing.T, w *world) {
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	f("GRPCRouteSpec.hostnames: exact, wildcard, their precedence", grpcRoutes(`
hostnames: ["*.a.test"]
rules: [{matches: [{method: {service: s, method: M}}], backendRefs: [{one}]}]`, `
hostnames: [x.a.test]
rules: [{backendRefs: [{two}]}]`),
		"CALL x.a.test/s/M -> two", "CALL y.a.test/s/M -> one", "CALL a.test/s/M <- 12", "CALL y.a.test/s/N <- 12", "CALL X.A.TEST:99/s/M -> two")
	f("GRPCRouteSpec.parentRefs: listeners by their hostnames", own(`
- {name: bar, port: $plain1, protocol: HTTP, hostname: bar.com}
- {name: foo-bar, port: $plain1, protocol: HTTP, hostname: foo.bar.com}
- {name: wild-bar, port: $plain1, protocol: HTTP, hostname: "*.bar.com"}
- {name: wild-foo, port: $plain1, protocol: HTTP, hostname: "*.foo.com"}`)+"\n---\n"+grpcRoutes(`
parentRefs: [{name: own, sectionName: bar}]
rules: [{backendRefs: [{one}]}]`, `
parentRefs: [{name: own, sectionName: foo-bar}]
rules: [{backendRefs: [{two}]}]`, `
parentRefs: [{name: own, sectionName: wild-bar}, {name: own, sectionName: wild-foo}]
rules: [{backendRefs: [{three}]}]`),
		"plain1: CALL bar.com/s/M -> one", "plain1: CALL foo.bar.com/s/M -> two", "plain1: CALL baz.bar.com/s/M -> three", "plain1: CALL multiple.prefixes.bar.com/s/M -> three",
		"plain1: CALL multiple.prefixes.foo.com/s/M -> three", "plain1: CALL foo.com/s/M <- 12", "plain1: CALL no.matching.host/s/M <- 12")
	f("GRPCRouteSpec.hostnames: none that intersects attaches to nothing", own(`- {name: a, port: $plain1, protocol: HTTP, hostname: a.test}`)+"\n---\n"+grpcRoutes(`
parentRefs: [{name: own}]
hostnames: [b.test]
rules: [{backendRefs: [{one}]}]`), "! Accepted NoMatchingListenerHostname", "plain1: CALL a.test/s/M <- 12", "plain1: CALL b.test/s/M <- 12")

	http := func(name, hostnames string) string {
		return "apiVersion: $gateway/v1\nkind: HTTPRoute\nmetadata: {name: " + name + ", namespace: spec}\nspec: {parentRefs: [{name: gw}], " +
			hostnames + "rules: [{backendRefs: [{two}]}]}\n---\n"
	}
	f("GRPCRouteSpec.hostnames: shared with an HTTPRoute that precedes, which keeps them", http("a", "")+grpcRoutes("rules: [{backendRefs: [{one}]}]"),
		"! Accepted HostnameConflict", "GET / -> two", "CALL /s/M -> two")
	f("HTTPRouteSpec.hostnames: shared with a GRPCRoute that precedes, which keeps them", http("z", "hostnames: [x.a.test], ")+grpcRoutes("hostnames: [\"*.a.test\"]\nrules: [{backendRefs: [{one}]}]"),
		"! Accepted HostnameConflict", "GET x.a.test/ <- 404", "CALL x.a.test/s/M -> one")
	f("GRPCRouteSpec.hostnames: beside an HTTPRoute of others", http("a", "hostnames: [a.test], ")+grpcRoutes("hostnames: [b.test]\nrules: [{backendRefs: [{one}]}]"),
		"GET a.test/ -> two", "CALL b.test/s/M -> one", "CALL a.test/s/M -> two", "GET b.test/ <- 404")
}
