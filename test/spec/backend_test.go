package spec_test

import (
	"net"
	"testing"
)

// backends are what a rule's backendRefs may and may not name.
func backends(t *testing.T, w *world) {
	f := func(row, backendRefs string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{backendRefs: ["+backendRefs+"]}]", lines...)
	}
	f("HTTPRouteRule.backendRefs: none", ``, "GET / <- 500")
	w.row(t, "HTTPRouteRule.backendRefs: left out, and beside a rule that has some", `
rules:
- matches: [{path: {value: /a}}]
- backendRefs: [{one}]`, "GET /a <- 500", "GET / -> one")
	f("HTTPRouteRule.backendRefs: a Service without ready endpoints", `{name: empty, port: 80}`, "GET / <- 503")
	f("BackendObjectReference.kind: Service, and its group, are the defaults", `{one, kind: Service, group: ""}`, "GET / -> one")
	f("BackendObjectReference.kind: an unknown one", `{one, kind: Unknown}`, "! ResolvedRefs InvalidKind", "GET / <- 500", "POST / <- 500")
	f("BackendObjectReference.group: an unknown one", `{one, group: example.com}`, "! ResolvedRefs InvalidKind", "GET / <- 500")
	f("BackendObjectReference.name: that does not exist", `{name: missing, port: 80}`, "! ResolvedRefs BackendNotFound", "GET / <- 500")
	f("BackendObjectReference.port: needed for a Service", `{name: one}`, "! Accepted Invalid")
	f("BackendObjectReference.port: that the Service has not", `{name: one, port: 81}`, "! ResolvedRefs BackendNotFound", "GET / <- 500")
	host, port, _ := net.SplitHostPort(w.fars["one"].address)
	w.row(t, "HTTPBackendRef.group: a Backend of ours", `
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: own, namespace: spec}
spec: {type: Addresses, addresses: {addresses: [`+host+`], hostname: own.test}, port: {number: `+port+`}, tls: {mode: None}}
---
rules: [{backendRefs: [{group: ebbgate.dev, kind: Backend, name: own}]}]`,
		"GET / -> one {Host: own.test:"+port+"}")
	grants(t, w)
	weights(t, w)
}

// grants let routes name Services of other namespaces.
func grants(t *testing.T, w *world) {
	f := func(row, from, to string, granted bool) {
		t.Helper()
		lines := []string{"GET / -> four"}
		if !granted {
			lines = []string{"! ResolvedRefs RefNotPermitted", "GET / <- 500"}
		}
		w.row(t, row, `
apiVersion: $gateway/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec: {from: [{`+from+`}], to: [{`+to+`}]}
---
rules: [{backendRefs: [{name: four, namespace: other, port: 80}]}]`, lines...)
	}
	const route, services = `group: $gateway, kind: HTTPRoute, namespace: spec`, `group: "", kind: Service`
	w.row(t, "BackendObjectReference.namespace: another, without a ReferenceGrant", `rules: [{backendRefs: [{name: four, namespace: other, port: 80}]}]`,
		"! ResolvedRefs RefNotPermitted", "GET / <- 500")
	f("ReferenceGrantSpec.to: every Service", route, services, true)
	f("ReferenceGrantTo.name: the Service", route, services+`, name: four`, true)
	f("ReferenceGrantTo.name: another Service", route, services+`, name: five`, false)
	f("ReferenceGrantTo.kind: another", route, `group: "", kind: Secret`, false)
	f("ReferenceGrantTo.group: another", route, `group: example.com, kind: Service`, false)
	f("ReferenceGrantSpec.from: the route", route, services, true)
	f("ReferenceGrantFrom.kind: another", `group: $gateway, kind: GRPCRoute, namespace: spec`, services, false)
	f("ReferenceGrantFrom.group: another", `group: example.com, kind: HTTPRoute, namespace: spec`, services, false)
	f("ReferenceGrantFrom.namespace: another", `group: $gateway, kind: HTTPRoute, namespace: apart`, services, false)
	w.row(t, "ReferenceGrantSpec.from: a grant of another namespace is none", `
apiVersion: $gateway/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: spec}
spec: {from: [{`+route+`}], to: [{`+services+`}]}
---
rules: [{backendRefs: [{name: four, namespace: other, port: 80}]}]`, "! ResolvedRefs RefNotPermitted", "GET / <- 500")
}

// weights share a rule's requests out.
func weights(t *testing.T, w *world) {
	f := func(row, backendRefs string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{backendRefs: ["+backendRefs+"]}]", lines...)
	}
	f("BackendRef.weight: 0 gets nothing", `{one, weight: 0}, {two, weight: 1}, {three, weight: 0}`, "GET / -> two", "POST / -> two")
	f("BackendRef.weight: 0 for all", `{one, weight: 0}, {two, weight: 0}`, "GET / <- 500")
	f("BackendRef.weight: 0 for one that is invalid", `{name: missing, port: 80, weight: 0}, {two}`, "! ResolvedRefs BackendNotFound", "GET / -> two")

	const asked = 600
	share := func(row, backendRefs string, want map[string]int, wrong ...string) {
		t.Helper()
		w.serve(t, row, "rules: [{backendRefs: ["+backendRefs+"]}]", wrong...)
		got := map[string]int{}
		for range asked {
			status, body := w.send(t, w.client("http", 1), "GET /")
			if status != "200" {
				body = status
			}
			got[body]++
		}
		for by, n := range got {
			if d := n - asked*want[by]/100; d < -75 || d > 75 { // more than six standard deviations
				t.Errorf("%s: %s answered %d of %d", row, by, n, asked)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: answers %v", row, got)
		}
	}
	share("BackendRef.weight: in proportion", `{one, weight: 7}, {two, weight: 3}, {three, weight: 0}`, map[string]int{"one": 70, "two": 30})
	share("BackendRef.weight: 1 is the default", `{one}, {two}`, map[string]int{"one": 50, "two": 50})
	share("HTTPRouteRule.backendRefs: one that is invalid keeps its share", `{one}, {name: missing, port: 80}`, map[string]int{"one": 50, "500": 50}, "ResolvedRefs BackendNotFound")
}

// protocols are what Services' ports say that they speak (appProtocol, GEP-1911).
func protocols(t *testing.T, w *world) {
	f := func(row, service string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{backendRefs: [{name: "+service+", port: 80}]}]", lines...)
	}
	f("HTTPBackendRef.port: appProtocol kubernetes.io/h2c, HTTP/2 with prior knowledge", "h2c", "GET /a?b -> h2c", "POST /a -> h2c", "HEAD / -> h2c")
	f("HTTPBackendRef.port: appProtocol kubernetes.io/ws, HTTP/1.1", "ws", "GET /a -> ws", "POST / -> ws")
	socket := func(row, service string, fields ...string) {
		t.Helper()
		w.serve(t, row, "rules: [{backendRefs: [{name: "+service+", port: 80}]}]")
		w.converse(t, row, fields...)
	}
	socket("HTTPBackendRef.port: a WebSocket to a port of kubernetes.io/ws", "ws", "Origin: http://gateway.test")
	socket("HTTPBackendRef.port: a WebSocket to a port that says nothing", "one")
}
