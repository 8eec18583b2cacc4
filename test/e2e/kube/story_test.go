//go:build cluster

package kube_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const chat = `{"model":"m","messages":[{"role":"user","content":"Hello"}]}`

// providers is examples/provider-failover at work on the cluster, with a workload of its namespace.
type providers struct {
	*workload
	authority *ca.CA
	call      ask
	openai    *upstream.Upstream
	mistral   *upstream.Upstream
}

func startProviders(t *testing.T) *providers {
	t.Helper()
	p := &providers{authority: testkit.CA(t, "provider")}
	p.openai = destination(t, p.authority, "api.openai.test", nil)
	p.mistral = destination(t, p.authority, "api.mistral.test", nil)
	namespace(t, "ai")
	secret(t, "ai/provider-ca", "ca.crt", string(p.authority.PEM()))
	secret(t, "ai/openai-key", "token", "sk-openai-1")
	secret(t, "ai/mistral-key", "token", "sk-mistral-1")
	story(t, "provider-failover", "ai/egress")
	p.workload = pod(t, "ai", "chat")
	p.call = ask{
		Method: http.MethodPost, URL: "http://" + address(t, "ai/egress") + ":18083/v1/chat/completions", Body: chat,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer of-the-workload"}},
	}
	return p
}

// key is the credential that the destination was shown.
func key(t testing.TB, a answer) string {
	t.Helper()
	return strings.Join(a.echoed(t).Header["Authorization"], "|")
}

// TestStory is the quickstart's story on a cluster: a workload without a key calls a provider through the Gateway's Service;
// the destination gets the platform's key; where it is gone, another answers. What no route has is not reached, and whoever
// is of another namespace may not spend the key.
func TestStory(t *testing.T) {
	p := startProviders(t)
	got := p.served(p.call, http.StatusOK)
	if e := got.echoed(t); e.Host != "api.openai.test:8443" || e.Body != chat || e.Target != "/v1/chat/completions" || key(t, got) != "Bearer sk-openai-1" {
		t.Errorf("the provider was asked %+v", e)
	}
	if hello := p.openai.Accepted()[0]; hello.SNI != "api.openai.test" {
		t.Errorf("it was greeted as %q", hello.SNI)
	}
	namespace(t, "team-b")
	foreign, heads := pod(t, "team-b", "chat"), p.openai.Heads()
	if got := foreign.ask(p.call); got.Status != http.StatusForbidden || got.reason() != "client_not_allowed" || p.openai.Heads() != heads {
		t.Errorf("a workload of another namespace is answered %d %s", got.Status, got.Body)
	}
	if err := p.openai.Close(); err != nil {
		t.Fatal(err)
	}
	if got := p.served(p.call, http.StatusOK); key(t, got) != "Bearer sk-mistral-1" {
		t.Errorf("the second provider was shown %q", key(t, got))
	}
	unknown := p.get(strings.Replace(p.call.URL, "/v1/chat/completions", "/elsewhere", 1))
	if unknown.Status != http.StatusNotFound || unknown.reason() == "" {
		t.Errorf("what no route has is answered %d %s", unknown.Status, unknown.Body)
	}
}

// TestSecretDeletedAndRestored: a deleted Secret is a revocation, in force in a moment and with nothing served past it; a
// restored one is used again, with its new content.
func TestSecretDeletedAndRestored(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	kubectl(t, "", "-n", "ai", "delete", "secret", "openai-key", "mistral-key")
	if got := p.served(p.call, http.StatusInternalServerError); got.reason() != "credential_unavailable" {
		t.Errorf("refused with %s", got.Body)
	}
	heads := p.openai.Heads() + p.mistral.Heads()
	if got := p.ask(p.call); got.Status != http.StatusInternalServerError || p.openai.Heads()+p.mistral.Heads() != heads {
		t.Errorf("a request without its credential is answered %d, and %d went on", got.Status, p.openai.Heads()+p.mistral.Heads()-heads)
	}
	secret(t, "ai/openai-key", "token", "sk-openai-2")
	if got := p.served(p.call, http.StatusOK); key(t, got) != "Bearer sk-openai-2" {
		t.Errorf("the provider was shown %q", key(t, got))
	}
}

// TestKeyRotatedUnderLoad: a changed key fails no request, and is soon the only one.
func TestKeyRotatedUnderLoad(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	p.more(50)
	secret(t, "ai/openai-key", "token", "sk-openai-2")
	eventually(t, "the new key is used", func() bool { return key(t, p.ask(p.call)) == "Bearer sk-openai-2" })
	p.more(50)
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}
