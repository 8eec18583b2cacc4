package examples_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

func failoverSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/provider-ca", "ca.crt", string(authority.PEM()))
	s.put("ai/openai-key", "token", "sk-openai-1")
	s.put("ai/mistral-key", "token", "sk-mistral-1")
}

// providers are the gateway, on a copy of the story's files, and the second provider. The first is each test's own.
type providers struct {
	*gateway
	authority *ca.CA
	mistral   *provider.Provider
}

func startProviders(t *testing.T) *providers {
	t.Helper()
	s, authority := copied(t, "provider-failover"), testkit.CA(t, "provider")
	p := &providers{authority: authority}
	p.mistral = testkit.Provider(t, provider.Config{
		Kind: provider.OpenAI, Key: "sk-mistral-1", Address: "127.0.11.32:8443",
		Certificate: testkit.Issue(t, authority, ca.Leaf{DNSNames: []string{"api.mistral.test"}}),
	})
	p.gateway = start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18083")
	return p
}

// openAI starts the first provider, by the name that its certificate has.
func (p *providers) openAI(name string) *provider.Provider {
	p.t.Helper()
	return testkit.Provider(p.t, provider.Config{
		Kind: provider.OpenAI, Key: "sk-openai-1", Address: "127.0.11.31:8443", Certificate: testkit.Issue(p.t, p.authority, ca.Leaf{DNSNames: []string{name}}),
	})
}

func always(f provider.Fault) func(*http.Request) provider.Fault {
	return func(*http.Request) provider.Fault { return f }
}

// ask asks for a completion under a name by which the providers' records know it.
func (p *providers) ask(id string, stream bool) answer {
	p.t.Helper()
	chat := provider.Endpoints()[0]
	return p.from("127.0.0.1", false).do(http.MethodPost, chat.Path(stream), chat.Body("hello there", stream, ""), "Content-Type", "application/json", provider.LedgerField, id)
}

// answered asserts that the second provider gave a whole answer, and alone made one.
func (p *providers) answered(id string, first *provider.Provider, a answer) {
	p.t.Helper()
	if a.status != http.StatusOK || !strings.Contains(a.body, "hello there") && !strings.Contains(a.body, "data: [DONE]") {
		p.t.Errorf("%s: %d %s", id, a.status, a.body)
	}
	if p.mistral.Executed(id) != 1 || first != nil && first.Executed(id) != 0 {
		p.t.Errorf("%s: the second provider executed it %d times", id, p.mistral.Executed(id))
	}
}

// TestWhatWasNotDoneGoesOn: a provider that cannot be reached, or says that it did not do the work, costs its client nothing.
func TestWhatWasNotDoneGoesOn(t *testing.T) {
	p := startProviders(t)
	first := p.openAI("api.openai.test")
	if a := p.ask("well", false); a.status != http.StatusOK || first.Executed("well") != 1 || p.mistral.Executions() != 0 {
		t.Errorf("the first provider did not serve while it was well: %d %s", a.status, a.body)
	}
	for id, f := range map[string]provider.Fault{
		"429": {Kind: provider.Refuse, Status: 429}, "529": {Kind: provider.Refuse, Status: 529},
		"an error first": {Kind: provider.ErrorFirst, Status: 429},
	} {
		first.SetFail(always(f))
		p.answered(id, first, p.ask(id, false))
		p.answered(id+", streamed", first, p.ask(id+", streamed", true))
		first.SetFail(nil)
		eventually(t, patience, "the first provider is asked again", func() bool { return p.ask("again", false).status == http.StatusOK && first.Executed("again") > 0 })
	}
	first.SetFail(always(provider.Fault{Kind: provider.Refuse, Status: 503, RetryAfter: "600"}))
	p.answered("503", first, p.ask("503", false))
	before := first.Rejections()
	p.answered("set aside", first, p.ask("set aside", false))
	if first.Rejections() != before {
		t.Error("a provider was asked that had asked to be left alone")
	}
}

// TestUnreachableProviders: neither a dead provider, nor its dead name, nor somebody in its place.
func TestUnreachableProviders(t *testing.T) {
	p := startProviders(t)
	failed := func(id, reason string) {
		t.Helper()
		a := p.ask(id, false)
		p.answered(id, nil, a)
		if e := p.line(a); len(e.Attempts) != 2 || e.Attempts[0].Class != "Unsent" || e.Attempts[0].Reason != reason {
			t.Errorf("%s: the log has %+v", id, e.Attempts)
		}
	}
	failed("nobody", "connect_failed")
	impostor := p.openAI("api.somebody.test")
	failed("somebody else", "tls_verification_failed")
	if impostor.Executions()+impostor.Rejections() != 0 {
		t.Error("a request reached an impostor")
	}
	nobody := "  resolvers: [{address: \"127.0.11.31:53\", protocol: TCP}]\n  hosts:\n"
	p.change("standalone/dns.yaml", "  hosts:\n"+`  - {hostname: api.openai.test, addresses: ["127.0.11.31"]}`+"\n", nobody)
	p.taken(1)
	failed("dead name", "dns_failed")
}

// TestWhatWasPerhapsDoneStays: without proof nobody else is asked, unless the operator accepts that work is done twice.
func TestWhatWasPerhapsDoneStays(t *testing.T) {
	p := startProviders(t)
	first := p.openAI("api.openai.test")
	p.change("egress.yaml", "firstByte: 30s", "firstByte: 1s")
	p.taken(1)
	faults := map[string]provider.Fault{
		"silence": {Kind: provider.StallHead}, "reset": {Kind: provider.ResetHead}, "silence first": {Kind: provider.StallFirst}, "reset first": {Kind: provider.ResetFirst},
		"500": {Kind: provider.Fail, Status: 500},
	}
	for id, f := range faults {
		first.SetFail(always(f))
		a := p.ask(id, true)
		if id == "500" && a.status != http.StatusInternalServerError || id != "500" && (a.status != http.StatusGatewayTimeout || a.problem.Reason != "outcome_unknown") {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
		if first.Executed(id) != 1 || p.mistral.Executed(id) != 0 {
			t.Errorf("%s: executed %d and %d times", id, first.Executed(id), p.mistral.Executed(id))
		}
	}
	first.SetFail(always(provider.Fault{Kind: provider.ResetMiddle}))
	if a := p.ask("half", true); !strings.Contains(a.body, `"upstream_reset"`) || !strings.HasSuffix(a.body, "\n\n") || first.Executed("half") != 1 || p.mistral.Executions() != 0 {
		t.Errorf("a stream that broke: %d %s", a.status, a.body)
	}
	p.change("egress.yaml", "duplicates: Never", "duplicates: Allow")
	p.taken(2)
	for id, f := range faults {
		first.SetFail(always(f))
		a := p.ask("again: "+id, true)
		if a.status != http.StatusOK || first.Executed("again: "+id) != 1 || p.mistral.Executed("again: "+id) != 1 {
			t.Errorf("%s, and duplicates are allowed: %d %s", id, a.status, a.body)
		}
		if e := p.line(a); len(e.Attempts) != 2 || !e.Attempts[1].Duplicate {
			t.Errorf("%s: the log has %+v", id, e.Attempts)
		}
	}
	chat := provider.Endpoints()[0]
	p.logged("duplicate_possible", chat.Path(true))
}
