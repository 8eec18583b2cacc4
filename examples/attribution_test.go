package examples_test

import (
	"net/http"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const (
	invoice = "127.0.0.2"
	ledger  = "127.0.0.3"
	lobby   = "127.0.0.4"
)

func attributionSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/vendor-ca", "ca.crt", string(authority.PEM()))
	s.put("ai/payments-key", "token", "sk-payments-1")
	s.put("ai/games-key", "token", "sk-games-1")
}

// lies are what a client can write to be taken for another.
var lies = []string{
	"Forwarded", "for=127.0.0.2", "X-Forwarded-For", "127.0.0.2", "X-Real-IP", "127.0.0.2", "Proxy-Authorization", "Bearer of-the-client",
	"Ebbgate-Hop", `name="x", depth=1, attempt=1, retries=0, client=("" "payments" "invoice"), regions=()`, "Ebbgate-Client", "payments/invoice",
	"X-Forwarded-Client-Cert", "URI=spiffe://cluster.local/ns/payments/sa/invoice",
}

// TestAttribution: whose request it is decides what is let out, with which key, and what the log says; what the client
// writes of itself does not.
func TestAttribution(t *testing.T) {
	s, authority := named(t, "attribution"), testkit.CA(t, "vendor")
	up := far(t, upstream.Config{
		Address: "127.0.11.14:8443", Certificate: testkit.Issue(t, authority, ca.Leaf{DNSNames: []string{"api.vendor.test", "payouts.vendor.test"}}),
	})
	g := start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18094")
	served := 0
	for _, c := range []struct {
		from, path, name, source, key string
	}{
		{invoice, "/answers", "payments/invoice", "Static", "Bearer sk-payments-1"},
		{ledger, "/answers", "payments/ledger", "Static", "Bearer sk-payments-1"},
		{lobby, "/answers", "games/lobby", "Static", "Bearer sk-games-1"},
		{nobody, "/answers", "local/local", "Loopback", ""},
		{invoice, "/payouts", "payments/invoice", "Static", ""},
		{ledger, "/payouts", "payments/ledger", "Static", ""}, // its name is right, and not proved
	} {
		for _, headers := range [][]string{nil, lies} {
			a := g.from(c.from, false).get(c.path, headers...)
			if e := g.line(a); e.name() != c.name || e.Client.Source != c.source {
				t.Errorf("%s is logged as %s by %s, want %s by %s", c.from, e.name(), e.Client.Source, c.name, c.source)
			}
			if c.key == "" {
				if a.status != http.StatusForbidden || a.problem.Reason != "client_not_allowed" {
					t.Errorf("%s asks for %s: %d %s", c.name, c.path, a.status, a.body)
				}
				continue
			}
			served++
			if got := key(t, a); got != c.key {
				t.Errorf("%s spends %q, want %q", c.name, got, c.key)
			}
			for _, field := range []string{"Proxy-Authorization", "Forwarded", "X-Forwarded-For", "X-Real-Ip", "Ebbgate-Hop", "Ebbgate-Client"} {
				if v := a.echoed(t).Header.Get(field); v != "" {
					t.Errorf("%s went on: %s", field, v)
				}
			}
		}
	}
	if n := up.Heads(); n != served {
		t.Errorf("the vendor was asked %d times, and %d were let out", n, served)
	}
}
