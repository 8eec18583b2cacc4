package spec_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
)

// greeting is a client's TLS with a server name.
func (w *world) greeting(name string, certificates ...certificate) *tls.Config {
	c := &tls.Config{RootCAs: w.root.Pool(), ServerName: name, MinVersion: tls.VersionTLS12}
	if len(certificates) > 0 { // whatever authorities the server names
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*certificate, error) { return &certificates[0], nil }
	}
	return c
}

// leaf is a good server certificate for the names.
func (w *world) leaf(t *testing.T, names ...string) certificate {
	t.Helper()
	return testkit.Issue(t, w.root, ca.Leaf{DNSNames: names})
}

// certificates are those that HTTPS listeners show, chosen by the client's server name (SNI).
func certificates(t *testing.T, w *world) {
	pairs := ""
	for name, hosts := range map[string][]string{
		"exact": {"a.test"}, "wild": {"*.b.test"}, "rest": {"c.test", "d.test"}, "second": {"e.test"},
	} {
		pairs += keyPair(t, name, w.leaf(t, hosts...)) + "\n---\n"
	}
	pairs = strings.TrimSuffix(pairs, "\n---\n")
	f := func(row, listeners, objects string, hosts map[string]string) {
		t.Helper()
		w.serve(t, row, own(listeners)+"\n---\n"+pairs+"\n---\nparentRefs: [{name: own}]\nrules: [{backendRefs: [{one}]}]"+objects)
		for host, shown := range hosts {
			for version := 1; version <= 2; version++ {
				c := dialing(w.ports["tls1"], version, w.greeting(host))
				w.run(t, fmt.Sprint(row, ": ", host, " HTTP/", version), c, parse(t, "POST "+host+"/ -> one"))
				c.close()
			}
			conn, err := (&tls.Dialer{Config: w.greeting(host)}).DialContext(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", w.ports["tls1"]))
			if err != nil {
				t.Errorf("%s: %s: %v", row, host, err)
				continue
			}
			if got := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0]; got != shown {
				t.Errorf("%s: %s was shown the certificate of %s", row, host, got)
			}
			_ = conn.Close()
		}
	}
	f("Listener.tls: of the listener that the server name chooses", `
- {name: a, port: $tls1, protocol: HTTPS, hostname: a.test, tls: {certificateRefs: [{name: exact}]}}
- {name: b, port: $tls1, protocol: HTTPS, hostname: "*.b.test", tls: {certificateRefs: [{name: wild}]}}
- {name: c, port: $tls1, protocol: HTTPS, tls: {certificateRefs: [{name: rest}]}}`, "",
		map[string]string{"a.test": "a.test", "x.b.test": "*.b.test", "c.test": "c.test", "d.test": "c.test"})
	f("ListenerTLSConfig.certificateRefs: several, the one for the server name", `
- {name: a, port: $tls1, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{name: exact}, {name: wild}, {name: second, kind: Secret, group: ""}]}}`, "",
		map[string]string{"a.test": "a.test", "x.b.test": "*.b.test", "e.test": "e.test"})
	f("SecretObjectReference.namespace: another, with a ReferenceGrant", `
- {name: a, port: $tls1, protocol: HTTPS, tls: {certificateRefs: [{name: exact, namespace: other}]}}`, `
---
`+strings.Replace(keyPair(t, "exact", w.leaf(t, "a.test")), "namespace: spec", "namespace: other", 1)+`
---
apiVersion: $gateway/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec: {from: [{group: $gateway, kind: Gateway, namespace: spec}], to: [{group: "", kind: Secret, name: exact}]}`, map[string]string{"a.test": "a.test"})
	refused(t, w, pairs)
}

// refused are HTTPS listeners that cannot be served; another one is.
func refused(t *testing.T, w *world, pairs string) {
	f := func(row, secure string, wrong ...string) {
		t.Helper()
		w.serve(t, row, own(`
- {name: a, port: $tls1, protocol: HTTPS, tls: {`+secure+`}}
- {name: b, port: $tls2, protocol: HTTPS, tls: {certificateRefs: [{name: exact}]}}`)+"\n---\n"+pairs+"\n---\nparentRefs: [{name: own}]\nrules: [{backendRefs: [{one}]}]", wrong...)
		c := dialing(w.ports["tls1"], 1, w.greeting("a.test"))
		if res, err := c.transport.RoundTrip(w.request(t.Context(), t, "https", parse(t, "GET a.test/"))); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s: answered %s", row, res.Status)
		}
		c.close()
		c = dialing(w.ports["tls2"], 2, w.greeting("a.test"))
		w.run(t, row, c, parse(t, "GET a.test/ -> one"))
		c.close()
	}
	f("ListenerTLSConfig.certificateRefs: one that does not exist", `certificateRefs: [{name: missing}]`, "ResolvedRefs InvalidCertificateRef")
	f("SecretObjectReference.kind: another", `certificateRefs: [{name: exact, kind: ConfigMap}]`, "ResolvedRefs InvalidCertificateRef")
	f("SecretObjectReference.group: another", `certificateRefs: [{name: exact, group: example.com}]`, "ResolvedRefs InvalidCertificateRef")
	f("SecretObjectReference.name: in another namespace, without a ReferenceGrant", `certificateRefs: [{name: exact, namespace: other}]`, "ResolvedRefs RefNotPermitted")
	f("ListenerTLSConfig.options: none is known", `certificateRefs: [{name: exact}], options: {example.com/own: x}`, "Accepted UnsupportedValue")
	w.row(t, "ListenerTLSConfig.mode: Passthrough is not for HTTPS", own(`- {name: a, port: $tls1, protocol: HTTPS, tls: {mode: Passthrough, certificateRefs: [{name: listener}]}}`), "! Accepted Invalid")
}

// misdirected are requests whose server name and host belong to different listeners (RFC 9110, section 15.5.20).
func misdirected(t *testing.T, w *world) {
	const row = "GatewaySpec.listeners: 421 where server name and host choose different listeners"
	names := []string{"example.org", "second-example.org", "unknown-example.org", "*.wildcard.org"}
	w.serve(t, row, own(`
- {name: rest, port: $tls1, protocol: HTTPS, tls: {certificateRefs: [{name: all}]}}
- {name: second, port: $tls1, protocol: HTTPS, hostname: second-example.org, tls: {certificateRefs: [{name: all}]}}
- {name: wild, port: $tls1, protocol: HTTPS, hostname: "*.wildcard.org", tls: {certificateRefs: [{name: all}]}}
- {name: fourth, port: $tls1, protocol: HTTPS, hostname: fourth-example.wildcard.org, tls: {certificateRefs: [{name: all}]}}`)+"\n---\n"+
		keyPair(t, "all", w.leaf(t, names...))+`
---
parentRefs: [{name: own, sectionName: rest}]
hostnames: [example.org]
rules: [{backendRefs: [{one}]}]
---
parentRefs: [{name: own, sectionName: second}]
rules: [{backendRefs: [{two}]}]
---
parentRefs: [{name: own, sectionName: wild}]
rules: [{backendRefs: [{three}]}]
---
parentRefs: [{name: own, sectionName: fourth}]
rules: [{backendRefs: [{one}]}]`)
	f := func(name, host, want string) {
		t.Helper()
		for version := 1; version <= 2; version++ {
			c := dialing(w.ports["tls1"], version, w.greeting(name))
			w.run(t, fmt.Sprintf("%s: %s asks for %s in HTTP/%d", row, name, host, version), c, parse(t, "GET "+host+"/ "+want))
			c.close()
		}
	}
	f("example.org", "example.org", "-> one")
	f("example.org", "second-example.org", "<- 421")
	f("example.org", "unknown-example.org", "<- 404")
	f("second-example.org", "second-example.org", "-> two")
	f("second-example.org", "example.org", "<- 421")
	f("second-example.org", "unknown-example.org", "<- 421")
	f("third-example.wildcard.org", "third-example.wildcard.org", "-> three")
	f("third-example.wildcard.org", "fifth-example.wildcard.org", "-> three")
	f("third-example.wildcard.org", "fourth-example.wildcard.org", "<- 421")
	f("third-example.wildcard.org", "second-example.org", "<- 421")
	f("third-example.wildcard.org", "unknown-example.org", "<- 421")
	f("fourth-example.wildcard.org", "fourth-example.wildcard.org", "-> one")
	f("fourth-example.wildcard.org", "fifth-example.wildcard.org", "<- 421")
	f("unknown-example.org", "example.org", "-> one")
	f("unknown-example.org", "unknown-example.org", "<- 404")
	coalesced(t, w, "GatewaySpec.listeners: 421 on one HTTP/2 connection for two names, which goes on")
}

// coalesced asks for several hosts over one connection, as browsers do whose certificate names them all.
func coalesced(t *testing.T, w *world, row string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	config := w.greeting("example.org")
	config.NextProtos = []string{"h2"}
	conn, err := h2.Dial(ctx, fmt.Sprint("127.0.0.1:", w.ports["tls1"]), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := func(host, want string) {
		t.Helper()
		id, err := conn.Open(true, [2]string{":method", "GET"}, [2]string{":scheme", "https"}, [2]string{":authority", host}, [2]string{":path", "/"})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := conn.Whole(ctx, id)
		if err != nil || answer.Status() != want {
			t.Errorf("%s: %s: %s, %v", row, host, answer.Status(), err)
		}
	}
	f("example.org", "200")
	f("second-example.org", "421")
	f("unknown-example.org", "404")
	f("example.org", "200")
}

// clientCertificates are what a Gateway asks of its clients (GEP-91).
func clientCertificates(t *testing.T, w *world) {
	clients, others := testkit.CA(t, "clients"), testkit.CA(t, "others")
	good, other := testkit.Issue(t, clients, ca.Leaf{Client: true}), testkit.Issue(t, others, ca.Leaf{Client: true})
	gateway := func(frontend string) string {
		return `
apiVersion: $gateway/v1
kind: Gateway
metadata: {name: own, namespace: spec}
spec:
  gatewayClassName: ebbgate
  tls: {frontend: {` + frontend + `}}
  listeners:
  - {name: a, port: $tls1, protocol: HTTPS, tls: {certificateRefs: [{name: listener}]}}
  - {name: b, port: $tls2, protocol: HTTPS, tls: {certificateRefs: [{name: listener}]}}
---
` + authority("clients", clients) + "\n---\n" + authority("others", others) + `
---
parentRefs: [{name: own}]
rules: [{backendRefs: [{one}]}]`
	}
	const mine, theirs = `caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}]`, `caCertificateRefs: [{group: "", kind: ConfigMap, name: others}]`
	// served are the clients that a port serves: with a certificate of ours, with one of others, with none.
	f := func(row, frontend, tls1, tls2 string, wrong ...string) {
		t.Helper()
		w.serve(t, row, gateway(frontend), wrong...)
		for port, served := range map[string]string{"tls1": tls1, "tls2": tls2} {
			for who, shown := range map[string][]certificate{"ours": {good}, "others": {other}, "none": nil} {
				for version := 1; version <= 2; version++ {
					c := dialing(w.ports[port], version, w.greeting("spec.test", shown...))
					about := fmt.Sprintf("%s: %s, certificate of %s, HTTP/%d", row, port, who, version)
					if slices.Contains(strings.Fields(served), who) {
						w.run(t, about, c, parse(t, "GET / -> one"))
					} else if res, err := c.transport.RoundTrip(w.request(t.Context(), t, "https", parse(t, "GET /"))); err == nil {
						_ = res.Body.Close()
						t.Errorf("%s: answered %s", about, res.Status)
					}
					c.close()
				}
			}
		}
	}
	f("FrontendTLSConfig.default: for every port", `default: {validation: {`+mine+`}}`, "ours", "ours")
	f("FrontendTLSConfig.perPort: in the place of the default", `default: {validation: {`+mine+`}}, perPort: [{port: $tls2, tls: {validation: {`+theirs+`}}}]`, "ours", "others")
	f("TLSPortConfig.tls: none for the port", `default: {validation: {`+mine+`}}, perPort: [{port: $tls2, tls: {}}]`, "ours", "ours others none")
	f("TLSPortConfig.port: alone, the default asks for none", `default: {}, perPort: [{port: $tls2, tls: {validation: {`+mine+`}}}]`, "ours others none", "ours")
	f("TLSConfig.validation: left out, none is asked for", `default: {}`, "ours others none", "ours others none")
	f("FrontendTLSValidation.mode: AllowValidOnly", `default: {validation: {mode: AllowValidOnly, `+mine+`}}`, "ours", "ours")
	f("FrontendTLSValidation.mode: AllowInsecureFallback", `default: {validation: {`+mine+`}}, perPort: [{port: $tls2, tls: {validation: {mode: AllowInsecureFallback, `+mine+`}}}]`,
		"ours", "ours others none", "InsecureFrontendValidationMode ConfigurationChanged")
	f("FrontendTLSValidation.caCertificateRefs: several, any one", `default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}, {group: "", kind: ConfigMap, name: others}]}}`,
		"ours others", "ours others")
	f("FrontendTLSValidation.caCertificateRefs: broken in part, the rest", `default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}, {group: "", kind: ConfigMap, name: missing}]}}`,
		"ours", "ours", "ResolvedRefs InvalidCACertificateRef")
	f("FrontendTLSValidation.caCertificateRefs: broken all, the listener is not served", `
  default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: missing}]}}, perPort: [{port: $tls2, tls: {validation: {`+mine+`}}}]`,
		"", "ours", "ResolvedRefs InvalidCACertificateRef", "Accepted NoValidCACertificate")
	f("GatewayTLSConfig.frontend: a kind that holds no authority", `
  default: {validation: {caCertificateRefs: [{group: "", kind: Service, name: clients}]}}, perPort: [{port: $tls2, tls: {validation: {`+mine+`}}}]`,
		"", "ours", "ResolvedRefs InvalidCACertificateKind", "Accepted NoValidCACertificate")
	f("ObjectReference.namespace: another, without a ReferenceGrant", `
  default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: clients, namespace: other}]}}, perPort: [{port: $tls2, tls: {validation: {`+mine+`}}}]`,
		"", "ours", "ResolvedRefs RefNotPermitted", "Accepted NoValidCACertificate")
}
