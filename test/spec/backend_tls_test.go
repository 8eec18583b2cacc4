package spec_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// backendTLS are BackendTLSPolicies on a Service, and the certificate that a Gateway shows.
func backendTLS(t *testing.T, w *world) {
	leaf := testkit.Issue(t, w.root, ca.Leaf{DNSNames: []string{"abc.example.com", "*.wild.test"}, URIs: []string{"spiffe://td.test/ns/a/sa/b"}})
	far := testkit.Upstream(t, upstream.Config{Certificate: leaf, Handler: hello()})
	objects := servicesOf("secure", far.Addr()) + "\n---\n" + authority("roots", w.root) + "\n---\n" + authority("wrong", testkit.CA(t, "wrong"))

	// asked serves the objects and asks over every version. Where the answer is no 200 not one byte of a request reached
	// the far side; where it is, name is the server name that it saw.
	asked := func(row, more, status, name string, wrong ...string) {
		t.Helper()
		w.serve(t, row, objects+"\n---\n"+more+"\n---\nrules: [{backendRefs: [{name: secure, port: 80}]}]", wrong...)
		defer far.CloseConnections() // the next row verifies anew
		before, connections := far.RequestBytes(), len(far.Accepted())
		w.ask(t, row, "POST / <- "+status)
		seen := far.Accepted()
		if status == "200" && (len(seen) == connections || seen[len(seen)-1].SNI != name) {
			t.Errorf("%s: %d connections more, the last to %s", row, len(seen)-connections, seen[len(seen)-1].SNI)
		}
		if status == "200" {
			return
		}
		if err := far.Wait(t.Context(), func() bool { return far.Open() == 0 }); err != nil {
			t.Errorf("%s: %v", row, err)
		}
		if n := far.RequestBytes() - before; n > 0 {
			t.Errorf("%s: %d bytes were sent", row, n)
		}
	}
	policy := func(target, validation string) string {
		return "apiVersion: $gateway/v1\nkind: BackendTLSPolicy\nmetadata: {name: p, namespace: spec}\nspec:\n  targetRefs: [{group: \"\", kind: Service, " +
			target + "}]\n  validation: {" + validation + "}"
	}
	f := func(row, validation, status, name string, wrong ...string) {
		t.Helper()
		asked(row, policy("name: secure", validation), status, name, wrong...)
	}
	const roots, wrong = `caCertificateRefs: [{group: "", kind: ConfigMap, name: roots}]`, `caCertificateRefs: [{group: "", kind: ConfigMap, name: wrong}]`
	f("BackendTLSPolicySpec.targetRefs: a Service, all its ports", roots+`, hostname: abc.example.com`, "200", "abc.example.com")
	f("BackendTLSPolicyValidation.hostname: the server name, and the name in the certificate", roots+`, hostname: abc.example.com`, "200", "abc.example.com")
	f("BackendTLSPolicyValidation.hostname: a wildcard of the certificate", roots+`, hostname: x.wild.test`, "200", "x.wild.test")
	f("BackendTLSPolicyValidation.hostname: another than the certificate's", roots+`, hostname: other.example.com`, "502", "")
	f("BackendTLSPolicyValidation.caCertificateRefs: another authority's", wrong+`, hostname: abc.example.com`, "502", "")
	f("BackendTLSPolicyValidation.caCertificateRefs: several, any one", `caCertificateRefs: [{group: "", kind: ConfigMap, name: wrong}, {group: "", kind: ConfigMap, name: roots}], hostname: abc.example.com`,
		"200", "abc.example.com")
	f("LocalObjectReference.name: that does not exist fails closed", `caCertificateRefs: [{group: "", kind: ConfigMap, name: missing}], hostname: abc.example.com`, "500", "",
		"ResolvedRefs InvalidCACertificateRef", "Accepted NoValidCACertificate")
	f("LocalObjectReference.kind: that holds no authority fails closed", `caCertificateRefs: [{group: "", kind: Service, name: secure}], hostname: abc.example.com`, "500", "",
		"ResolvedRefs InvalidKind", "Accepted NoValidCACertificate")
	f("LocalObjectReference.group: another's fails closed", `caCertificateRefs: [{group: example.com, kind: ConfigMap, name: roots}], hostname: abc.example.com`, "500", "",
		"ResolvedRefs InvalidKind", "Accepted NoValidCACertificate")
	f("BackendTLSPolicyValidation.wellKnownCACertificates: System does not know a private authority", `wellKnownCACertificates: System, hostname: abc.example.com`, "502", "")
	f("BackendTLSPolicyValidation.subjectAltNames: then the hostname is the server name alone", roots+`, hostname: front.test, subjectAltNames: [{type: Hostname, hostname: abc.example.com}]`, "200", "front.test")
	f("SubjectAltName.hostname: another than the certificate's", roots+`, hostname: abc.example.com, subjectAltNames: [{type: Hostname, hostname: other.example.com}]`, "502", "")
	f("SubjectAltName.uri: of the certificate", roots+`, hostname: front.test, subjectAltNames: [{type: URI, uri: "spiffe://td.test/ns/a/sa/b"}]`, "200", "front.test")
	f("SubjectAltName.uri: another than the certificate's", roots+`, hostname: abc.example.com, subjectAltNames: [{type: URI, uri: "spiffe://td.test/ns/a/sa/c"}]`, "502", "")
	f("SubjectAltName.type: several of both, any one", roots+`, hostname: front.test, subjectAltNames: [{type: Hostname, hostname: other.example.com}, {type: URI, uri: "spiffe://td.test/ns/a/sa/b"}]`, "200", "front.test")
	f("SubjectAltName.type: several, none", roots+`, hostname: abc.example.com, subjectAltNames: [{type: Hostname, hostname: other.example.com}, {type: URI, uri: "spiffe://other.test/x"}]`, "502", "")

	asked("LocalPolicyTargetReferenceWithSectionName.sectionName: a port of the Service by its name", policy("name: secure, sectionName: p", roots+`, hostname: abc.example.com`), "200", "abc.example.com")
	asked("BackendTLSPolicySpec.options: those of others are theirs",
		policy("name: secure", roots+`, hostname: abc.example.com`)+"\n  options: {example.com/own: x}", "200", "abc.example.com")
	asked("BackendTLSPolicySpec.options: of ours, one that is not known fails closed",
		policy("name: secure", roots+`, hostname: abc.example.com`)+"\n  options: {ebbgate.dev/own: x}", "500", "", "Accepted Invalid")
	w.row(t, "BackendTLSPolicySpec.validation: a far side that speaks no TLS", authority("roots", w.root)+"\n---\n"+policy("name: one", roots+`, hostname: abc.example.com`)+`
---
rules: [{backendRefs: [{one}]}]`, "GET / <- 502")
	gatewayCertificate(t, w)
}

// servicesOf is a Service and its endpoint.
func servicesOf(name, address string) string {
	var b strings.Builder
	service(&b, "spec", name, "", address)
	return strings.TrimPrefix(b.String(), "---\n")
}

func hello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	})
}

// gatewayCertificate is what a Gateway shows to backends that want a certificate.
func gatewayCertificate(t *testing.T, w *world) {
	clients := testkit.CA(t, "gateways")
	far := testkit.Upstream(t, upstream.Config{Certificate: w.leaf(t, "abc.example.com"), ClientCAs: clients.Pool(), Handler: hello()})
	f := func(row, backend, status string, wrong ...string) {
		t.Helper()
		w.serve(t, row, `
apiVersion: $gateway/v1
kind: Gateway
metadata: {name: own, namespace: spec}
spec:
  gatewayClassName: ebbgate
  tls: {backend: {`+backend+`}}
  listeners: [{name: a, port: $plain1, protocol: HTTP}]
---
`+keyPair(t, "shown", testkit.Issue(t, clients, ca.Leaf{CommonName: "gateway", Client: true}))+"\n---\n"+servicesOf("mutual", far.Addr())+"\n---\n"+authority("roots", w.root)+`
---
apiVersion: $gateway/v1
kind: BackendTLSPolicy
metadata: {name: p, namespace: spec}
spec:
  targetRefs: [{group: "", kind: Service, name: mutual}]
  validation: {hostname: abc.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: roots}]}
---
parentRefs: [{name: own}]
rules: [{backendRefs: [{name: mutual, port: 80}]}]`, wrong...)
		before, requests := far.RequestBytes(), far.Heads()
		w.ask(t, row, "plain1: POST / <- "+status)
		seen := far.Accepted()
		if status != "200" {
			if far.RequestBytes() != before {
				t.Errorf("%s: %d bytes were sent", row, far.RequestBytes()-before)
			}
			return
		}
		if len(seen) == 0 {
			t.Errorf("%s: nobody came", row)
			return
		}
		if last := seen[len(seen)-1]; far.Heads() == requests || len(last.Client) == 0 || last.Client[0].Subject.CommonName != "gateway" || !last.Verified {
			t.Errorf("%s: %d requests, shown %v", row, far.Heads()-requests, last.Client)
		}
	}
	f("GatewayBackendTLS.clientCertificateRef: is shown", `clientCertificateRef: {name: shown}`, "200")
	far.CloseConnections()
	f("GatewayTLSConfig.backend: none is shown", ``, "502")
	f("GatewayBackendTLS.clientCertificateRef: that does not exist fails closed", `clientCertificateRef: {name: missing}`, "500", "ResolvedRefs InvalidClientCertificateRef")
	f("GatewayBackendTLS.clientCertificateRef: of another namespace, without a ReferenceGrant", `clientCertificateRef: {name: shown, namespace: other}`, "500", "ResolvedRefs RefNotPermitted")
}
