//go:build cluster

package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// Each example is applied as it lies there, with the Secrets and far sides that its README names, and used from Pods. The tests
// in examples/ hold what else it says; provider-failover is TestStory's.

// to is a request to a Gateway of namespace ai, with a credential that no far side may see.
func to(t testing.TB, gateway string, port int, path string) ask {
	t.Helper()
	return ask{
		Method: http.MethodPost, URL: fmt.Sprintf("http://%s:%d%s", address(t, "ai/"+gateway), port, path), Body: chat,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer of-the-workload"}},
	}
}

// elsewhere is the same request with another path.
func (a ask) elsewhere(path string) ask {
	a.URL = a.URL[:strings.Index(a.URL[len("http://"):], "/")+len("http://")] + path
	return a
}

func TestReachAService(t *testing.T) {
	namespace(t, "ai", "payments", "games")
	authority := trust(t, "ai/vendor-ca")
	secret(t, "ai/vendor-key", "token", "sk-vendor-1")
	vendor, pixel := destination(t, authority, "api.vendor.test", nil), destination(t, authority, "pixel.tracker.test", nil)
	story(t, "reach-a-service", "ai/egress")
	invoice, lobby := pod(t, "payments", "invoice"), pod(t, "games", "lobby")
	call := to(t, "egress", 18081, "/vendor/v1/answers")
	got := invoice.served(call, http.StatusOK)
	if e := got.echoed(t); e.Host != "api.vendor.test:8443" || e.Target != "/v1/answers" || key(t, got) != "Bearer sk-vendor-1" {
		t.Errorf("the vendor was asked %+v", e)
	}
	heads := vendor.Heads()
	lobby.refused(call, http.StatusForbidden, "client_not_allowed")
	invoice.refused(call.elsewhere("/vendor/admin"), http.StatusForbidden, "request_not_allowed")
	invoice.refused(call.elsewhere("/pixel/collect"), http.StatusForbidden, "host_denied")
	if vendor.Heads() != heads || pixel.Connections() > 0 {
		t.Errorf("of what was refused %d requests went on, and %d connections to a denied host", vendor.Heads()-heads, pixel.Connections())
	}
}

func TestCentralCredentials(t *testing.T) {
	namespace(t, "ai", "platform", "team-a", "team-b", "team-c")
	authority := trust(t, "ai/vendor-ca")
	secret(t, "platform/vendor-key", "token", "sk-shared-1")
	secret(t, "platform/team-a-key", "token", "sk-team-a-1")
	vendor := destination(t, authority, "api.vendor.test", nil)
	story(t, "central-credentials", "ai/egress")
	call := to(t, "egress", 18082, "/v1/models")
	for team, want := range map[string]struct{ key, project string }{"team-a": {"Bearer sk-team-a-1", "project-a"}, "team-b": {"Bearer sk-shared-1", ""}} {
		got := pod(t, team, "app").served(call, http.StatusOK)
		if project := got.echoed(t).Header.Get("X-Vendor-Project"); key(t, got) != want.key || project != want.project {
			t.Errorf("%s: the vendor was shown %q of project %q", team, key(t, got), project)
		}
	}
	heads := vendor.Heads()
	pod(t, "team-c", "app").refused(call, http.StatusForbidden, "client_not_allowed")
	if vendor.Heads() != heads {
		t.Error("a key was spent for a team that is not named")
	}
}

// TestInferenceCluster has both Gateways on the one cluster; the child reaches its parent at an address of the outside.
func TestInferenceCluster(t *testing.T) {
	namespace(t, "ai", "payments", "games")
	clusters, outer := trust(t, "ai/clusters-ca"), trust(t, "ai/provider-ca")
	pair(t, "ai/gateway-id", testkit.Issue(t, clusters, ca.Leaf{Client: true, URIs: []string{"spiffe://workloads.test/ns/ai/sa/egress"}}))
	pair(t, "ai/gateway-tls", testkit.Issue(t, clusters, ca.Leaf{DNSNames: []string{"gateway.inference.test"}}))
	secret(t, "ai/provider-key", "token", "sk-provider-1")
	provider := destination(t, outer, "api.provider.test", nil)
	preview := destination(t, outer, "preview.provider.test", nil)
	story(t, "inference-cluster/inference", "ai/inference")
	kubectl(t, "", "-n", "ai", "patch", "service", "inference-ebbgate", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"externalIPs":[%q]}}`, names["gateway.inference.test"]))
	story(t, "inference-cluster/workloads", "ai/egress")
	invoice, lobby := pod(t, "payments", "invoice"), pod(t, "games", "lobby")
	call := to(t, "egress", 18088, "/models/v1/answers")
	got := invoice.served(call, http.StatusOK)
	e := got.echoed(t)
	if via := strings.Join(e.Header["Via"], ", "); e.Target != "/v1/answers" || key(t, got) != "Bearer sk-provider-1" || via != "1.1 workloads, 1.1 inference" || e.Header["Ebbgate-Hop"] != nil {
		t.Errorf("the provider was asked %+v", e)
	}
	heads := provider.Heads()
	lobby.refused(call, http.StatusForbidden, "client_not_allowed")
	invoice.refused(call.elsewhere("/preview"), http.StatusForbidden, "host_denied")
	if provider.Heads() != heads || preview.Connections() > 0 {
		t.Errorf("of what the parent refused %d requests went on, and %d connections to a denied host", provider.Heads()-heads, preview.Connections())
	}
}

// TestLocalFirst has Pods behind the Services.
func TestLocalFirst(t *testing.T) {
	namespace(t, "ai", "team-b")
	authority := trust(t, "ai/provider-ca")
	secret(t, "ai/provider-key", "token", "sk-provider-1")
	provider := destination(t, authority, "api.provider.test", nil)
	large, small := pod(t, "ai", "model-large"), pod(t, "ai", "model-small")
	story(t, "local-first", "ai/egress")
	own, foreign := pod(t, "ai", "chat"), pod(t, "team-b", "chat")
	call := to(t, "egress", 18091, "/v1/chat/completions")
	by := func(w *workload) string {
		var served struct {
			Pod    string
			Header http.Header
		}
		got := w.served(call, http.StatusOK)
		if err := json.Unmarshal([]byte(got.Body), &served); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(served.Header["Authorization"], "Bearer sk-provider-1") && served.Pod != "" {
			t.Errorf("%s was shown the provider's key", served.Pod)
		}
		return served.Pod
	}
	for _, model := range []string{"model-large", "model-small"} {
		eventually(t, model+" has its share", func() bool { return by(own) == model && by(foreign) != "" })
	}
	large.answer(http.StatusServiceUnavailable)
	eventually(t, "the small pool takes over", func() bool { return by(own) == "model-small" })
	if provider.Heads() > 0 {
		t.Fatalf("the provider was asked %d times while a pool could answer", provider.Heads())
	}
	small.answer(http.StatusTooManyRequests)
	if got := own.served(call, http.StatusOK); key(t, got) != "Bearer sk-provider-1" {
		t.Errorf("the provider was shown %q", key(t, got))
	}
	heads := provider.Heads()
	if got := foreign.ask(call); got.Status == http.StatusOK || provider.Heads() != heads {
		t.Errorf("a workload of another namespace is answered %d %s, and the provider was asked %d times", got.Status, got.Body, provider.Heads()-heads)
	}
}

func TestMutualTLS(t *testing.T) {
	namespace(t, "ai")
	authority := trust(t, "ai/partners-ca")
	us := func(secret, name string) {
		pair(t, "ai/"+secret, testkit.Issue(t, authority, ca.Leaf{Client: true, CommonName: name}))
	}
	us("bank-client", "us-at-the-bank")
	us("insurer-client", "us-at-the-insurer")
	partner := func(name string) *upstream.Upstream {
		return far(t, name, upstream.Config{Certificate: testkit.Issue(t, authority, ca.Leaf{DNSNames: []string{name}}), ClientCAs: authority.Pool()})
	}
	bank, insurer := partner("api.bank.test"), partner("api.insurer.test")
	story(t, "mutual-tls", "ai/egress")
	w := pod(t, "ai", "chat")
	accounts, claims := to(t, "egress", 18085, "/bank/accounts"), to(t, "egress", 18085, "/insurer/claims")
	// known is who we were on the newest connection to a partner.
	known := func(at *upstream.Upstream, a ask) string {
		w.served(a, http.StatusOK)
		all := at.Accepted()
		return all[len(all)-1].Client[0].Subject.CommonName
	}
	if at, to := known(bank, accounts), known(insurer, claims); at != "us-at-the-bank" || to != "us-at-the-insurer" {
		t.Errorf("the bank knows us as %q, the insurer as %q", at, to)
	}
	us("bank-client", "us-at-the-bank-2")
	eventually(t, "the new certificate is used", func() bool { return known(bank, accounts) == "us-at-the-bank-2" })
	kubectl(t, "", "-n", "ai", "delete", "secret", "bank-client")
	if got := w.served(accounts, http.StatusInternalServerError); got.reason() != "backend_invalid" {
		t.Errorf("without a certificate: %s", got.Body)
	}
	heads := bank.Heads()
	w.refused(accounts, http.StatusInternalServerError, "backend_invalid")
	if bank.Heads() != heads || known(insurer, claims) != "us-at-the-insurer" {
		t.Errorf("the bank was asked %d times without a certificate of ours", bank.Heads()-heads)
	}
}

func TestProviderFeatures(t *testing.T) {
	namespace(t, "ai", "team-b")
	authority := trust(t, "ai/provider-ca")
	secret(t, "ai/anthropic-key", "token", "sk-ant-1")
	secret(t, "ai/openai-key", "token", "sk-oai-1")
	anthropic, openai := destination(t, authority, "api.anthropic.test", nil), destination(t, authority, "api.openai.test", nil)
	story(t, "provider-features", "ai/egress")
	own, foreign := pod(t, "ai", "chat"), pod(t, "team-b", "chat")
	message := to(t, "egress", 18090, "/anthropic/v1/messages?beta=true&b=2&a=%2F")
	message.Header.Set("anthropic-version", "2023-06-01")
	message.Header["Anthropic-Beta"] = []string{"tools", "caching"}
	message.Body = `{"thinking":  {"budget_tokens":1024}}`
	e := own.served(message, http.StatusOK).echoed(t)
	if e.Target != "/v1/messages?beta=true&b=2&a=%2F" || e.Body != message.Body || !slices.Equal(e.Header["Anthropic-Beta"], []string{"tools", "caching"}) ||
		e.Header.Get("Anthropic-Version") != "2023-06-01" || e.Header.Get("X-Api-Key") != "sk-ant-1" || e.Header["Authorization"] != nil {
		t.Errorf("Anthropic was asked %+v", e)
	}
	response := to(t, "egress", 18090, "/openai/v1/responses")
	response.Header.Set("OpenAI-Organization", "org-mine")
	response.Header.Set("OpenAI-Beta", "assistants=v2")
	got := own.served(response, http.StatusOK)
	h := got.echoed(t).Header
	if h.Get("Openai-Organization") != "org-platform" || h.Get("Openai-Project") != "proj-shared" || h.Get("Openai-Beta") != "assistants=v2" || key(t, got) != "Bearer sk-oai-1" {
		t.Errorf("OpenAI was asked with %v", h)
	}
	heads := anthropic.Heads() + openai.Heads()
	foreign.refused(message, http.StatusForbidden, "client_not_allowed")
	foreign.refused(response, http.StatusForbidden, "client_not_allowed")
	if anthropic.Heads()+openai.Heads() != heads {
		t.Error("a key was spent for a workload of another namespace")
	}
}

func TestRegionLocks(t *testing.T) {
	namespace(t, "ai")
	authority := trust(t, "ai/provider-ca")
	frankfurt, paris := destination(t, authority, "frankfurt.provider.test", nil), destination(t, authority, "paris.provider.test", nil)
	virginia := destination(t, authority, "virginia.provider.test", nil)
	story(t, "region-locks", "ai/egress")
	w, call := pod(t, "ai", "chat"), to(t, "egress", 18093, "/v1/models")
	for _, place := range []*upstream.Upstream{frankfurt, paris} {
		before := place.Heads()
		w.served(call, http.StatusOK)
		if place.Heads() == before {
			t.Error("not who is nearest answered")
		}
		if err := place.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.refused(call, http.StatusBadGateway, "connect_failed")
	if n := virginia.Connections(); n > 0 {
		t.Errorf("%d connections left Europe", n)
	}
}

func TestVerifyTheRemote(t *testing.T) {
	namespace(t, "ai")
	authority := trust(t, "ai/vendor-ca")
	api, tenant := destination(t, authority, "api.vendor.test", nil), destination(t, authority, "tenant.vendor.test", nil)
	mesh := far(t, "mesh.vendor.test", upstream.Config{Certificate: testkit.Issue(t, authority, ca.Leaf{URIs: []string{"spiffe://vendor.test/ns/api/sa/batch"}})})
	story(t, "verify-the-remote", "ai/egress")
	w := pod(t, "ai", "chat")
	for path, is := range map[string]struct {
		far  *upstream.Upstream
		name string
	}{"/by-hostname": {api, "api.vendor.test"}, "/by-dns-name": {tenant, "edge.vendor.test"}} {
		w.served(to(t, "egress", 18084, path), http.StatusOK)
		if hello := is.far.Accepted()[0]; hello.SNI != is.name {
			t.Errorf("%s: it was greeted as %q", path, hello.SNI)
		}
	}
	w.refused(to(t, "egress", 18084, "/by-uri"), http.StatusBadGateway, "tls_verification_failed")
	if mesh.Connections() == 0 || mesh.Heads() > 0 {
		t.Errorf("who could not prove who it is saw %d connections and %d requests", mesh.Connections(), mesh.Heads())
	}
}
