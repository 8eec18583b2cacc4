package spec_test

import (
	"strings"
	"testing"
)

// names of rules are what policies attach to. The timeout of a policy on a rule shows where it holds.
func names(t *testing.T, w *world) {
	const policy = `
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: impatient, namespace: spec}
spec:
  targetRefs: [{group: $gateway, kind: KIND, name: row-0, sectionName: named}]
  timeouts: {firstByte: 300ms}`
	f := func(row, objects string, lines ...string) {
		t.Helper()
		w.row(t, row, objects, lines...)
	}
	f("HTTPRouteRule.name: a policy's sectionName", `
rules:
- {name: named, matches: [{path: {value: /named}}], backendRefs: [{one}]}
- {name: other, matches: [{path: {value: /other}}], timeouts: {request: 10s}, backendRefs: [{one}]}
- backendRefs: [{one}]`+with(policy, "HTTPRoute"),
		"http: GET /named {Far-Silent: 1} -> one <- 504", "GET /other -> one", "GET / -> one")
	f("HTTPRouteRule.name: that is not there", `
rules:
- {name: other, backendRefs: [{one}]}`+with(policy, "HTTPRoute"),
		"! Accepted TargetNotFound", "GET / -> one")
	f("Listener.name: a policy's sectionName", own(`
- {name: named, port: $plain1, protocol: HTTP}
- {name: other, port: $plain2, protocol: HTTP}`)+`
---
parentRefs: [{name: own}]
rules: [{timeouts: {request: 10s}, backendRefs: [{one}]}]`+strings.Replace(with(policy, "Gateway"), "name: row-0", "name: own", 1),
		"plain1: GET / {Far-Silent: 1} -> one <- 504", "plain2: GET / -> one")
	f("GRPCRouteRule.name: a policy's sectionName", grpcRoutes(`
rules:
- {name: named, matches: [{method: {service: named}}], backendRefs: [{one}]}
- backendRefs: [{one}]`)+with(policy, "GRPCRoute"),
		"http: CALL /named/Get {Far-Silent: 1} -> one <- 4", "CALL /other/Get -> one")
}
