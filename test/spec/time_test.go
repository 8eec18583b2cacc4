package spec_test

import (
	"strconv"
	"testing"
	"time"
)

// timeouts are those of an HTTPRoute's rules. The far side stays silent: a timeout alone ends the wait.
func timeouts(t *testing.T, w *world) {
	f := func(row, timeouts string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{timeouts: {"+timeouts+"}, backendRefs: [{one}]}]", lines...)
	}
	f("HTTPRouteTimeouts.request: 504 when it is over", `request: 300ms`, "GET / {Far-Silent: 1} -> one <- 504")
	f("HTTPRouteTimeouts.request: an answer in time", `request: 10s`, "GET / -> one", "POST / -> one")
	f("HTTPRouteTimeouts.request: 0s is none", `request: 0s`, "GET / -> one")
	f("HTTPRouteTimeouts.backendRequest: 504 when it is over", `backendRequest: 300ms`, "GET / {Far-Silent: 1} -> one <- 504")
	f("HTTPRouteTimeouts.backendRequest: 0s is none", `request: 10s, backendRequest: 0s`, "GET / -> one")
	f("HTTPRouteTimeouts.backendRequest: no longer than request", `request: 1s, backendRequest: 2s`, "! Accepted Invalid")
	w.row(t, "HTTPRouteRule.timeouts: of the rule alone", `
rules:
- {matches: [{path: {value: /fast}}], timeouts: {request: 300ms}, backendRefs: [{one}]}
- {timeouts: {request: 10s}, backendRefs: [{one}]}`,
		"http: GET /fast {Far-Silent: 1} -> one <- 504", "GET / -> one")
}

// retries are those of an HTTPRoute's rules (GEP-1731).
func retries(t *testing.T, w *world) {
	f := func(row, rule string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{"+rule+"}]", lines...)
	}
	f("HTTPRouteRetry.codes: of one that is not named nothing is repeated", `retry: {codes: [500], attempts: 3, backoff: 1ms}, backendRefs: [{one}]`,
		"GET / {Far-Status: 502; Far-Fails: 1} -> one x1 <- 502", "GET / {Far-Status: 503; Far-Fails: 1} -> one x1 <- 503", "GET / -> one x1")
	for _, code := range []string{"500", "502", "503", "504", "429"} {
		f("HTTPRouteRetry.codes: "+code, `retry: {codes: [`+code+`], attempts: 2, backoff: 1ms}, backendRefs: [{one}]`,
			"GET / {Far-Status: "+code+"; Far-Fails: 1} -> one x2", "PUT / {Far-Status: "+code+"; Far-Fails: 2} -> one x3", "GET / {Far-Status: "+code+"} -> one x3 <- "+code)
	}
	f("HTTPRouteRetry.codes: POST is repeated after what says that nothing was done", `retry: {codes: [429, 500], attempts: 2, backoff: 1ms}, backendRefs: [{one}]`,
		"POST / {Far-Status: 429; Far-Fails: 1} -> one x2", "POST / {Far-Status: 500; Far-Fails: 1} -> one x1 <- 500")
	f("HTTPRouteRetry.attempts: as many, and no more", `retry: {codes: [500], attempts: 3, backoff: 1ms}, backendRefs: [{one}]`,
		"GET / {Far-Status: 500; Far-Fails: 2} -> one x3", "GET / {Far-Status: 500; Far-Fails: 3} -> one x4", "GET / {Far-Status: 500; Far-Fails: 4} -> one x4 <- 500")
	f("HTTPRouteRetry.attempts: after a connection that broke off", `retry: {attempts: 3, backoff: 1ms}, backendRefs: [{one}]`, "GET / {Far-Cut: 1} -> one x2")
	f("HTTPRouteRetry.attempts: after a connection that could not be made", `retry: {attempts: 1, backoff: 1ms}, backendRefs: [{name: dead, port: 80, weight: 1000}, {one, weight: 1}]`,
		"GET / -> one", "POST / -> one")
	f("HTTPRouteRetry.attempts: after backendRequest is over", `retry: {attempts: 1, backoff: 1ms}, timeouts: {backendRequest: 1s}, backendRefs: [{one}]`,
		"http: GET / {Far-Silent: 1} -> one x2")
	f("HTTPRouteRetry.attempts: all of them over", `retry: {attempts: 1, backoff: 1ms}, timeouts: {backendRequest: 300ms}, backendRefs: [{one}]`,
		"http: GET / {Far-Silent: 2} -> one x2 <- 504")
	f("HTTPRouteTimeouts.request: retries included", `retry: {codes: [500], attempts: 5, backoff: 30s}, timeouts: {request: 300ms}, backendRefs: [{one}]`,
		"GET / {Far-Status: 500} -> one x1 <- 504")
	f("HTTPRouteRule.retry: left out, no code is repeated on the same backend", `backendRefs: [{one}]`,
		"GET / {Far-Status: 500; Far-Fails: 1} -> one x1 <- 500", "GET / {Far-Status: 503; Far-Fails: 1} -> one x1 <- 503")
	w.row(t, "HTTPRouteRule.retry: of the rule alone", `
rules:
- {matches: [{path: {value: /again}}], retry: {codes: [500], attempts: 1, backoff: 1ms}, backendRefs: [{one}]}
- backendRefs: [{one}]`,
		"GET /again {Far-Status: 500; Far-Fails: 1} -> one x2", "GET / {Far-Status: 500; Far-Fails: 1} -> one x1 <- 500")

	constraint := func(row, spec string, lines ...string) {
		t.Helper()
		w.row(t, row, `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: strict, namespace: spec}
spec: {targetRefs: [{group: "", kind: Service, name: two}], retryConstraint: {`+spec+`}}
---
rules: [{retry: {codes: [500], attempts: 5, backoff: 1ms}, backendRefs: [{two}]}]`, lines...)
	}
	constraint("RetryConstraint.budget: 100 percent", `budget: {percent: 100}, minRetryRate: {count: 1, interval: 1h}`, "GET / {Far-Status: 500; Far-Fails: 1} -> two x2")
	constraint("RetryConstraint.minRetryRate: 10 a second is the default", `budget: {percent: 0}`, "http: GET / {Far-Status: 500; Far-Fails: 4} -> two x5")
	constraint("BudgetDetails.percent: what is over it is answered 503", `budget: {percent: 0, interval: 10s}, minRetryRate: {count: 3, interval: 1h}`,
		"GET / {Far-Status: 500; Far-Fails: 1} -> two x2", "GET / {Far-Status: 500; Far-Fails: 1} -> two x1 <- 503", "GET / -> two")
	constraint("RequestRate.count: is allowed whatever the budget", `budget: {percent: 0}, minRetryRate: {count: 1000, interval: 1s}`,
		"GET / {Far-Status: 500; Far-Fails: 5} -> two x6", "GET / {Far-Status: 500} -> two x6 <- 500")

	const backoff = 60 * time.Millisecond
	f("HTTPRouteRetry.backoff: at least as long", `retry: {codes: [500], attempts: 2, backoff: 60ms}, backendRefs: [{one}]`,
		"http: GET / {Far-Status: 500; Far-Fails: 2} -> one x3")
	seen := w.fars["one"].of(strconv.Itoa(w.asked))
	for i := 1; i < len(seen); i++ {
		if d := seen[i].at.Sub(seen[i-1].at); d < backoff {
			t.Errorf("HTTPRouteRetry.backoff: asked again after %v", d)
		}
	}
}
