package examples_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const verifyFar = "127.0.11.4:8443"

func verifySecrets(s *secrets, authority *ca.CA) {
	s.put("ai/vendor-ca", "ca.crt", string(authority.PEM()))
}

func TestVerifyTheRemote(t *testing.T) {
	s, authority := named(t, "verify-the-remote"), testkit.CA(t, "vendor")
	g := start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18084")
	caller := g.from("127.0.0.1", false)
	stranger := testkit.CA(t, "vendor") // of the same name, with another key
	between, err := authority.Intermediate("vendor issuing")
	if err != nil {
		t.Fatal(err)
	}
	dns := func(names ...string) ca.Leaf { return ca.Leaf{DNSNames: names} }
	uri := func(uris ...string) ca.Leaf { return ca.Leaf{URIs: uris} }
	with := func(leaf ca.Leaf, alter func(*ca.Leaf)) ca.Leaf { alter(&leaf); return leaf }
	expired := func(l *ca.Leaf) { l.NotAfter = time.Now().Add(-time.Minute) }
	forClients := func(l *ca.Leaf) { l.Client = true }
	const frontend = "spiffe://vendor.test/ns/api/sa/frontend"
	for _, c := range []struct {
		name, path, sni string
		by              *ca.CA
		leaf            ca.Leaf
		old             bool // the far side speaks TLS 1.2 at most
		reason          string
	}{
		{name: "hostname", path: "/by-hostname", by: authority, leaf: dns("api.vendor.test")},
		{name: "hostname through an intermediate", path: "/by-hostname", by: between, leaf: dns("api.vendor.test")},
		{name: "hostname by wildcard", path: "/by-hostname", by: authority, leaf: dns("*.vendor.test")},
		{name: "another hostname", path: "/by-hostname", by: authority, leaf: dns("api.other.test"), reason: "tls_verification_failed"},
		{name: "wildcard a level too high", path: "/by-hostname", by: authority, leaf: dns("*.test"), reason: "tls_verification_failed"},
		{name: "hostname, unknown CA", path: "/by-hostname", by: stranger, leaf: dns("api.vendor.test"), reason: "tls_verification_failed"},
		{name: "hostname, expired", path: "/by-hostname", by: authority, leaf: with(dns("api.vendor.test"), expired), reason: "tls_verification_failed"},
		{name: "hostname, for clients", path: "/by-hostname", by: authority, leaf: with(dns("api.vendor.test"), forClients), reason: "tls_verification_failed"},
		{name: "hostname as common name", path: "/by-hostname", by: authority, leaf: ca.Leaf{CommonName: "api.vendor.test"}, reason: "tls_verification_failed"},
		{name: "hostname, old TLS", path: "/by-hostname", by: authority, leaf: dns("api.vendor.test"), old: true, reason: "tls_failed"},

		{name: "DNS name", path: "/by-dns-name", by: authority, leaf: dns("tenant.vendor.test")},
		{name: "DNS name among others", path: "/by-dns-name", by: authority, leaf: dns("x.test", "tenant.vendor.test")},
		{name: "DNS name, SNI's alone", path: "/by-dns-name", by: authority, leaf: dns("edge.vendor.test"), reason: "tls_verification_failed"},
		{name: "DNS name as URI", path: "/by-dns-name", by: authority, leaf: uri("tenant.vendor.test"), reason: "tls_verification_failed"},
		{name: "DNS name, unknown CA", path: "/by-dns-name", by: stranger, leaf: dns("tenant.vendor.test"), reason: "tls_verification_failed"},
		{name: "DNS name, expired", path: "/by-dns-name", by: authority, leaf: with(dns("tenant.vendor.test"), expired), reason: "tls_verification_failed"},
		{name: "DNS name, for clients", path: "/by-dns-name", by: authority, leaf: with(dns("tenant.vendor.test"), forClients), reason: "tls_verification_failed"},

		{name: "URI", path: "/by-uri", by: authority, leaf: uri(frontend)},
		{name: "URI among others", path: "/by-uri", by: between, leaf: uri("https://x.test/", frontend)},
		{name: "URI longer", path: "/by-uri", by: authority, leaf: uri(frontend + "-2"), reason: "tls_verification_failed"},
		{name: "URI shorter", path: "/by-uri", by: authority, leaf: uri("spiffe://vendor.test/ns/api/sa/"), reason: "tls_verification_failed"},
		{name: "URI of another trust domain", path: "/by-uri", by: authority, leaf: uri("spiffe://other.test/ns/api/sa/frontend"), reason: "tls_verification_failed"},
		{name: "URI missing, hostname right", path: "/by-uri", by: authority, leaf: dns("mesh.vendor.test"), reason: "tls_verification_failed"},
		{name: "URI, unknown CA", path: "/by-uri", by: stranger, leaf: uri(frontend), reason: "tls_verification_failed"},
		{name: "URI, expired", path: "/by-uri", by: authority, leaf: with(uri(frontend), expired), reason: "tls_verification_failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := upstream.Config{Address: verifyFar, Certificate: testkit.Issue(t, c.by, c.leaf)}
			if c.old {
				config.MaxVersion = tls.VersionTLS12
			}
			up := far(t, config)
			a := caller.do(http.MethodPost, c.path+"/v1", "for the vendor's eyes")
			if c.reason != "" {
				refused(t, a, http.StatusBadGateway, c.reason, "", "")
				silent(t, up, 1)
				return
			}
			host := a.echoed(t).Host
			want := map[string][2]string{
				"/by-hostname": {"api.vendor.test", "api.vendor.test:8443"},
				"/by-dns-name": {"edge.vendor.test", "tenant.vendor.test:8443"},
				"/by-uri":      {"mesh.vendor.test", "mesh.vendor.test:8443"},
			}[c.path]
			if sni := up.Accepted()[0].SNI; sni != want[0] || host != want[1] {
				t.Errorf("SNI %q and Host %q, want %q", sni, host, want)
			}
		})
	}
}

// TestVerifyNewAuthority replaces the bundle while a verified connection is open: what the old authority vouched for is
// trusted no longer, the open connection included.
func TestVerifyNewAuthority(t *testing.T) {
	s, authority, next := named(t, "verify-the-remote"), testkit.CA(t, "vendor"), testkit.CA(t, "next")
	made := newSecretsOf(t, s, authority)
	g := start(t, s, made, "127.0.0.1:18084")
	caller := g.from("127.0.0.1", true)
	up := far(t, upstream.Config{Address: verifyFar, Certificate: testkit.Issue(t, authority, vendorLeaf)})
	for range 2 {
		if a := caller.get("/by-hostname/"); a.status != http.StatusOK {
			t.Fatalf("answer %d: %s", a.status, a.body)
		}
	}
	if up.Connections() != 1 {
		t.Fatalf("%d connections for two calls", up.Connections())
	}
	made.put("ai/vendor-ca", "ca.crt", string(next.PEM()))
	var a answer
	eventually(t, time.Second, "the old authority is trusted no longer", func() bool { a = caller.get("/by-hostname/"); return a.status != http.StatusOK })
	refused(t, a, http.StatusBadGateway, "tls_verification_failed", "", "")
	up.SetCertificate(testkit.Issue(t, next, vendorLeaf))
	if a := caller.get("/by-hostname/"); a.status != http.StatusOK {
		t.Errorf("answer %d: %s", a.status, a.body)
	}
}
