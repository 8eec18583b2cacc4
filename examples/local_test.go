package examples_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func localSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/provider-ca", "ca.crt", string(authority.PEM()))
	s.put("ai/provider-key", "token", "sk-provider-1")
}

// models are the gateway, the local servers' status, and the provider.
type models struct {
	*gateway
	status   atomic.Int64
	provider *provider.Provider
}

func startModels(t *testing.T) *models {
	t.Helper()
	s, authority := named(t, "local-first"), testkit.CA(t, "provider")
	m := &models{}
	m.status.Store(http.StatusOK)
	m.provider = testkit.Provider(t, provider.Config{
		Kind: provider.OpenAI, Key: "sk-provider-1", Address: "127.0.11.93:8443",
		Certificate: testkit.Issue(t, authority, ca.Leaf{DNSNames: []string{"api.provider.test"}}),
	})
	m.gateway = start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18091")
	return m
}

// server starts one of the local servers, which answers with its name.
func (m *models) server(name, address string) *upstream.Upstream {
	m.t.Helper()
	return far(m.t, upstream.Config{Address: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(m.status.Load()))
		_, _ = w.Write([]byte(name)) // a client that left is no matter
	})})
}

func (m *models) large() *upstream.Upstream { return m.server("large", "127.0.11.91:8000") }
func (m *models) small() *upstream.Upstream { return m.server("small", "127.0.11.92:8000") }

// ask tells who answered.
func (m *models) ask(caller *client) (from string, a answer) {
	m.t.Helper()
	chat := provider.Endpoints()[0]
	a = caller.do(http.MethodPost, chat.Path(false), chat.Body("hello there", false, ""), "Content-Type", "application/json")
	switch {
	case a.status != http.StatusOK:
		m.t.Errorf("answer %d %s", a.status, a.body)
	case strings.Contains(a.body, "hello there"):
		return "provider", a
	}
	return a.body, a
}

// TestLocalModelsShareTheWork: three to one, with nothing for the provider, and no key of it here.
func TestLocalModelsShareTheWork(t *testing.T) {
	m := startModels(t)
	large, small := m.large(), m.small()
	const asked = 400
	seen, caller := map[string]int{}, m.from("127.0.0.1", true)
	for range asked {
		from, _ := m.ask(caller)
		seen[from]++
	}
	if n := seen["large"]; n < 200 || n > 390 || n+seen["small"] != asked { // eleven standard deviations and more
		t.Errorf("of %d requests: %v", asked, seen)
	}
	if m.provider.Executions()+m.provider.Rejections() != 0 {
		t.Error("the provider was asked while the local models were well")
	}
	for _, r := range append(large.Requests(), small.Requests()...) {
		if got := r.Values("Authorization"); len(got) > 0 {
			t.Fatal("a key went to a local model")
		}
	}
}

// TestBusyModelsHandOn: what local servers refuse, the provider answers on the same request.
func TestBusyModelsHandOn(t *testing.T) {
	m := startModels(t)
	m.large()
	m.small()
	caller := m.from("127.0.0.1", true)
	for _, status := range []int64{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		m.status.Store(status)
		from, a := m.ask(caller)
		e := m.line(a)
		if from != "provider" || len(e.Attempts) != 3 || e.Attempts[0].Class != "Rejected" || e.Attempts[1].Class != "Rejected" {
			t.Errorf("%d: %s answered, after %+v", status, from, e.Attempts)
		}
	}
	m.status.Store(http.StatusOK)
	eventually(t, patience, "a local model is asked again", func() bool { from, _ := m.ask(caller); return from != "provider" })
}

// TestDeadModelsHandOn: with one of them gone the other does the work, with both the provider; and back.
func TestDeadModelsHandOn(t *testing.T) {
	m := startModels(t)
	caller := m.from("127.0.0.1", true)
	if from, _ := m.ask(caller); from != "provider" {
		t.Errorf("%s answered for models that are not there", from)
	}
	m.small()
	for range 3 {
		if from, _ := m.ask(caller); from != "small" {
			t.Errorf("%s answered beside a model that is there", from)
		}
	}
	m.large()
	eventually(t, patience, "the other model is asked too", func() bool { from, _ := m.ask(caller); return from == "large" })
}
