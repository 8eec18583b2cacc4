package identify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

func TestParse(t *testing.T) {
	f := func(id, domain, path string, want bool) {
		t.Helper()
		if d, p, ok := parse(id); ok != want || ok && (d != domain || p != path) {
			t.Errorf("%s: %q %q %t", id, d, p, ok)
		}
	}
	f("spiffe://td/ns/a/sa/b", "td", "/ns/a/sa/b", true)
	f("spiffe://t-d.example_1/A/b.c", "t-d.example_1", "/A/b.c", true)
	f("spiffe://td", "td", "", true)
	f("spiffe://"+strings.Repeat("d", 255)+"/a", strings.Repeat("d", 255), "/a", true)
	for _, id := range []string{
		"", "td/a", "https://td/a", "SPIFFE://td/a", "spiffe:///a", "spiffe://", "spiffe://TD/a", "spiffe://td:80/a", "spiffe://u@td/a",
		"spiffe://td/", "spiffe://td/a/", "spiffe://td//a", "spiffe://td/./a", "spiffe://td/../a", "spiffe://td/a?q", "spiffe://td/a#f",
		"spiffe://td/%61", "spiffe://td/a b", "spiffe://td/ä", "spiffe://" + strings.Repeat("d", 256) + "/a", "spiffe://td/" + strings.Repeat("a", 2048),
	} {
		f(id, "", "", false)
	}
}

func TestWorkload(t *testing.T) {
	f := func(path, namespace, serviceAccount string) {
		t.Helper()
		if n, s, ok := workload(path); ok != (namespace != "") || ok && (n != namespace || s != serviceAccount) {
			t.Errorf("%s: %q %q %t", path, n, s, ok)
		}
	}
	f("/ns/ai/sa/batch", "ai", "batch")
	f("/ns/ai/sa/batch/x", "", "")
	f("/ns/ai/sa", "", "")
	f("/ns/ai", "", "")
	f("/ns/ai/x/batch", "", "")
	f("/x/ns/ai/sa/batch", "", "")
	f("/sa/batch/ns/ai", "", "")
	f("/NS/ai/sa/batch", "", "")
}

// bundles are those of two trust domains; a third one's cannot be read.
func bundles(t *testing.T, ours, edge *ca.CA) *Bundles {
	t.Helper()
	objects := map[string]*plan.Secret{}
	for name, text := range map[string][]byte{"ConfigMap/a/ours": ours.PEM(), "Secret/a/edge": edge.PEM(), "ConfigMap/a/bad": []byte("nonsense")} {
		objects[name] = &plan.Secret{Name: name, Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(text)}}
	}
	b, problems := NewBundles([]plan.SPIFFESource{
		{TrustDomain: "cluster.local", Bundle: "ConfigMap/a/ours"}, {TrustDomain: "edge", Bundle: "Secret/a/edge"},
		{TrustDomain: "bad", Bundle: "ConfigMap/a/bad"}, {TrustDomain: "gone", Bundle: "ConfigMap/a/gone"},
	}, func(name string) *plan.Secret { return objects[name] })
	if len(problems) != 2 || !strings.Contains(problems[0].Error(), "ConfigMap/a/bad") || !strings.Contains(problems[1].Error(), "ConfigMap/a/gone") {
		t.Errorf("problems: %v", problems)
	}
	return b
}

func shown(certificates ...[]byte) *tls.ConnectionState {
	state := &tls.ConnectionState{}
	for _, der := range certificates {
		if c, err := x509.ParseCertificate(der); err == nil {
			state.PeerCertificates = append(state.PeerCertificates, c)
		}
	}
	return state
}

func TestSPIFFE(t *testing.T) {
	ours, edge := testkit.CA(t, "ours"), testkit.CA(t, "edge")
	between, err := ours.Intermediate("between")
	if err != nil {
		t.Fatal(err)
	}
	b := bundles(t, ours, edge)
	now := time.Now()
	const id = "spiffe://cluster.local/ns/ai/sa/batch"
	f := func(what, want string, state *tls.ConnectionState) {
		t.Helper()
		if got := b.SPIFFE(state, now); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	issued := func(c *ca.CA, leaf ca.Leaf) *tls.ConnectionState {
		return shown(testkit.Issue(t, c, leaf).Certificate...)
	}
	of := func(ids ...string) ca.Leaf { return ca.Leaf{Client: true, URIs: ids} }
	f("no certificate", "", &tls.ConnectionState{})
	f("an id", id, issued(ours, of(id)))
	f("an id with a DNS name", id, issued(ours, ca.Leaf{Client: true, URIs: []string{id}, DNSNames: []string{"a.test"}}))
	f("by an intermediate", id, issued(between, of(id)))
	chain := testkit.Issue(t, between, of(id)).Certificate
	f("without its intermediate", "", shown(chain[0]))
	f("the other domain", "spiffe://edge/a", issued(edge, of("spiffe://edge/a")))
	f("the other domain's bundle", "", issued(edge, of(id)))
	f("an unknown domain", "", issued(ours, of("spiffe://other/ns/ai/sa/batch")))
	f("a domain without a bundle", "", issued(ours, of("spiffe://bad/a")))
	f("an unknown CA", "", issued(testkit.CA(t, "ours"), of(id)))
	f("no URI", "", issued(ours, ca.Leaf{Client: true, CommonName: id, DNSNames: []string{"a.test"}}))
	f("two ids", "", issued(ours, of(id, "spiffe://cluster.local/x")))
	f("an id and another URI", "", issued(ours, of("https://a.test/", id)))
	f("no SPIFFE id", "", issued(ours, of("https://cluster.local/ns/ai/sa/batch")))
	f("the trust domain itself", "", issued(ours, of("spiffe://cluster.local")))
	f("an escape", "", issued(ours, of("spiffe://cluster.local/ns/%61i/sa/batch")))
	f("for servers alone", "", issued(ours, ca.Leaf{URIs: []string{id}}))
	f("expired", "", issued(ours, ca.Leaf{Client: true, URIs: []string{id}, NotAfter: now.Add(-time.Minute)}))
	f("not yet", "", issued(ours, ca.Leaf{Client: true, URIs: []string{id}, NotBefore: now.Add(time.Hour)}))
	f("a CA", "", shown(authority(t, ours, id, true, 0)))
	f("may sign certificates", "", shown(authority(t, ours, id, false, x509.KeyUsageCertSign)))
	f("may sign revocations", "", shown(authority(t, ours, id, false, x509.KeyUsageCRLSign)))
	f("may sign nothing", id, shown(authority(t, ours, id, false, x509.KeyUsageDigitalSignature)))
}

// authority is a certificate with an id that is, or is nearly, a CA's.
func authority(t *testing.T, parent *ca.CA, id string, isCA bool, usage x509.KeyUsage) []byte {
	t.Helper()
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), URIs: []*url.URL{uri}, BasicConstraintsValid: true, IsCA: isCA, KeyUsage: usage,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parent.Certificate(), key.Public(), parent.Signer())
	if err != nil {
		t.Fatal(err)
	}
	return der
}
