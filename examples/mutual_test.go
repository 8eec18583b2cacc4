package examples_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func mutualSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/partners-ca", "ca.crt", string(authority.PEM()))
	s.pair("ai/bank-client", clientPair(s.t, authority, "bank-1"))
	s.pair("ai/insurer-client", clientPair(s.t, authority, "insurer-1"))
}

func clientPair(t testing.TB, authority *ca.CA, name string) tls.Certificate {
	t.Helper()
	return testkit.Issue(t, authority, ca.Leaf{CommonName: name, Client: true})
}

// pair writes certificate and key as a kubelet does: into a folder of their own, to which a link is swapped.
func (s *secrets) pair(name string, pair tls.Certificate) {
	s.t.Helper()
	key, err := ca.KeyPEM(pair)
	if err != nil {
		s.t.Fatal(err)
	}
	folder := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		s.t.Fatal(err)
	}
	version, err := os.MkdirTemp(folder, "..version")
	if err != nil {
		s.t.Fatal(err)
	}
	beside := filepath.Join(folder, "..next")
	for _, step := range []error{
		os.WriteFile(filepath.Join(version, "tls.crt"), ca.CertificatePEM(pair), 0o600),
		os.WriteFile(filepath.Join(version, "tls.key"), key, 0o600),
		os.Symlink(filepath.Base(version), beside),
		os.Rename(beside, filepath.Join(folder, "..data")),
	} {
		if step != nil {
			s.t.Fatal(step)
		}
	}
	for _, key := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", key), filepath.Join(folder, key)); err != nil && !os.IsExist(err) {
			s.t.Fatal(err)
		}
	}
}

var partnersLeaf = ca.Leaf{DNSNames: []string{"api.bank.test", "api.insurer.test"}}

// whoAmI answers with the common name that the client's certificate has.
func whoAmI(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
}

func startMutual(t *testing.T, handler http.Handler) (*gateway, *secrets, *ca.CA, *upstream.Upstream) {
	t.Helper()
	s, authority := named(t, "mutual-tls"), testkit.CA(t, "partners")
	made := newSecretsOf(t, s, authority)
	up := far(t, upstream.Config{
		Address: "127.0.11.5:8443", Certificate: testkit.Issue(t, authority, partnersLeaf), ClientCAs: authority.Pool(), Handler: handler,
	})
	return start(t, s, made, "127.0.0.1:18085"), made, authority, up
}

func TestMutualTLS(t *testing.T) {
	g, _, _, up := startMutual(t, nil)
	caller := g.from("127.0.0.1", true)
	for _, path := range []string{"/bank/accounts", "/insurer/claims", "/bank/accounts", "/insurer/claims"} {
		if a := caller.do(http.MethodPost, path, "a question"); a.status != http.StatusOK {
			t.Fatalf("answer %d: %s", a.status, a.body)
		}
	}
	if up.Connections() != 2 {
		t.Errorf("%d connections to two destinations", up.Connections())
	}
	for _, seen := range up.Requests() {
		partner, _, _ := strings.Cut(strings.TrimPrefix(seen.Target, "/"), "/")
		c := up.Accepted()[seen.Connection]
		if !c.Verified || c.Client[0].Subject.CommonName != partner+"-1" || c.SNI != "api."+partner+".test" || seen.Host != c.SNI+":8443" {
			t.Errorf("%s came with SNI %s and Host %s, as %v", seen.Target, c.SNI, seen.Host, c.Client[0].Subject)
		}
	}
}

// TestMutualRotation swaps the bank's client certificate under load, without a restart. No request fails; the new one is
// in use within a second; what began after that came with it, on connections that it opened; the insurer sees nothing.
func TestMutualRotation(t *testing.T) {
	g, made, authority, up := startMutual(t, http.HandlerFunc(whoAmI))
	var newest, calls atomic.Int64
	newest.Store(1)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 3 {
		caller := g.from("127.0.0.1", true)
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := newest.Load()
				a, err := caller.try(http.MethodPost, "/bank/accounts", "a question")
				var used int64
				if _, scan := fmt.Sscanf(a.body, "bank-%d", &used); err != nil || a.status != http.StatusOK || scan != nil || used < least {
					t.Errorf("certificate %d was in use, and a call got %d %q, %v", least, a.status, a.body, err)
					return
				}
				for now := newest.Load(); used > now && !newest.CompareAndSwap(now, used); now = newest.Load() {
				}
				calls.Add(1)
			}
		})
	}
	insurer := g.from("127.0.0.1", true)
	if a := insurer.get("/insurer/claims"); a.body != "insurer-1" {
		t.Errorf("the insurer saw %q", a.body)
	}
	for n := int64(2); n <= 3; n++ {
		before := calls.Load()
		eventually(t, patience, "calls go through", func() bool { return calls.Load() > before+20 || t.Failed() })
		made.pair("ai/bank-client", clientPair(t, authority, fmt.Sprintf("bank-%d", n)))
		eventually(t, time.Second, "the new certificate is in use", func() bool { return newest.Load() >= n || t.Failed() })
	}
	close(stop)
	running.Wait()
	if a := insurer.get("/insurer/claims"); a.body != "insurer-1" {
		t.Errorf("the insurer saw %q", a.body)
	}
	oldOnesClosed(t, up)
}

// oldOnesClosed asserts that connections of certificates that are no longer ours are closed, and the insurer's is one.
func oldOnesClosed(t *testing.T, up *upstream.Upstream) {
	t.Helper()
	insurers := 0
	eventually(t, patience, "connections of old certificates are closed", func() bool {
		insurers = 0
		for _, c := range up.Accepted() {
			if len(c.Client) == 0 {
				return false
			}
			switch name := c.Client[0].Subject.CommonName; {
			case name == "insurer-1":
				insurers++
			case name != "bank-3" && !c.Closed:
				return false
			}
		}
		return true
	})
	if insurers != 1 {
		t.Errorf("the insurer's certificate did not change, and it saw %d connections", insurers)
	}
}

// TestMutualRevocation deletes the bank's certificate: nothing goes to the bank any more, pooled connections or not.
func TestMutualRevocation(t *testing.T) {
	g, made, authority, up := startMutual(t, http.HandlerFunc(whoAmI))
	caller := g.from("127.0.0.1", true)
	if a := caller.get("/bank/"); a.body != "bank-1" {
		t.Fatalf("answer %d: %s", a.status, a.body)
	}
	made.remove("ai/bank-client")
	var a answer
	eventually(t, time.Second, "the deleted certificate is no longer used", func() bool { a = caller.get("/bank/"); return a.status != http.StatusOK })
	refused(t, a, http.StatusInternalServerError, "backend_invalid", "", "")
	heads := up.Heads()
	if a := caller.get("/bank/"); a.status != http.StatusInternalServerError || up.Heads() != heads {
		t.Errorf("answer %d, and the bank saw %d requests after %d", a.status, up.Heads(), heads)
	}
	if a := caller.get("/insurer/"); a.body != "insurer-1" {
		t.Errorf("the insurer's answer is %d: %s", a.status, a.body)
	}
	made.pair("ai/bank-client", clientPair(t, authority, "bank-2"))
	eventually(t, time.Second, "the restored certificate is used", func() bool { return caller.get("/bank/").body == "bank-2" })
}

// TestMutualStranger holds that a far side which does not know our certificate takes no request. In TLS 1.3 its refusal
// comes after our side of the handshake (RFC 8446, section 4.4.2.4), on bytes that it has not looked at.
func TestMutualStranger(t *testing.T) {
	s, authority := named(t, "mutual-tls"), testkit.CA(t, "partners")
	g := start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18085")
	for version, number := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(version, func(t *testing.T) {
			up := far(t, upstream.Config{
				Address: "127.0.11.5:8443", Certificate: testkit.Issue(t, authority, partnersLeaf),
				ClientCAs: testkit.CA(t, "other").Pool(), MaxVersion: number,
			})
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				a := g.from("127.0.0.1", false).do(method, "/bank/", "")
				if a.status/100 != 5 || a.problem.Reason != "tls_failed" {
					t.Errorf("%s: answer %d %s", method, a.status, a.body)
				}
			}
			silent(t, up, 2)
		})
	}
}
