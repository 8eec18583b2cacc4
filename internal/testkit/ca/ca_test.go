package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func authorityOf(t *testing.T, name string) *CA {
	t.Helper()
	c, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func issue(t *testing.T, c *CA, leaf Leaf) tls.Certificate {
	t.Helper()
	certificate, err := c.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestIssue(t *testing.T) {
	root := authorityOf(t, "root")
	leaf := issue(t, root, Leaf{
		CommonName: "cn", DNSNames: []string{"api.example.com"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs: []string{"spiffe://cluster.local/ns/a/sa/b"},
	}).Leaf
	for _, name := range []string{"api.example.com", "127.0.0.1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: root.Pool(), DNSName: name}); err != nil {
			t.Errorf("verify for %s: %v", name, err)
		}
	}
	if leaf.URIs[0].String() != "spiffe://cluster.local/ns/a/sa/b" || leaf.Subject.CommonName != "cn" {
		t.Errorf("names: %v, %v", leaf.URIs, leaf.Subject)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: authorityOf(t, "root").Pool()}); err == nil {
		t.Error("verified under another root of the same name")
	}
	if _, err := root.Issue(Leaf{URIs: []string{"://"}}); err == nil {
		t.Error("issued a URI that is none")
	}
}

func TestUsageIsServerOrClient(t *testing.T) {
	root := authorityOf(t, "root")
	for _, client := range []bool{false, true} {
		leaf := issue(t, root, Leaf{Client: client}).Leaf
		for usage, want := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageServerAuth: !client, x509.ExtKeyUsageClientAuth: client} {
			_, err := leaf.Verify(x509.VerifyOptions{Roots: root.Pool(), KeyUsages: []x509.ExtKeyUsage{usage}})
			if (err == nil) != want {
				t.Errorf("client %t, usage %v: %v", client, usage, err)
			}
		}
	}
}

func TestExpired(t *testing.T) {
	root := authorityOf(t, "root")
	for name, leaf := range map[string]Leaf{
		"expired":       {NotAfter: time.Now().Add(-48 * time.Hour)},
		"not yet valid": {NotBefore: time.Now().Add(time.Hour)},
	} {
		_, err := issue(t, root, leaf).Leaf.Verify(x509.VerifyOptions{Roots: root.Pool()})
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIntermediateChainsAndPEM(t *testing.T) {
	root := authorityOf(t, "root")
	first, err := root.Intermediate("first")
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Intermediate("second")
	if err != nil {
		t.Fatal(err)
	}
	issued := issue(t, second, Leaf{DNSNames: []string{"a.example"}})
	key, err := KeyPEM(issued)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tls.X509KeyPair(CertificatePEM(issued), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Certificate) != 3 {
		t.Fatalf("chain of %d, want leaf and two intermediates", len(loaded.Certificate))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root.PEM()) {
		t.Fatal("root's PEM holds no certificate")
	}
	between := x509.NewCertPool()
	for _, der := range loaded.Certificate[1:] {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(certificate)
	}
	if _, err := loaded.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "a.example"}); err != nil {
		t.Error(err)
	}
	if _, err := loaded.Leaf.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("verified without the intermediates")
	}
}
