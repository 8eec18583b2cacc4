package engine

import (
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// TestAPortIsMoreThanItsService: a policy of a Service holds for its ports, one of a port for the port alone, and over
// the Service's.
func TestAPortIsMoreThanItsService(t *testing.T) {
	built := 0
	e := New(Config{Kinds: []*policy.Kind{kind(&built)}})
	f := func(backend, want string, policies ...*plan.Policy) {
		t.Helper()
		s := scope
		s.Backend = backend
		if got := chainOf(e, nil, s, policies...).Settings.Region; got != want {
			t.Errorf("%s: %q, want %q", backend, got, want)
		}
	}
	service := sample("service", config{Name: "service"}, at(plan.TargetBackend, "Service/n/s"))
	port := sample("port", config{Name: "port"}, at(plan.TargetPort, "Service/n/s:80"))
	f("Service/n/s:80", "service", service)
	f("Service/n/s:80", "port", port)
	f("Service/n/s:80", "port", port, service)
	f("Service/n/s:80", "port", service, port)
	f("Service/n/s:81", "service", service, port)
	f("Service/n/t:80", "", service, port)
	f("Backend/n/s", "", service, port)
}

// TestWhatCounts: of a kind that counts whole the most specific policy alone, broken or not; of a kind without
// restrictions none that has lost its target.
func TestWhatCounts(t *testing.T) {
	built := 0
	merged, whole, settings := kind(&built), kind(&built), kind(&built)
	whole.Whole, settings.Restrict = true, nil
	f := func(k *policy.Kind, want string, broken bool, policies ...*plan.Policy) {
		t.Helper()
		s := scope
		s.Backend = "Service/n/s:80"
		chain := chainOf(New(Config{Kinds: []*policy.Kind{k}}), nil, s, policies...)
		if got := chain.Settings.Region; (chain.Fault() != nil) != broken || !broken && got != want {
			t.Errorf("%q, %+v; want %q", got, chain.Fault(), want)
		}
	}
	faulty := func(p *plan.Policy) *plan.Policy {
		p.Fault = &plan.Fault{Reason: "X", Message: "broken"}
		return p
	}
	lost := func(p *plan.Policy) *plan.Policy {
		p.Targets[0].Conflicted = true
		return p
	}
	service := func() *plan.Policy {
		return sample("service", config{Name: "service"}, at(plan.TargetBackend, "Service/n/s"))
	}
	port := func() *plan.Policy {
		return sample("port", config{Name: "port"}, at(plan.TargetPort, "Service/n/s:80"))
	}
	f(merged, "", true, faulty(service()), port())
	f(whole, "port", false, faulty(service()), port())
	f(whole, "", true, service(), faulty(port()))
	f(whole, "port", false, service(), port())
	f(settings, "", true, faulty(service()), port())
	f(settings, "service", false, service(), faulty(lost(port())))
	f(merged, "", true, service(), faulty(lost(port())))
	f(settings, "", false, faulty(lost(port())))
}
