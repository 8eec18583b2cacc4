package examples_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const (
	reachFar = "127.0.11.1:8443"
	payments = "127.0.0.2"
	games    = "127.0.0.3"
	nobody   = "127.0.0.1" // local/local
)

func reachSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/vendor-ca", "ca.crt", string(authority.PEM()))
	s.put("ai/vendor-key", "token", "sk-vendor-1")
}

func startReach(t *testing.T) (*gateway, *ca.CA) {
	t.Helper()
	s, authority := named(t, "reach-a-service"), testkit.CA(t, "vendor")
	return start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18081"), authority
}

// vendorLeaf is the far side's certificate where nothing is wrong with it.
var vendorLeaf = ca.Leaf{DNSNames: []string{"api.vendor.test"}}

func TestReachAService(t *testing.T) {
	g, authority := startReach(t)
	up := far(t, upstream.Config{Address: reachFar, Certificate: testkit.Issue(t, authority, vendorLeaf)})
	const body = "{\"prompt\": \"caf\u00e9 \x00\xff\"}"
	a := g.from(payments, false).do(http.MethodPost, "/vendor/v1/answers?b=2&a=1", body,
		"Authorization", "Bearer of-the-client", "Cookie", "session=1", "X-Api-Key", "of-the-client", "Accept-Encoding", "identity", "User-Agent", "test")
	if a.status != http.StatusOK {
		t.Fatalf("answer %d: %s", a.status, a.body)
	}
	seen, err := up.WaitRequest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Method != http.MethodPost || seen.Target != "/v1/answers?b=2&a=1" || string(seen.Body) != body {
		t.Errorf("the far side got %s %s %q", seen.Method, seen.Target, seen.Body)
	}
	for name, want := range map[string]string{
		"Host": "api.vendor.test:8443", "Authorization": "Bearer sk-vendor-1", "Cookie": "", "X-Api-Key": "", "X-Forwarded-For": "",
	} {
		if got := strings.Join(seen.Values(name), "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if via := strings.Join(seen.Values("Via"), "|"); !strings.HasPrefix(via, "1.1 ebbgate-") {
		t.Errorf("Via is %q", via)
	}
	if c := up.Accepted()[seen.Connection]; c.SNI != "api.vendor.test" || len(c.Client) != 0 {
		t.Errorf("SNI %q, %d client certificates", c.SNI, len(c.Client))
	}
}

// TestReachOnlyWhoItShouldBe holds that nothing is said to a far side that cannot prove itself.
func TestReachOnlyWhoItShouldBe(t *testing.T) {
	g, authority := startReach(t)
	caller := g.from(payments, false)
	past := time.Now().Add(-time.Minute)
	for name, leaf := range map[string]struct {
		by   *ca.CA
		leaf ca.Leaf
	}{
		"wrong host":   {authority, ca.Leaf{DNSNames: []string{"api.other.test"}}},
		"no name":      {authority, ca.Leaf{CommonName: "api.vendor.test"}},
		"expired":      {authority, ca.Leaf{DNSNames: vendorLeaf.DNSNames, NotAfter: past}},
		"not yet":      {authority, ca.Leaf{DNSNames: vendorLeaf.DNSNames, NotBefore: time.Now().Add(time.Hour)}},
		"for clients":  {authority, ca.Leaf{DNSNames: vendorLeaf.DNSNames, Client: true}},
		"unknown CA":   {testkit.CA(t, "somebody"), vendorLeaf},
		"same-name CA": {testkit.CA(t, "vendor"), vendorLeaf},
	} {
		t.Run(name, func(t *testing.T) {
			up := far(t, upstream.Config{Address: reachFar, Certificate: testkit.Issue(t, leaf.by, leaf.leaf)})
			a := caller.do(http.MethodPost, "/vendor/v1/answers", "for the vendor's eyes")
			refused(t, a, http.StatusBadGateway, "tls_verification_failed", "", "")
			silent(t, up, 1)
		})
	}
	t.Run("right again", func(t *testing.T) {
		up := far(t, upstream.Config{Address: reachFar, Certificate: testkit.Issue(t, authority, vendorLeaf)})
		if a := caller.get("/vendor/v1/models"); a.status != http.StatusOK || up.Heads() != 1 {
			t.Errorf("answer %d: %s", a.status, a.body)
		}
	})
}

func TestReachRefusals(t *testing.T) {
	g, authority := startReach(t)
	up := far(t, upstream.Config{Address: reachFar, Certificate: testkit.Issue(t, authority, vendorLeaf)})
	const egress, posture = "EgressPolicy/ai/vendor", "GuardRailsPolicy/ai/posture"
	for name, c := range map[string]struct {
		from, method, path            string
		fields                        []string
		reason, policy, field, detail string
	}{
		"client of another namespace": {from: games, path: "/vendor/v1/models", reason: "client_not_allowed", policy: egress, field: "spec.clients", detail: "games/lobby"},
		"client without a name":       {from: nobody, path: "/vendor/v1/models", reason: "client_not_allowed", policy: egress, field: "spec.clients", detail: "local/local"},
		"name claimed in headers": {
			from: games, path: "/vendor/v1/models", reason: "client_not_allowed", policy: egress, field: "spec.clients", detail: "games/lobby",
			fields: []string{"X-Forwarded-For", payments, "Forwarded", "for=" + payments, "X-Real-IP", payments},
		},
		"method":           {from: payments, method: http.MethodDelete, path: "/vendor/v1/models", reason: "request_not_allowed", policy: egress, field: "spec.requests.methods"},
		"path":             {from: payments, path: "/vendor/admin", reason: "request_not_allowed", policy: egress, field: "spec.requests.paths"},
		"path by dots":     {from: payments, path: "/vendor/v1/../admin", reason: "request_not_allowed", policy: egress, field: "spec.requests.paths"},
		"denied host":      {from: payments, path: "/pixel/v1/collect", reason: "host_denied", policy: posture, field: "spec.hosts.deny", detail: "pixel.tracker.test"},
		"denied authority": {from: payments, path: "/vendor/v1/models", fields: []string{"Host", "a.tracker.test"}, reason: "host_denied", policy: posture, field: "spec.hosts.deny"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodGet
			}
			a := g.from(c.from, false).do(c.method, c.path, "", c.fields...)
			refused(t, a, http.StatusForbidden, c.reason, c.policy, c.field)
			if !strings.Contains(a.problem.Detail, c.detail) {
				t.Errorf("the detail does not name %s: %s", c.detail, a.problem.Detail)
			}
		})
	}
	silent(t, up, 0)
}
