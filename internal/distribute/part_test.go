package distribute

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/credential"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/proxy/engine"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source/file"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/translate"
)

// configs are those of every kind there is.
func configs(name string) any {
	for _, kind := range order.Kinds() {
		if kind.Name == name {
			return kind.Config()
		}
	}
	return nil
}

// revealed compares plans with what secrets hold.
var revealed = cmp.Options{
	cmp.Comparer(func(a, b plan.Sensitive) bool { return a.Equal(b) }),
	cmp.Exporter(func(reflect.Type) bool { return true }),
}

func byName[R any](list []R, name func(R) string) []string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = name(r)
	}
	return names
}

// names are the names of all that a plan has.
func namesOf(p *plan.Plan) []string {
	return slices.Concat(
		byName(p.Gateways, func(g *plan.Gateway) string { return "gateway/" + g.Name }),
		byName(p.Rules, func(r *plan.Rule) string { return "rule/" + r.Name }),
		byName(p.Backends, func(b *plan.Backend) string { return "backend/" + b.Name }),
		byName(p.Policies, func(o *plan.Policy) string { return "policy/" + o.Name }),
		byName(p.Secrets, func(s *plan.Secret) string { return "secret/" + s.Name }),
	)
}

// slow is Part by its definition: whatever is named in the text of what is needed is needed, until there is no more.
func slow(p *plan.Plan, gateway string) []string {
	need := map[string]bool{}
	near := map[string]bool{} // backends that a rule names
	text := func(v any) string {
		out, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(out)
	}
	names := func(v any, name string) bool { return strings.Contains(text(v), `"`+name+`"`) }
	for before := -1; before < len(need); {
		before = len(need)
		for _, g := range p.Gateways {
			if g.Name != gateway {
				continue
			}
			need["gateway/"+g.Name] = true
			for _, r := range p.Rules {
				if names(r.Parents, g.Name) {
					need["rule/"+r.Name] = true
				}
			}
			for _, s := range p.Secrets {
				if names(g, s.Name) {
					need["secret/"+s.Name] = true
				}
			}
		}
		for _, r := range p.Rules {
			if !need["rule/"+r.Name] {
				continue
			}
			filters := r.Filters
			for _, ref := range r.Backends {
				filters = slices.Concat(filters, ref.Filters)
			}
			for _, b := range p.Backends {
				used := slices.ContainsFunc(r.Backends, func(ref plan.RuleBackend) bool { return ref.Fault == nil && ref.Backend == b.Name })
				mirrored := slices.ContainsFunc(filters, func(f plan.Filter) bool {
					return f.Mirror != nil && f.Mirror.Fault == nil && f.Mirror.Backend == b.Name
				})
				if used || mirrored {
					need["backend/"+b.Name], near[b.Name] = true, true
				}
			}
		}
		for _, b := range p.Backends {
			for _, s := range p.Secrets {
				if need["backend/"+b.Name] && b.Fault == nil && names(b, s.Name) {
					need["secret/"+s.Name] = true
				}
			}
		}
		for _, o := range p.Policies {
			reaches := false // from what is near
			for _, t := range o.Targets {
				var here, far bool
				switch t.Kind {
				case plan.TargetClass:
					here = slices.ContainsFunc(p.Gateways, func(g *plan.Gateway) bool { return g.Name == gateway && g.Class == t.Name })
				case plan.TargetGateway:
					here = need["gateway/"+t.Name]
				case plan.TargetListener:
					here = slices.ContainsFunc(p.Gateways, func(g *plan.Gateway) bool {
						return g.Name == gateway && slices.ContainsFunc(g.Listeners, func(l *plan.Listener) bool { return t.Name == g.Name+"#"+l.Name })
					})
				case plan.TargetRoute:
					here = slices.ContainsFunc(p.Rules, func(r *plan.Rule) bool { return r.Route == t.Name && need["rule/"+r.Name] })
				case plan.TargetRule:
					here = need["rule/"+t.Name]
				case plan.TargetBackend, plan.TargetPort:
					for _, b := range p.Backends {
						whole, _, port := strings.Cut(b.Name, ":")
						if t.Kind == plan.TargetBackend && whole == t.Name || t.Kind == plan.TargetPort && port && b.Name == t.Name {
							far = far || need["backend/"+b.Name]
							here = here || near[b.Name]
						}
					}
				}
				if here || far {
					need["policy/"+o.Name] = true
				}
				reaches = reaches || here
			}
			if !need["policy/"+o.Name] || o.Fault != nil {
				continue
			}
			for _, s := range p.Secrets {
				if names(o.Config, s.Name) {
					need["secret/"+s.Name] = true
				}
			}
			if e, ok := o.Config.(*egress.Config); ok && reaches {
				for _, b := range p.Backends {
					if e.Parent == b.Name {
						need["backend/"+b.Name] = true
					}
				}
			}
		}
	}
	// In the order of a plan.
	var list []string
	all := namesOf(p)
	for _, form := range forms {
		var of []string
		for _, name := range all {
			if strings.HasPrefix(name, form.prefix) && need[name] {
				of = append(of, name)
			}
		}
		slices.Sort(of)
		list = append(list, of...)
	}
	return list
}

// random is a plan of few names, so that everything refers to everything.
func random(r *rand.Rand) *plan.Plan {
	pick := func(format string, n int) string { return fmt.Sprintf(format, r.IntN(n)) }
	maybe := func(format string, n int) string {
		if r.IntN(2) == 0 {
			return ""
		}
		return pick(format, n)
	}
	fault := func() *plan.Fault {
		if r.IntN(5) > 0 {
			return nil
		}
		return &plan.Fault{Reason: "RefNotPermitted", Message: "no"}
	}
	const secret, backend, gateway = "Secret/s/s%d", "Backend/b/b%d", "g/g%d"
	p := &plan.Plan{}
	for i := range 12 {
		p.Secrets = append(p.Secrets, &plan.Secret{
			Name: fmt.Sprintf(secret, i), Data: map[string]plan.Sensitive{"key": plan.NewSensitive(fmt.Appendf(nil, "sk-%d-%d", i, r.Int()))},
		})
	}
	for i := range 3 {
		p.Gateways = append(p.Gateways, &plan.Gateway{
			Name: fmt.Sprintf(gateway, i), Class: pick("c%d", 2), ClientCertificate: maybe(secret, 12), SPIFFE: []plan.SPIFFESource{{TrustDomain: "d", Bundle: maybe(secret, 12)}},
			Listeners: []*plan.Listener{
				{Name: "l0", Certificates: []string{maybe(secret, 12)}},
				{Name: "l1", Clients: &plan.ClientValidation{Roots: []string{maybe(secret, 12)}}},
			},
		})
	}
	for i := range 10 {
		b := &plan.Backend{Name: fmt.Sprintf(backend, i), Fault: fault()}
		if i > 7 {
			b.Name = fmt.Sprintf("Service/b/s:%d", i)
		}
		if r.IntN(2) == 0 {
			b.TLS = &plan.TLS{Roots: []string{maybe(secret, 12)}, ClientCertificate: maybe(secret, 12)}
		}
		p.Backends = append(p.Backends, b)
	}
	some := func() string { return p.Backends[r.IntN(10)].Name }
	for i := range 6 {
		rule := &plan.Rule{
			Name: fmt.Sprintf("HTTPRoute/r/r%d#%d", i/2, i%2), Route: fmt.Sprintf("HTTPRoute/r/r%d", i/2), Index: i % 2,
			Backends: []plan.RuleBackend{{Backend: some(), Fault: fault()}},
		}
		for _, filters := range []*[]plan.Filter{&rule.Filters, &rule.Backends[0].Filters} {
			if r.IntN(3) == 0 {
				*filters = []plan.Filter{{Mirror: &plan.Mirror{Backend: some(), Fault: fault()}}}
			}
		}
		for range 1 + r.IntN(2) {
			rule.Parents = append(rule.Parents, plan.Parent{Gateway: pick(gateway, 3), Listener: pick("l%d", 2)})
		}
		p.Rules = append(p.Rules, rule)
	}
	for i := range 12 {
		o := &plan.Policy{Kind: "EgressPolicy", Fault: fault()}
		config := &egress.Config{Mode: "Parent", Parent: some()}
		if o.Config = config; r.IntN(2) == 0 {
			o.Kind = "CredentialInjector"
			o.Config = &credential.Config{Type: "APIKey", APIKey: &credential.APIKey{Header: "authorization", Reference: credential.Reference{Secret: pick(secret, 12), Key: "key"}}}
		}
		o.Name = fmt.Sprintf("%s/p/p%02d", o.Kind, i)
		for range 1 + r.IntN(2) {
			o.Targets = append(o.Targets, []plan.Target{
				{Kind: plan.TargetClass, Name: pick("c%d", 2)},
				{Kind: plan.TargetGateway, Name: pick(gateway, 3)},
				{Kind: plan.TargetListener, Name: pick(gateway, 3) + pick("#l%d", 2)},
				{Kind: plan.TargetBackend, Name: some(), Conflicted: r.IntN(2) == 0},
				{Kind: plan.TargetBackend, Name: "Service/b/s"},
				{Kind: plan.TargetPort, Name: pick("Service/b/s:%d", 10)},
				{Kind: plan.TargetRoute, Name: pick("HTTPRoute/r/r%d", 3)},
				{Kind: plan.TargetRule, Name: pick("HTTPRoute/r/r%d", 3) + pick("#%d", 2)},
			}[r.IntN(8)])
		}
		p.Policies = append(p.Policies, o)
	}
	slices.SortFunc(p.Policies, func(a, b *plan.Policy) int { return strings.Compare(a.Name, b.Name) })
	return p
}

func TestPartIsWhatIsNeeded(t *testing.T) {
	seed := uint64(20261126)
	r := rand.New(rand.NewPCG(seed, 0))
	withheld := 0
	for range 400 {
		p := random(r)
		for _, g := range p.Gateways {
			part := Part(p, g.Name)
			if diff := cmp.Diff(slow(p, g.Name), namesOf(part)); diff != "" {
				t.Fatalf("%s: the slow definition and Part differ:\n%s", g.Name, diff)
			}
			withheld += len(p.Secrets) - len(part.Secrets)
			sameChains(t, p, part, g)
		}
	}
	if withheld == 0 {
		t.Error("no secret was ever withheld: the plans prove nothing")
	}
	if p := Part(random(r), "g/absent"); len(namesOf(p)) > 0 {
		t.Errorf("a Gateway that is not there needs %v", namesOf(p))
	}
}

// sameChains holds what the proxy builds for a Gateway from a part against what it builds from the whole.
func sameChains(t *testing.T, whole, part *plan.Plan, g *plan.Gateway) {
	t.Helper()
	type reading struct {
		chain string
		reads []string
	}
	build := func(p *plan.Plan) (list []reading) {
		var reads []string
		chains := engine.New(engine.Config{Kinds: order.Kinds(), Kubernetes: true}).Begin(p, func(name string) *plan.Secret {
			for _, s := range p.Secrets {
				if s.Name == name {
					reads = append(reads, fmt.Sprintf("%s %p", name, s))
					return s
				}
			}
			reads = append(reads, name+" absent")
			return nil
		})
		note := func(scope engine.Scope) string {
			reads = nil
			c := chains.Chain(scope)
			list = append(list, reading{fmt.Sprintf("%+v: %+v %+v", scope, settled(c.Settings), c.Fault()), reads})
			if c.Settings.Parent != nil {
				return c.Settings.Parent.Backend
			}
			return ""
		}
		for _, l := range g.Listeners {
			note(engine.Scope{Class: g.Class, Gateway: g.Name, Listener: l.Name})
			for _, r := range part.Rules { // of the whole too, those of the others have no chain here
				scope := engine.Scope{Class: g.Class, Gateway: g.Name, Listener: l.Name, Route: r.Route, Rule: r.Name}
				note(scope)
				for _, ref := range r.Backends {
					if ref.Fault == nil {
						scope.Backend = ref.Backend
						if parent := note(scope); parent != "" {
							scope.Backend = parent
							note(scope)
						}
					}
				}
			}
		}
		return list
	}
	if diff := cmp.Diff(build(whole), build(part), revealed); diff != "" {
		t.Fatalf("%s: the chains of the whole plan and of the part differ:\n%s", g.Name, diff)
	}
}

// settled are settings without pointers that differ from build to build.
func settled(s policy.Settings) string {
	out, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// TestTextIsNoReference: who writes a Secret's name where it means nothing gets no Secret for it.
func TestTextIsNoReference(t *testing.T) {
	p := &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "g/g", Listeners: []*plan.Listener{{Name: "l"}}}},
		Rules: []*plan.Rule{{
			Name: "HTTPRoute/r/r#0", Route: "HTTPRoute/r/r", Parents: []plan.Parent{{Gateway: "g/g", Listener: "l"}},
			Matches:   []plan.Match{{Headers: []plan.ValueMatch{{Name: "x", Value: "Secret/other/key"}}}},
			Hostnames: []string{"Secret/other/key"},
			Backends:  []plan.RuleBackend{{Backend: "Backend/other/b", Fault: &plan.Fault{Reason: "RefNotPermitted"}}},
		}},
		Backends: []*plan.Backend{{Name: "Backend/other/b", TLS: &plan.TLS{ClientCertificate: "Secret/other/key"}}},
		Policies: []*plan.Policy{
			{Name: "EgressPolicy/r/a", Kind: "EgressPolicy", Targets: []plan.Target{{Kind: plan.TargetRoute, Name: "HTTPRoute/r/r"}}, Config: &egress.Config{
				Region: "Secret/other/key", Paths: []string{"Secret/other/key"}, Tiers: [][]string{{"Backend/other/b"}},
			}},
			{Name: "CredentialInjector/r/b", Kind: "CredentialInjector", Targets: []plan.Target{{Kind: plan.TargetRoute, Name: "HTTPRoute/r/r"}}, Config: &credential.Config{
				Headers: []credential.Header{{Name: "x", Value: "Secret/other/key", Secret: &credential.Reference{Key: "Secret/other/key", Lost: "Secret/other/key"}}},
			}},
		},
		Secrets: []*plan.Secret{{Name: "Secret/other/key"}},
	}
	want := []string{"gateway/g/g", "rule/HTTPRoute/r/r#0", "policy/CredentialInjector/r/b", "policy/EgressPolicy/r/a"}
	if diff := cmp.Diff(want, namesOf(Part(p, "g/g"))); diff != "" {
		t.Error(diff)
	}
}

// translated are the plans of translate's golden inputs.
func translated(t testing.TB) map[string]*plan.Plan {
	t.Helper()
	cases, err := filepath.Glob("../translate/testdata/*/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	authority := testkit.CA(t, "golden")
	leaf := testkit.Loopback(t, authority, "gateway.test")
	key, err := ca.KeyPEM(leaf)
	if err != nil {
		t.Fatal(err)
	}
	line := func(pem []byte) string { return strings.ReplaceAll(string(pem), "\n", `\n`) }
	pair := strings.NewReplacer("@certificate@", line(ca.CertificatePEM(leaf)), "@key@", line(key), "@ca@", line(authority.PEM()))
	validator := schema.New()
	plans := map[string]*plan.Plan{}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name != "input.yaml" {
				continue
			}
			input := filepath.Join(t.TempDir(), "input.yaml")
			if err := os.WriteFile(input, []byte(pair.Replace(string(f.Data))), 0o600); err != nil {
				t.Fatal(err)
			}
			source, err := file.New(file.Config{Paths: []string{input}, Schema: validator, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				t.Fatal(err)
			}
			snapshot, problems := source.Load(t.Context())
			if snapshot == nil {
				t.Fatalf("%s: %v", name, problems)
			}
			plans[name] = translate.New(translate.Config{Kinds: order.Kinds()}).Apply(snapshot).Plan
		}
	}
	return plans
}

// TestTranslatedPlans holds Part against its slow definition, and what comes back against what was encoded, for the plans
// of every golden case: a new reference, or a new kind's, that Part does not follow, and a field that JSON loses, show here.
func TestTranslatedPlans(t *testing.T) {
	resources := 0
	for name, p := range translated(t) {
		for _, g := range p.Gateways {
			part := Part(p, g.Name)
			if diff := cmp.Diff(slow(p, g.Name), namesOf(part)); diff != "" {
				t.Errorf("%s: %s: the slow definition and Part differ:\n%s", name, g.Name, diff)
			}
			sameChains(t, p, part, g)
			e := encoder{}
			e.begin()
			items, err := e.encodeAll(part)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				resources++
				k, planName, ok := kindOf(i.name)
				if !ok || k != i.kind {
					t.Fatalf("%s names nothing", i.name)
				}
				read, err := decode(k, planName, i.payload.Reveal(), configs)
				if err != nil {
					t.Errorf("%s: %s: %v", name, i.name, err)
				} else if diff := cmp.Diff(i.resource, read, revealed); diff != "" {
					t.Errorf("%s: %s came back as another:\n%s", name, i.name, diff)
				}
			}
		}
		for _, list := range [][]string{
			byName(p.Rules, func(r *plan.Rule) string { return r.Name }), byName(p.Policies, func(o *plan.Policy) string { return o.Name }),
			byName(p.Backends, func(b *plan.Backend) string { return b.Name }),
		} {
			if !slices.IsSorted(list) {
				t.Errorf("%s: the plan is not sorted by name, as the proxy will have it: %v", name, list)
			}
		}
	}
	if resources < 100 {
		t.Errorf("only %d resources were held", resources)
	}
}
