package translate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
)

const reaching = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec: {gatewayClassName: ebbgate, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules: [{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: x}]}]
`

// TestXBackendsOfBothVersions: the shape of Gateway API v1.7 comes from clusters alone, since the schemas built in are
// those of v1.6. What other controllers said in a status stays, and ours is in the version's own list, once.
func TestXBackendsOfBothVersions(t *testing.T) {
	f := func(spec, status string, want *plan.Backend, parents, ancestors []string) {
		t.Helper()
		snapshot := load(t, schema.New(), reaching)
		object := &unstructured.Unstructured{}
		text := "{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, metadata: {name: x, namespace: ai}, spec: " + spec + ", status: " + status + "}"
		converted, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := object.UnmarshalJSON(converted); err != nil {
			t.Fatal(err)
		}
		snapshot.Objects["XBackend/ai/x"] = source.Object(object)
		result := New(Config{Kinds: kinds(), Now: func() time.Time { return epoch }}).Apply(snapshot)
		if len(result.Plan.Backends) != 1 {
			t.Fatalf("%d backends", len(result.Plan.Backends))
		}
		got := *result.Plan.Backends[0]
		if got.Fault != nil {
			got.Fault = &plan.Fault{Reason: got.Fault.Reason}
		}
		if diff := cmp.Diff(want, &got); diff != "" {
			t.Errorf("%s:\n%s", spec, diff)
		}
		var inParents, inAncestors []string
		for _, s := range result.Statuses {
			if s.Object != "XBackend/ai/x" {
				continue
			}
			for _, p := range s.Parents {
				inParents = append(inParents, string(p.ControllerName))
			}
			for _, a := range s.Ancestors {
				inAncestors = append(inAncestors, string(a.ControllerName))
			}
		}
		if diff := cmp.Diff([][]string{parents, ancestors}, [][]string{inParents, inAncestors}); diff != "" {
			t.Errorf("%s:\n%s", spec, diff)
		}
	}
	const ours, theirs = "ebbgate.dev/egress-gateway", "example.com/other"
	entry := func(ref, controller string) string {
		return "{" + ref + ": {name: g}, controllerName: " + controller + "}"
	}
	made := func(port int, protocol plan.Protocol, tls bool) *plan.Backend {
		b := &plan.Backend{Name: "XBackend/ai/x", Origin: plan.Resolved, Hostname: "api.example.com", Port: port, Protocol: protocol}
		if tls {
			b.TLS = &plan.TLS{Hostname: "api.example.com", SystemRoots: true, MinVersion: "1.2"}
		}
		return b
	}
	invalid := func(b *plan.Backend) *plan.Backend {
		b.Fault = &plan.Fault{Reason: "Invalid"}
		return b
	}
	const external = "type: ExternalHostname, externalHostname: {hostname: API.example.com}"
	f("{"+external+", port: {port: 443}}", "{parents: ["+entry("parentRef", theirs)+", "+entry("parentRef", ours)+"]}",
		made(443, plan.HTTP, true), []string{theirs, ours}, nil)
	f("{"+external+", port: {number: 443}}", "{ancestors: ["+entry("ancestorRef", ours)+", "+entry("ancestorRef", theirs)+"]}",
		made(443, plan.HTTP, true), nil, []string{theirs, ours})
	f("{"+external+", port: {number: 443}}", "{}", made(443, plan.HTTP, true), nil, []string{ours})
	f("{"+external+", port: {number: 443}, protocol: WSS, tls: {mode: ServerOnly}}", "{}", made(443, plan.HTTP11, true), nil, []string{ours})
	f("{"+external+", port: {number: 443}, protocol: WSS, tls: {mode: None}}", "{}", invalid(made(443, plan.HTTP11, false)), nil, []string{ours})
	f("{"+external+", port: {number: 80}, protocol: H2C}", "{}", made(80, plan.HTTP2, false), nil, []string{ours})
	f("{"+external+", port: {port: 80}, tls: {mode: None, validation: {hostname: ''}}}", "{}", made(80, plan.HTTP, false), []string{ours}, nil)
	f("{"+external+", port: {port: 80}, protocol: MCP, tls: {mode: None}}", "{}", made(80, plan.HTTP, false), []string{ours}, nil)
	f("{"+external+", port: {number: 0}}", "{}", invalid(made(0, plan.HTTP, true)), nil, []string{ours})
	f("{"+external+", port: {port: '443'}}", "{}", invalid(made(0, plan.HTTP, true)), []string{ours}, nil)
	f("{"+external+", port: {port: 443}, tls: none}", "{parents: none, ancestors: 1}", made(443, plan.HTTP, true), []string{ours}, nil)
	selected := invalid(made(443, plan.HTTP, true))
	selected.Hostname, selected.TLS.Hostname = "", ""
	f("{type: EndpointSelector, endpointSelector: {matchLabels: {app: a}}, port: {number: 443}}", "{}", selected, nil, []string{ours})
}
