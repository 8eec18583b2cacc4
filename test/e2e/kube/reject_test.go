//go:build cluster

package kube_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
)

// distant is a second destination of the example's Gateway, with a route and a Secret of authorities of its own.
const distant = `
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: distant, namespace: ai}
spec:
  type: ExternalHostname
  externalHostname: {hostname: api.vendor.test}
  port: {number: 8443}
  tls: {validation: {caCertificateRefs: [{kind: Secret, name: distant-ca}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: distant, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /distant}}]
    backendRefs: [{group: ebbgate.dev, kind: Backend, name: distant}]
`

// authorities writes what distant trusts; it is too long for what kubectl apply notes.
func authorities(t testing.TB, bundle []byte) {
	t.Helper()
	yaml := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: distant-ca, namespace: ai}\nstringData: {ca.crt: %q}\n", bundle)
	kubectl(t, yaml, "apply", "--server-side", "-f", "-")
}

// TestProxiesReject: proxies take no bundle of more than 1,024 authorities, which translation does not count. What needs it
// answers 500, all else is served, and the Gateway says what could not be taken, until it is mended.
func TestProxiesReject(t *testing.T) {
	p := startProviders(t)
	vendor := destination(t, p.authority, "api.vendor.test", nil)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	many := bytes.NewBuffer(p.authority.PEM())
	for range 1024 {
		many.Write(testkit.CA(t, "a").PEM())
	}
	authorities(t, many.Bytes())
	apply(t, distant)
	call := p.call.elsewhere("/distant")
	if got := p.served(call, http.StatusInternalServerError); got.reason() != "backend_invalid" {
		t.Errorf("refused with %s", got.Body)
	}
	eventually(t, "the Gateway says what could not be taken", func() bool {
		status, message := condition(t, "gateway/egress", "Programmed")
		return status == "False" && strings.Contains(message, "Backend/ai/distant") && strings.Contains(message, "more than 1024 certificates")
	})
	p.more(50)
	if n := vendor.Connections(); n > 0 {
		t.Errorf("%d connections to what cannot be verified", n)
	}
	authorities(t, p.authority.PEM())
	p.served(call, http.StatusOK)
	eventually(t, "the Gateway is programmed again", func() bool { status, _ := condition(t, "gateway/egress", "Programmed"); return status == "True" })
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}

// TestPolicyOfANewerVersion: controllers start, as after a downgrade, and a policy has a field that its CRD knows and they do not.
// It may be what protects its target: that is closed, and says so; all else is served, and it too once the field is gone.
func TestPolicyOfANewerVersion(t *testing.T) {
	p := startProviders(t)
	destination(t, p.authority, "api.vendor.test", nil)
	authorities(t, p.authority.PEM())
	apply(t, distant)
	call := p.call.elsewhere("/distant")
	p.served(call, http.StatusOK)
	const crd, schema = "egresspolicies.ebbgate.dev", "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later"
	kubectl(t, "", "patch", "crd", crd, "--type=json", "-p", `[{"op":"add","path":"`+schema+`","value":{"type":"string"}}]`)
	t.Cleanup(func() {
		kubectl(t, "", "patch", "crd", crd, "--type=json", "-p", `[{"op":"remove","path":"`+schema+`"}]`)
	})
	policy := func(field string) string {
		return `
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: newer, namespace: ai}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: distant}]
  timeouts: {firstByte: 20s}
` + field
	}
	p.load(p.call)
	eventually(t, "the API server knows the field", func() bool {
		_, err := try(t.Context(), policy("  later: something"), "apply", "-f", "-")
		return err == nil
	})
	t.Cleanup(func() { kubectl(t, "", "-n", "ai", "delete", "egresspolicy", "newer", "--ignore-not-found") })
	// Those that run see what a CRD knew when their watches began: the field is not in what they are sent.
	kubectl(t, "", "-n", system, "rollout", "restart", "deployment/ebbgate-controller")
	kubectl(t, "", "-n", system, "rollout", "status", "deployment/ebbgate-controller", "--timeout=120s")
	got := p.served(call, http.StatusInternalServerError)
	if got.reason() != "configuration_invalid" || !strings.Contains(got.Body, "EgressPolicy/ai/newer") {
		t.Errorf("refused with %s", got.Body)
	}
	eventually(t, "the policy names the field", func() bool {
		out := kubectl(t, "", "-n", "ai", "get", "egresspolicy", "newer", "-o",
			`jsonpath={range .status.ancestors[*].conditions[?(@.type=="Accepted")]}{.status} {.message}{end}`)
		return strings.HasPrefix(out, "False") && strings.Contains(out, "later")
	})
	p.more(50)
	kubectl(t, policy(""), "apply", "-f", "-")
	p.served(call, http.StatusOK)
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}
