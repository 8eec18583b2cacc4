package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// config is a kind's config for these tests: Name is a setting, Deny a restriction on the path, Secret a reference.
type config struct {
	Name   string `policy:"setting"`
	Deny   string `policy:"restriction"`
	Secret string `policy:"setting"`
}

type restriction struct{ deny string }

func (r restriction) Request(_ context.Context, x *exchange.Exchange) *exchange.Refusal {
	if r.deny != "" && strings.HasPrefix(x.Request.Path, r.deny) {
		return &exchange.Refusal{Reason: exchange.RequestNotAllowed, Field: "spec.deny"}
	}
	return nil
}

type setting struct{ name string }

func (s setting) Tune(settings *policy.Settings) { settings.Region = s.name }

// kind counts what it builds.
func kind(built *int) *policy.Kind {
	return &policy.Kind{
		Name: "Sample", Config: func() any { return new(config) },
		Restrict: func(_ policy.Env, c any) (any, error) {
			*built++
			if d := c.(*config).Deny; d != "" {
				return restriction{d}, nil
			}
			return nil, nil
		},
		Apply: func(env policy.Env, c any) (any, error) {
			*built++
			if name := c.(*config).Secret; name != "" && env.Secret(name) == nil {
				return nil, errors.New(name + " is not there")
			}
			return setting{c.(*config).Name}, nil
		},
	}
}

var scope = Scope{Class: "c", Gateway: "n/g", Listener: "l", Backend: "Backend/n/b", Route: "HTTPRoute/n/r", Rule: "HTTPRoute/n/r#0"}

func at(kind plan.TargetKind, name string) []plan.Target {
	return []plan.Target{{Kind: kind, Name: name}}
}

func sample(name string, c config, targets []plan.Target) *plan.Policy {
	return &plan.Policy{Name: "Sample/n/" + name, Kind: "Sample", Config: &c, Targets: targets}
}

func chainOf(e *Engine, secrets map[string]*plan.Secret, s Scope, policies ...*plan.Policy) *Chain {
	b := e.Begin(&plan.Plan{Policies: policies}, func(name string) *plan.Secret { return secrets[name] })
	defer b.Finish()
	return b.Chain(s)
}

func TestTheMostSpecificSettingWins(t *testing.T) {
	built := 0
	e := New(Config{Kinds: []*policy.Kind{kind(&built)}})
	f := func(want string, policies ...*plan.Policy) {
		t.Helper()
		if got := chainOf(e, nil, scope, policies...).Settings.Region; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	class := sample("class", config{Name: "class"}, at(plan.TargetClass, "c"))
	gateway := sample("gateway", config{Name: "gateway"}, at(plan.TargetGateway, "n/g"))
	listener := sample("listener", config{Name: "listener"}, at(plan.TargetListener, "n/g#l"))
	backend := sample("backend", config{Name: "backend"}, at(plan.TargetBackend, "Backend/n/b"))
	route := sample("route", config{Name: "route"}, at(plan.TargetRoute, "HTTPRoute/n/r"))
	rule := sample("rule", config{Name: "rule"}, at(plan.TargetRule, "HTTPRoute/n/r#0"))
	f("")
	f("class", class)
	f("gateway", gateway, class)
	f("listener", listener, class, gateway)
	f("backend", class, backend, gateway)
	f("route", route, backend, class)
	f("rule", rule, route, backend)
	f("backend", backend, sample("elsewhere", config{Name: "no"}, at(plan.TargetRule, "HTTPRoute/n/r#1")))
	loser := sample("loser", config{Name: "loser"}, []plan.Target{{Kind: plan.TargetRule, Name: "HTTPRoute/n/r#0", Conflicted: true}})
	f("rule", rule, loser)
	f("", loser)
}

func TestRestrictionsNeverYield(t *testing.T) {
	built := 0
	e := New(Config{Kinds: []*policy.Kind{kind(&built)}})
	f := func(path, wantPolicy string, reported []string, policies ...*plan.Policy) {
		t.Helper()
		x := &exchange.Exchange{Request: exchange.Request{Path: path}}
		refusal := chainOf(e, nil, scope, policies...).Request(t.Context(), x)
		got := ""
		if refusal != nil {
			got = refusal.Policy
		}
		var would []string
		for _, r := range x.Reported {
			would = append(would, r.Policy)
		}
		if got != wantPolicy || cmp.Diff(reported, would) != "" {
			t.Errorf("%s: refused by %q, reported by %v; want %q, %v", path, got, would, wantPolicy, reported)
		}
	}
	general := sample("general", config{Deny: "/a"}, at(plan.TargetGateway, "n/g"))
	specific := sample("specific", config{Deny: "/b"}, at(plan.TargetRule, "HTTPRoute/n/r#0"))
	f("/a", general.Name, nil, general, specific)
	f("/b", specific.Name, nil, general, specific)
	f("/c", "", nil, general, specific)
	loser := sample("loser", config{Deny: "/c"}, []plan.Target{{Kind: plan.TargetGateway, Name: "n/g", Conflicted: true}})
	f("/c", loser.Name, nil, general, loser)
	trial := sample("trial", config{Deny: "/"}, at(plan.TargetGateway, "n/g"))
	trial.Report = true
	f("/c", "", []string{trial.Name}, trial, specific)
	f("/b", specific.Name, []string{trial.Name}, trial, specific)
}

func TestWhatIsBrokenFailsClosed(t *testing.T) {
	built := 0
	e := New(Config{Kinds: []*policy.Kind{kind(&built)}})
	faulty := sample("faulty", config{}, at(plan.TargetBackend, "Backend/n/b"))
	faulty.Fault = &plan.Fault{Reason: "X", Message: "the Secret is not there"}
	if fault := chainOf(e, nil, scope, faulty).Fault(); fault == nil || fault.Policy != faulty.Name || fault.Reason != exchange.ConfigurationInvalid {
		t.Errorf("%+v", fault)
	}
	unbuildable := sample("unbuildable", config{Secret: "Secret/n/s"}, at(plan.TargetBackend, "Backend/n/b"))
	if chainOf(e, nil, scope, unbuildable).Fault() == nil {
		t.Error("a stage that cannot be built lets pass")
	}
	unknown := sample("unknown", config{}, at(plan.TargetBackend, "Backend/n/b"))
	unknown.Kind, unknown.Config = "NewerPolicy", nil
	if fault := chainOf(e, nil, scope, unknown).Fault(); fault == nil || fault.Policy != unknown.Name || !strings.Contains(fault.Detail, "NewerPolicy") {
		t.Errorf("a policy of a kind that is not known lets pass: %+v", fault)
	}
	elsewhere := scope
	elsewhere.Backend = "Backend/n/other"
	if fault := chainOf(e, nil, elsewhere, faulty, unbuildable, unknown).Fault(); fault != nil {
		t.Errorf("what it does not protect fails: %+v", fault)
	}
}

func TestUnchangedStagesAreKept(t *testing.T) {
	built := 0
	e := New(Config{Kinds: []*policy.Kind{kind(&built)}})
	secret := &plan.Secret{Name: "Secret/n/s"}
	p := sample("p", config{Deny: "/a", Secret: secret.Name}, at(plan.TargetBackend, "Backend/n/b"))
	f := func(want int, secret *plan.Secret, policies ...*plan.Policy) {
		t.Helper()
		built = 0
		chainOf(e, map[string]*plan.Secret{"Secret/n/s": secret}, scope, policies...)
		if built != want {
			t.Errorf("%d stages built, want %d", built, want)
		}
	}
	f(2, secret, p)
	f(0, secret, p)
	f(1, &plan.Secret{Name: secret.Name}, p) // what reads the Secret, not the restriction
	f(2, secret, sample("p", config{Secret: secret.Name}, p.Targets))
	f(1, secret) // the empty settings
	f(2, secret, p)
}

func TestAServicesPoliciesHoldForEachPort(t *testing.T) {
	built := 0
	e := New(Config{Kinds: []*policy.Kind{kind(&built)}})
	s := scope
	s.Backend = "Service/n/s:80"
	if got := chainOf(e, nil, s, sample("p", config{Name: "x"}, at(plan.TargetBackend, "Service/n/s"))).Settings.Region; got != "x" {
		t.Errorf("%q", got)
	}
}

type reporting struct{}

func (reporting) Address(context.Context, *policy.AddressCheck) *exchange.Refusal {
	return exchange.Refuse(exchange.AddressDenied, "no")
}

func TestReportedAddressesAreNoted(t *testing.T) {
	c := &Chain{}
	c.add("Sample/n/p", true, reporting{})
	ctx := exchange.WithNotes(t.Context())
	if c.Address(ctx, &policy.AddressCheck{}) != nil || !c.Reports() {
		t.Error("mode Report refuses")
	}
	if got := exchange.NotesOf(ctx).Take(nil); len(got) != 1 || got[0].Policy != "Sample/n/p" {
		t.Errorf("%+v", got)
	}
	if c.Address(t.Context(), &policy.AddressCheck{}) != nil {
		t.Error("mode Report refuses where nobody takes notes")
	}
}
