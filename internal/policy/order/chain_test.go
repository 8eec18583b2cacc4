package order

import (
	"net/netip"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/backendtraffic"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
	"github.com/ebbgate/ebbgate/internal/policy/credential"
	"github.com/ebbgate/ebbgate/internal/policy/dns"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
	"github.com/ebbgate/ebbgate/internal/policy/guardrails"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
	"github.com/ebbgate/ebbgate/internal/proxy/engine"
)

const backend = "Backend/ai/b"

var scope = engine.Scope{Gateway: "ai/egress", Listener: "http", Backend: backend, Route: "HTTPRoute/ai/r", Rule: "HTTPRoute/ai/r#0"}

// on is a policy attached to the Gateway, or to the backend.
func on(kind plan.TargetKind, name string, config any) *plan.Policy {
	target := plan.Target{Kind: kind, Name: backend}
	if kind == plan.TargetGateway {
		target.Name = scope.Gateway
	}
	return &plan.Policy{Name: name + "/ai/p", Kind: name, Targets: []plan.Target{target}, Config: config}
}

func chain(kubernetes bool, policies ...*plan.Policy) *engine.Chain {
	p := &plan.Plan{Policies: policies}
	secret := &plan.Secret{Name: "Secret/ai/k", Data: map[string]plan.Sensitive{"token": plan.NewSensitive([]byte("sk-1"))}}
	return engine.New(engine.Config{Kinds: Kinds(), Kubernetes: kubernetes}).Begin(p, func(string) *plan.Secret { return secret }).Chain(scope)
}

// TestAddressesTogether holds the rule of the API that the kinds keep only together: what is private is opened where
// the guardrails and, for a name, the DNSPolicy both say so, and guardrails that merely report open nothing.
func TestAddressesTogether(t *testing.T) {
	open := func(cidr string) ranges.List { return ranges.List{netip.MustParsePrefix(cidr)} }
	rails := func(mode, cidr string) *plan.Policy {
		p := on(plan.TargetGateway, "GuardRailsPolicy", &guardrails.Config{Mode: mode, AllowPrivate: open(cidr)})
		p.Report = mode == "Report"
		return p
	}
	names := func(cidr string) *plan.Policy {
		return on(plan.TargetBackend, "DNSPolicy", &dns.Config{AllowPrivate: open(cidr)})
	}
	pod := false
	f := func(kubernetes bool, origin plan.Origin, address string, passes bool, policies ...*plan.Policy) {
		t.Helper()
		c := chain(kubernetes, policies...)
		a := netip.MustParseAddr(address)
		refusal := c.Address(t.Context(), &policy.AddressCheck{
			Backend: &plan.Backend{Name: backend, Origin: origin}, Address: a, Class: policy.Classify(a), Pod: pod, Settings: &c.Settings,
		})
		if (refusal == nil) != passes {
			t.Errorf("kubernetes %t, %s of %s: %+v", kubernetes, address, origin, refusal)
		}
	}
	const private, metadata = "10.8.0.1", "169.254.169.254"
	for _, kubernetes := range []bool{false, true} {
		f(kubernetes, plan.Resolved, "1.1.1.1", true)
		f(kubernetes, plan.Resolved, private, false)
		f(kubernetes, plan.Resolved, private, !kubernetes, names("10.0.0.0/8"))
		f(kubernetes, plan.Resolved, private, false, rails("Enforce", "10.0.0.0/8"))
		f(kubernetes, plan.Resolved, private, true, rails("Enforce", "10.0.0.0/8"), names("10.0.0.0/8"))
		f(kubernetes, plan.Resolved, private, false, rails("Enforce", "10.9.0.0/16"), names("10.0.0.0/8"))
		f(kubernetes, plan.Resolved, private, !kubernetes, rails("Report", "10.0.0.0/8"), names("10.0.0.0/8"))
		f(kubernetes, plan.Literal, private, !kubernetes)
		f(kubernetes, plan.Literal, private, !kubernetes, rails("Report", "192.168.0.0/16"))
		f(kubernetes, plan.Literal, private, false, rails("Enforce", "192.168.0.0/16"))
		f(kubernetes, plan.Literal, private, true, rails("Enforce", "10.0.0.0/8"))
		f(kubernetes, plan.Endpoints, private, !kubernetes)
		f(kubernetes, plan.Endpoints, private, !kubernetes, rails("Enforce", "192.168.0.0/16"))
		f(kubernetes, plan.Literal, metadata, false)
		f(kubernetes, plan.Literal, metadata, false, rails("Report", metadata+"/32"))
		f(kubernetes, plan.Literal, metadata, true, rails("Enforce", metadata+"/32"))
		f(kubernetes, plan.Literal, "127.0.0.1", !kubernetes)
		f(kubernetes, plan.Literal, "127.0.0.1", false, rails("Enforce", "10.0.0.0/8"))
		f(kubernetes, plan.Literal, "127.0.0.1", !kubernetes, rails("Enforce", "127.0.0.0/8"))
	}
	pod = true
	f(true, plan.Endpoints, private, true)
	f(true, plan.Endpoints, private, true, rails("Enforce", "192.168.0.0/16"))
	f(true, plan.Endpoints, "100.64.0.1", true)
	f(true, plan.Endpoints, "127.0.0.1", false)
	f(true, plan.Endpoints, "169.254.1.1", false)
	f(true, plan.Endpoints, metadata, false)
	f(true, plan.Endpoints, metadata, false, rails("Enforce", metadata+"/32"))
	f(true, plan.Endpoints, private, false, on(plan.TargetGateway, "GuardRailsPolicy", &guardrails.Config{DenyRanges: open("10.0.0.0/8")}))
	f(true, plan.Endpoints, private, false, on(plan.TargetBackend, "DNSPolicy", &dns.Config{Deny: open("10.0.0.0/8")}))
}

// TestClientsTogether: an EgressPolicy's clients take the place of the rule that a credential has of its own.
func TestClientsTogether(t *testing.T) {
	key := on(plan.TargetBackend, "CredentialInjector", &credential.Config{
		Type: "APIKey", APIKey: &credential.APIKey{Reference: credential.Reference{Secret: "Secret/ai/k", Key: "token"}, Header: "Authorization", Prefix: "Bearer "},
	})
	named := on(plan.TargetBackend, "EgressPolicy", &egress.Config{Clients: clients.List{{Namespaces: []string{"other"}}}})
	f := func(namespace string, want exchange.Reason, refusing string, policies ...*plan.Policy) {
		t.Helper()
		c := chain(true, policies...)
		x := &exchange.Exchange{Client: exchange.Client{Namespace: namespace, Source: exchange.SourcePodAddress}}
		candidate := &policy.Candidate{Backend: &plan.Backend{Name: backend}, Namespace: "ai", Settings: &c.Settings}
		if r := c.Candidate(t.Context(), x, candidate); r != nil {
			if r.Reason != want || r.Policy != refusing {
				t.Errorf("%s: %+v", namespace, r)
			}
			return
		}
		a := &exchange.Attempt{}
		if r := c.Attempt(t.Context(), x, candidate, a); r != nil || want != "" || a.Header.Get("Authorization") != "Bearer sk-1" {
			t.Errorf("%s: %+v", namespace, r)
		}
		if a.Credential != "CredentialInjector/ai/p" || c.Settings.Credential != a.Credential {
			t.Errorf("credential %q, settings %q", a.Credential, c.Settings.Credential)
		}
	}
	f("ai", "", "", key)
	f("other", exchange.ClientNotAllowed, "CredentialInjector/ai/p", key)
	f("other", "", "", key, named)
	f("ai", exchange.ClientNotAllowed, "EgressPolicy/ai/p", key, named)
}

// TestParentsTogether: a Gateway's parent is the sole one, whatever a backend's policy says, and of two policies on one
// target the one that holds it decides.
func TestParentsTogether(t *testing.T) {
	parent := func(kind plan.TargetKind, mode, name string) *plan.Policy {
		return on(kind, "EgressPolicy", &egress.Config{Mode: mode, Parent: name, Form: policy.FormOrigin})
	}
	f := func(want string, policies ...*plan.Policy) {
		t.Helper()
		c, got := chain(true, policies...), "none"
		if p := c.Settings.Parent; p != nil {
			got = p.Backend
		}
		if got != want {
			t.Errorf("parent %q, want %q", got, want)
		}
	}
	hub, own := parent(plan.TargetGateway, "Parent", "hub"), parent(plan.TargetBackend, "Parent", "own")
	itself, endpoint := parent(plan.TargetBackend, "Parent", ""), parent(plan.TargetBackend, "Endpoint", "")
	loser := parent(plan.TargetGateway, "Parent", "loser")
	loser.Targets[0].Conflicted = true
	f("none", endpoint)
	f("own", own)
	f("", itself)
	f("hub", endpoint, hub)
	f("hub", itself, hub)
	f("hub", own, hub)
	f("hub", loser, hub)
	f("loser", loser)
	f("loser", loser, parent(plan.TargetGateway, "Endpoint", ""))
}

// TestBudgetsTogether: the standard's retry constraint replaces an EgressPolicy's budget.
func TestBudgetsTogether(t *testing.T) {
	own := on(plan.TargetBackend, "EgressPolicy", &egress.Config{Retry: egress.Retry{Attempts: new(7), Budget: egress.Budget{Percent: new(50)}}})
	standard := on(plan.TargetBackend, "XBackendTrafficPolicy", &backendtraffic.Config{Budget: &backendtraffic.Budget{Percent: 5}})
	f := func(percent int, written bool, policies ...*plan.Policy) {
		t.Helper()
		r := chain(true, policies...).Settings.Retry
		if r.Budget.Percent != percent || r.Budget.Written != written || len(policies) == 2 && r.Attempts != 7 {
			t.Errorf("%+v", r)
		}
	}
	f(50, false, own)
	f(5, true, standard)
	f(5, true, standard, own)
}
