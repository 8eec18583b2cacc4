package egress

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

type refs struct {
	policy.References
	backends    map[string]*plan.Backend
	rules       []*plan.Rule
	invalid     []string
	ineffective []string
}

func (r *refs) Invalid(field, _, _ string)     { r.invalid = append(r.invalid, field) }
func (r *refs) Ineffective(field, _, _ string) { r.ineffective = append(r.ineffective, field) }
func (r *refs) Rules() []*plan.Rule            { return r.rules }

func (r *refs) Backend(_ string, ref gwapiv1.BackendObjectReference) *plan.Backend {
	return r.backends[string(ref.Name)]
}

func build(t *testing.T, c *Config) *restriction {
	t.Helper()
	s, err := restrict(policy.Env{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*restriction)
}

func TestCandidate(t *testing.T) {
	pod := exchange.Client{Namespace: "ai", ServiceAccount: "batch", Source: exchange.SourcePodAddress}
	loopback := exchange.Client{Namespace: "local", ServiceAccount: "local", Source: exchange.SourceLoopback}
	f := func(c *Config, client exchange.Client, method, path string, reason exchange.Reason, field string) {
		t.Helper()
		x := &exchange.Exchange{Client: client, Request: exchange.Request{Method: method}}
		r := build(t, c).Candidate(t.Context(), x, &policy.Candidate{Path: path})
		if r == nil {
			r = &exchange.Refusal{}
		} else if r.Detail == "" {
			t.Error("no detail")
		}
		if r.Reason != reason || r.Field != field {
			t.Errorf("%+v: %s %s by %s: %q %q", c, method, path, client, r.Reason, r.Field)
		}
	}
	named := &Config{Clients: clients.List{{Namespaces: []string{"ai"}}}}
	f(named, pod, "GET", "/", "", "")
	f(named, loopback, "GET", "/", exchange.ClientNotAllowed, "spec.clients")
	f(named, exchange.Client{}, "GET", "/", exchange.ClientNotAllowed, "spec.clients")
	f(&Config{Clients: clients.List{{Namespaces: []string{"*"}}}}, loopback, "GET", "/", exchange.ClientNotAllowed, "spec.clients")
	f(&Config{Clients: clients.List{{Namespaces: []string{"local"}}}}, loopback, "GET", "/", "", "")
	f(&Config{Clients: clients.List{}}, pod, "GET", "/", exchange.ClientNotAllowed, "spec.clients")

	requests := &Config{Methods: []string{"POST"}, Paths: []string{"/v1/chat/**", "/v1/embeddings"}}
	f(requests, exchange.Client{}, "POST", "/v1/chat/completions", "", "")
	f(requests, pod, "POST", "/v1/embeddings", "", "")
	f(requests, pod, "GET", "/v1/embeddings", exchange.RequestNotAllowed, "spec.requests.methods")
	f(requests, pod, "post", "/v1/embeddings", exchange.RequestNotAllowed, "spec.requests.methods")
	f(requests, pod, "POST", "/v1/files", exchange.RequestNotAllowed, "spec.requests.paths")
	f(requests, pod, "POST", "", exchange.RequestNotAllowed, "spec.requests.paths")
	f(&Config{Methods: []string{}}, pod, "GET", "/", exchange.RequestNotAllowed, "spec.requests.methods")
}

func TestCandidateAllocates(t *testing.T) {
	s := build(t, &Config{Clients: clients.List{{Namespaces: []string{"ai"}}}, Methods: []string{"POST"}, Paths: []string{"/v1/*x*y/**"}})
	x := &exchange.Exchange{Client: exchange.Client{Namespace: "ai", Source: exchange.SourceStatic}, Request: exchange.Request{Method: "POST"}}
	c := &policy.Candidate{Path: "/v1/axby/c"}
	if n := testing.AllocsPerRun(100, func() {
		if s.Candidate(t.Context(), x, c) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTuneRestriction(t *testing.T) {
	f := func(region string, named bool, configs ...*Config) {
		t.Helper()
		var s policy.Settings
		for _, c := range configs {
			build(t, c).Tune(&s)
		}
		if s.Region != region || s.ClientsNamed != named {
			t.Errorf("%q, %t", s.Region, s.ClientsNamed)
		}
	}
	eu, us := &Config{Region: "eu-west-1"}, &Config{Region: "us-east-1"}
	f("eu-west-1", false, eu)
	f("eu-west-1", true, eu, &Config{Clients: clients.List{}}, eu)
	f(Disputed, false, eu, us)
	f(Disputed, false, eu, us, eu)
}

func TestNothingStated(t *testing.T) {
	if s, err := restrict(policy.Env{}, new(Config)); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := apply(policy.Env{}, new(Config)); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := restrict(policy.Env{}, &Config{Paths: []string{"x"}}); err == nil {
		t.Error("a pattern that matches nothing passed")
	}
}

func TestEffective(t *testing.T) {
	f := func(c *Config, target *plan.Backend, want string) {
		t.Helper()
		if got := effective(c, target); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
	named := &plan.Backend{Name: "Backend/ai/a", Hostname: "a.example.com", Protocol: plan.HTTP}
	f(new(Config), nil, "states none")
	f(&Config{Mode: "Endpoint"}, named, "mode Endpoint")
	f(&Config{Mode: "Parent"}, named, "")
	f(&Config{Mode: "Endpoint", Region: "eu"}, nil, "")
	f(&Config{Priority: new(0)}, named, "")
	f(&Config{Retry: Retry{Statuses: []int{}}}, named, "")
	f(&Config{Health: Health{SlowStart: new(time.Duration(0))}}, nil, "")
	slow := Health{SlowStart: new(time.Second)}
	f(&Config{Mode: "Parent", Parent: "Backend/ai/hub", Health: slow}, named, "parentRef")
	f(&Config{Mode: "Parent", Parent: "Backend/ai/hub", Health: slow}, nil, "")
	f(&Config{Mode: "Parent", Health: slow}, named, "")
	asks := func(kind policy.ActiveType) *Config { return &Config{Health: Health{Active: &Active{Type: kind}}} }
	f(asks(policy.ActiveTCP), &plan.Backend{Hostname: "*.example.com"}, "wildcard")
	f(asks(policy.ActiveTCP), named, "")
	f(asks(policy.ActiveGRPC), named, "")
	f(asks(policy.ActiveGRPC), &plan.Backend{Protocol: plan.HTTP11}, "HTTP/2")
	f(asks(policy.ActiveHTTP), &plan.Backend{Protocol: plan.HTTP11}, "")
}

func TestTranslate(t *testing.T) {
	f := func(spec v1alpha1.EgressPolicySpec, want *Config, invalid ...string) {
		t.Helper()
		r := &refs{}
		got := translate(r, &v1alpha1.EgressPolicy{Spec: spec})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(invalid, r.invalid); diff != "" {
			t.Error(diff)
		}
	}
	f(v1alpha1.EgressPolicySpec{}, &Config{})
	f(v1alpha1.EgressPolicySpec{
		Region:   new("eu-west-1"),
		Clients:  []v1alpha1.ClientSelector{{Namespaces: []v1alpha1.ClientName{"ai"}}},
		Requests: &v1alpha1.RequestRules{Methods: []gwapiv1.HTTPMethod{"POST"}, Paths: []v1alpha1.PathPattern{"/v1/**"}},
		Timeouts: &v1alpha1.Timeouts{Request: new(gwapiv1.Duration("0s"))},
	}, &Config{
		Region: "eu-west-1", Clients: clients.List{{Namespaces: []string{"ai"}}},
		Methods: []string{"POST"}, Paths: []string{"/v1/**"}, Timeouts: Timeouts{Request: new(time.Duration(0))},
	})
	f(v1alpha1.EgressPolicySpec{
		Requests: &v1alpha1.RequestRules{Paths: []v1alpha1.PathPattern{"/**/x"}},
		Timeouts: &v1alpha1.Timeouts{Connect: new(gwapiv1.Duration("0s"))},
	}, &Config{Paths: []string{"/**/x"}, Timeouts: Timeouts{Connect: new(time.Duration(0))}}, "spec.timeouts.connect", "spec.requests.paths")
}
