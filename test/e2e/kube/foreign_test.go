//go:build cluster

package kube_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// other is a controller that is not ours, with a class and a Gateway; and a route and a policy on which both have a word.
const other = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: other.example/controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: ai}
spec:
  gatewayClassName: other
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: model, namespace: ai}
spec: {ports: [{name: https, port: 8443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: model, namespace: ai}
spec:
  targetRefs: [{group: "", kind: Service, name: model}]
  validation: {hostname: model.test, wellKnownCACertificates: System}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: model, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules: [{backendRefs: [{name: model, port: 8443}]}]
`

// judged is what a controller says of an object under a parent or an ancestor.
type judged struct {
	ControllerName string
	Conditions     []struct {
		Type, Status, LastTransitionTime string
		ObservedGeneration               int64
	}
}

// verdicts are those in an object's status, as they stand there, by whether they are ours.
func verdicts(t testing.TB, object string) (ours []judged, theirs []string) {
	t.Helper()
	var out struct {
		Status struct{ Parents, Ancestors []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(kubectl(t, "", "-n", "ai", "get", object, "-o", "json")), &out); err != nil {
		t.Fatal(err)
	}
	for _, raw := range slices.Concat(out.Status.Parents, out.Status.Ancestors) {
		var j judged
		if err := json.Unmarshal(raw, &j); err != nil {
			t.Fatal(err)
		}
		if j.ControllerName == "other.example/controller" {
			theirs = append(theirs, string(raw))
		} else {
			ours = append(ours, j)
		}
	}
	return ours, theirs
}

// TestForeignVerdicts: what another controller says in a route's parents and a policy's ancestors stays as it is, of its own
// Gateway and of ours, through changes, through another leader, and where ours has nothing left to say of the route.
func TestForeignVerdicts(t *testing.T) {
	startProviders(t)
	apply(t, other)
	const route, policy = "httproute/model", "backendtlspolicy/model"
	said := func(reference string) string {
		return `{"controllerName":"other.example/controller",` + reference + `,"conditions":[{"type":"Accepted","status":"True","reason":"Accepted",` +
			`"message":"so it is","observedGeneration":1,"lastTransitionTime":"2026-01-02T03:04:05Z"}]}`
	}
	add := func(object, list string, values ...string) {
		for _, v := range values {
			kubectl(t, "", "-n", "ai", "patch", object, "--subresource=status", "--type=json", "-p", `[{"op":"add","path":"/status/`+list+`/-","value":`+v+`}]`)
		}
	}
	for _, object := range []string{route, policy} {
		eventually(t, "ours has judged "+object, func() bool { ours, _ := verdicts(t, object); return len(ours) == 1 })
	}
	add(route, "parents", said(`"parentRef":{"name":"other"}`), said(`"parentRef":{"name":"egress"}`))
	add(policy, "ancestors", said(`"ancestorRef":{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"other"}`))
	want := map[string][]string{}
	for _, object := range []string{route, policy} {
		_, want[object] = verdicts(t, object)
	}
	if len(want[route]) != 2 || len(want[policy]) != 1 {
		t.Fatalf("the other's entries are %v", want)
	}
	// change gives an object a new generation, and waits until ours has judged that.
	change := func(object, patch string) {
		kubectl(t, "", "-n", "ai", "patch", object, "--type=merge", "-p", patch)
		var now struct{ Metadata struct{ Generation int64 } }
		if err := json.Unmarshal([]byte(kubectl(t, "", "-n", "ai", "get", object, "-o", "json")), &now); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ours has judged the changed "+object, func() bool {
			ours, _ := verdicts(t, object)
			return len(ours) == 1 && ours[0].Conditions[0].ObservedGeneration == now.Metadata.Generation
		})
	}
	unchanged := func(when string) {
		t.Helper()
		for object, want := range want {
			if _, theirs := verdicts(t, object); !slices.Equal(theirs, want) {
				t.Errorf("%s: the other's entries of %s are %v", when, object, theirs)
			}
		}
		if status, _ := condition(t, "gatewayclass/other", "Accepted"); status != "Unknown" {
			t.Errorf("%s: the other's class is Accepted=%s", when, status)
		}
		if got := pods(t, "ai", "gateway.networking.k8s.io/gateway-name=other"); len(got) > 0 {
			t.Errorf("%s: the other's Gateway has proxies of ours: %v", when, got)
		}
	}
	change(route, `{"spec":{"hostnames":["a.test"]}}`)
	change(policy, `{"spec":{"validation":{"hostname":"a.test"}}}`)
	unchanged("after a change")
	was := leader(t)
	kill(t, system, was)
	eventually(t, "another leads", func() bool { now := leader(t); return now != "" && now != was })
	change(route, `{"spec":{"hostnames":["b.test"]}}`)
	change(policy, `{"spec":{"validation":{"hostname":"b.test"}}}`)
	unchanged("under another leader")
	kubectl(t, "", "-n", "ai", "patch", route, "--type=merge", "-p", `{"spec":{"parentRefs":[{"name":"other"}]}}`)
	eventually(t, "ours has left the route", func() bool { ours, _ := verdicts(t, route); return len(ours) == 0 })
	unchanged("where no route leads to a Gateway of ours")
}
