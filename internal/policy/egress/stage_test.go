package egress

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

type refs struct {
	policy.References
	invalid []string
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }

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

func TestTuneSetting(t *testing.T) {
	kind := Kind()
	f := func(want policy.Timeouts, configs ...any) {
		t.Helper()
		s := policy.NewSettings()
		stage, err := kind.Apply(policy.Env{}, policy.Merge(kind.Config(), configs...))
		if err != nil {
			t.Fatal(err)
		}
		if stage != nil {
			stage.(policy.Tuner).Tune(&s)
		}
		if diff := cmp.Diff(want, s.Timeouts); diff != "" {
			t.Error(diff)
		}
	}
	d := func(d time.Duration) *time.Duration { return &d }
	f(policy.NewSettings().Timeouts)
	f(policy.NewSettings().Timeouts, &Config{Region: "eu"})
	f(policy.Timeouts{Connect: time.Second, FirstByte: 0, StreamIdle: 300 * time.Second, Request: time.Minute},
		&Config{Timeouts: Timeouts{Connect: d(3 * time.Second), FirstByte: d(time.Second), Request: d(time.Minute)}},
		&Config{Timeouts: Timeouts{Connect: d(time.Second), FirstByte: d(0)}})
}

func TestNothingStated(t *testing.T) {
	if s, err := restrict(policy.Env{}, new(Config)); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := apply(policy.Env{}, new(Config)); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if effective(new(Config), nil) == "" || effective(&Config{Region: "eu"}, nil) != "" {
		t.Error("what is effective is not told from what is not")
	}
	if _, err := restrict(policy.Env{}, &Config{Paths: []string{"x"}}); err == nil {
		t.Error("a pattern that matches nothing passed")
	}
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
	}, &Config{Paths: []string{"/**/x"}, Timeouts: Timeouts{Connect: new(time.Duration(0))}}, "spec.requests.paths", "spec.timeouts.connect")
}
