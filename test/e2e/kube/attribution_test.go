//go:build cluster

package kube_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// token is a ServiceAccount token of a Pod, as the kubelet mounts it.
func token(t *testing.T, namespace, name string) string {
	t.Helper()
	return strings.TrimSpace(kubectl(t, "", "-n", namespace, "create", "token", name, "--audience", "ebbgate", "--bound-object-kind", "Pod", "--bound-object-name", name))
}

// caller is who a proxy says that it was asked by.
type caller struct {
	Namespace, Source, Cluster, Workload, Pod string
	ServiceAccount                            string `json:"service_account"`
}

func (c caller) String() string { return c.Cluster + "/" + c.Namespace + "/" + c.ServiceAccount }

// logged is who a request came from, by the access log of the proxies.
func logged(t *testing.T, a answer) (who caller) {
	t.Helper()
	id := a.Header.Get("Ebbgate-Request-Id")
	eventually(t, "the access log has the line of "+id, func() bool {
		for _, pod := range pods(t, "ai", "gateway.networking.k8s.io/gateway-name=egress") {
			for line := range strings.Lines(kubectl(t, "", "-n", "ai", "logs", pod)) {
				var e struct {
					Event     string
					RequestID string `json:"request_id"`
					Client    caller
				}
				if json.Unmarshal([]byte(line), &e) == nil && e.Event == "" && e.RequestID == id {
					who = e.Client
					return true
				}
			}
		}
		return false
	})
	return who
}

// counted is the sum of a counter over the proxies, for those series that have the labels.
func counted(t *testing.T, name string, labels ...string) (sum float64) {
	t.Helper()
	for _, pod := range pods(t, "ai", "gateway.networking.k8s.io/gateway-name=egress") {
		ip := kubectl(t, "", "-n", "ai", "get", "pod", pod, "-o", "jsonpath={.status.podIP}")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ip+":9902/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Timeout: patience}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		sum += series(t, response.Body, name, labels)
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

func series(t *testing.T, page io.Reader, name string, labels []string) (sum float64) {
	t.Helper()
	lines := bufio.NewScanner(page)
next:
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue next
			}
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestAttribution: Pods of two namespaces and three ServiceAccounts are known by what they are; what they may, the key that
// is spent, logs and metrics follow. A fourth one lies in every header that it can, and shows another Pod's token.
func TestAttribution(t *testing.T) {
	authority := testkit.CA(t, "vendor")
	vendor := far(t, "api.vendor.test", upstream.Config{
		Certificate: testkit.Issue(t, authority, ca.Leaf{DNSNames: []string{"api.vendor.test", "payouts.vendor.test"}}),
	})
	for _, name := range []string{"ai", "payments", "games"} {
		namespace(t, name)
	}
	secret(t, "ai/vendor-ca", "ca.crt", string(authority.PEM()))
	secret(t, "ai/payments-key", "token", "sk-payments-1")
	secret(t, "ai/games-key", "token", "sk-games-1")
	story(t, "attribution", "ai/egress")
	invoice, ledger, lobby, liar := pod(t, "payments", "invoice"), pod(t, "payments", "ledger"), pod(t, "games", "lobby"), pod(t, "games", "liar")
	base := "http://" + address(t, "ai/egress") + ":18094"
	proof := http.Header{"Proxy-Authorization": {"Bearer " + token(t, "payments", "ledger")}}
	lies := proof.Clone()
	for field, value := range map[string]string{
		"Forwarded": "for=" + strings.TrimSuffix(strings.TrimPrefix(invoice.address, "http://"), ":8000"), "X-Forwarded-Client-Cert": "URI=spiffe://cluster.local/ns/payments/sa/invoice",
		"X-Forwarded-For": strings.TrimSuffix(strings.TrimPrefix(invoice.address, "http://"), ":8000"), "Ebbgate-Client": "payments/invoice",
		"Ebbgate-Hop": `name="x", depth=1, attempt=1, retries=0, client=("" "payments" "invoice"), regions=()`,
	} {
		lies.Set(field, value)
	}
	unproved := lies.Clone()
	unproved.Del("Proxy-Authorization")

	invoice.served(ask{Method: http.MethodGet, URL: base + "/answers"}, http.StatusOK)
	served := vendor.Heads()
	for _, c := range []struct {
		from              *workload
		path              string
		header            http.Header
		name, source, key string // no key: it is refused
	}{
		{invoice, "/answers", nil, "node/payments/invoice", "PodAddress", "Bearer sk-payments-1"},
		{invoice, "/answers", unproved, "node/payments/invoice", "PodAddress", "Bearer sk-payments-1"},
		{ledger, "/answers", nil, "node/payments/ledger", "PodAddress", "Bearer sk-payments-1"},
		{ledger, "/payouts", proof, "node/payments/ledger", "ServiceAccountToken", "Bearer sk-payments-1"},
		{ledger, "/payouts", nil, "node/payments/ledger", "PodAddress", ""},
		{invoice, "/payouts", nil, "node/payments/invoice", "PodAddress", ""},
		{lobby, "/answers", nil, "node/games/lobby", "PodAddress", "Bearer sk-games-1"},
		{liar, "/answers", nil, "node/games/liar", "PodAddress", ""},
		{liar, "/answers", unproved, "node/games/liar", "PodAddress", ""},
		{liar, "/answers", lies, "/unknown/unknown", "None", ""}, // a token is its Pod's alone
		{liar, "/payouts", lies, "/unknown/unknown", "None", ""},
	} {
		a := c.from.ask(ask{Method: http.MethodGet, URL: base + c.path, Header: c.header})
		if who := logged(t, a); who.String() != c.name || who.Source != c.source {
			t.Errorf("%s is logged as %s by %s, want %s by %s", c.path, who, who.Source, c.name, c.source)
		}
		if c.key == "" {
			if a.Status != http.StatusForbidden || a.reason() != "client_not_allowed" {
				t.Errorf("%s asks for %s: %d %s", c.name, c.path, a.Status, a.Body)
			}
			continue
		}
		served++
		if got := key(t, a); got != c.key {
			t.Errorf("%s spends %q, want %q", c.name, got, c.key)
		}
		for _, field := range []string{"Proxy-Authorization", "Forwarded", "X-Forwarded-For", "X-Forwarded-Client-Cert", "Ebbgate-Hop", "Ebbgate-Client"} {
			if v := a.echoed(t).Header.Get(field); v != "" {
				t.Errorf("%s went on: %s", field, v)
			}
		}
	}
	if n := vendor.Heads(); n != served {
		t.Errorf("the vendor was asked %d times, and %d were let out", n, served)
	}
	for account, want := range map[string]float64{"payments/invoice": 4, "payments/ledger": 3, "games/lobby": 1, "games/liar": 2, "unknown/unknown": 2} {
		namespace, name, _ := strings.Cut(account, "/")
		if got := counted(t, "ebbgate_requests_total", fmt.Sprintf("namespace=%q", namespace), fmt.Sprintf("service_account=%q", name)); got != want {
			t.Errorf("%s counts %v requests, want %v", account, got, want)
		}
	}
}
