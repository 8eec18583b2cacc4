package translate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// estate is a Gateway, a Backend with a credential, and as many routes to it, all in namespace "ai".
func estate(routes int) *source.Snapshot {
	s := &source.Snapshot{Objects: map[string]source.Object{}}
	put(s, "Gateway", &gwapiv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "egress"},
		Spec: gwapiv1.GatewaySpec{GatewayClassName: attach.ImplicitClass, Listeners: []gwapiv1.Listener{
			{Name: "http", Port: 8080, Protocol: gwapiv1.HTTPProtocolType},
		}},
	})
	put(s, "Backend", &v1alpha1.Backend{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "openai"},
		Spec: v1alpha1.BackendSpec{
			Type: v1alpha1.BackendTypeExternalHostname, ExternalHostname: &v1alpha1.ExternalHostnameBackend{Hostname: "api.example.com"},
			Port: v1alpha1.BackendPort{Number: 443},
		},
	})
	for _, name := range []string{"key", "other"} {
		put(s, "Secret", token(name, "one"))
	}
	put(s, "CredentialInjector", &v1alpha1.CredentialInjector{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "openai"},
		Spec: v1alpha1.CredentialInjectorSpec{
			TargetRefs: []gwapiv1.LocalPolicyTargetReferenceWithSectionName{backendTarget("openai")},
			APIKey:     &v1alpha1.APIKeyCredential{SecretRef: v1alpha1.SecretKeyReference{Name: "key", Key: "token"}},
		},
	})
	for i := range routes {
		put(s, "HTTPRoute", path(fmt.Sprintf("route-%04d", i), fmt.Sprintf("/%d", i)))
	}
	return s
}

func put(s *source.Snapshot, kind string, object source.Object) {
	s.Objects[plan.ObjectName(kind, object.GetNamespace(), object.GetName())] = object
}

// change is a copy of a snapshot with an object replaced; the others keep their pointers.
func change(s *source.Snapshot, kind string, object source.Object) *source.Snapshot {
	next := &source.Snapshot{Objects: maps.Clone(s.Objects)}
	put(next, kind, object)
	return next
}

func token(name, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: name}, Data: map[string][]byte{"token": []byte(value)}}
}

func path(name, value string) *gwapiv1.HTTPRoute {
	group, kind := gwapiv1.Group(v1alpha1.GroupName), gwapiv1.Kind("Backend")
	return &gwapiv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: name},
		Spec: gwapiv1.HTTPRouteSpec{
			CommonRouteSpec: gwapiv1.CommonRouteSpec{ParentRefs: []gwapiv1.ParentReference{{Name: "egress"}}},
			Rules: []gwapiv1.HTTPRouteRule{{
				Matches:     []gwapiv1.HTTPRouteMatch{{Path: &gwapiv1.HTTPPathMatch{Value: &value}}},
				BackendRefs: []gwapiv1.HTTPBackendRef{{BackendRef: gwapiv1.BackendRef{BackendObjectReference: gwapiv1.BackendObjectReference{Group: &group, Kind: &kind, Name: "openai"}}}},
			}},
		},
	}
}

func backendTarget(name string) gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return gwapiv1.LocalPolicyTargetReferenceWithSectionName{
		LocalPolicyTargetReference: gwapiv1.LocalPolicyTargetReference{Group: v1alpha1.GroupName, Kind: "Backend", Name: gwapiv1.ObjectName(name)},
	}
}

func TestOnlyWhatReadsAChangeRuns(t *testing.T) {
	s := estate(1000)
	translator := New(Config{Kinds: kinds()})
	first := translator.Apply(s)
	if got := translator.Runs()["routes"]; got != 1000 || len(first.Plan.Rules) != 1000 || len(first.Problems) > 0 {
		t.Fatalf("%d routes ran at first, %d rules, problems %v", got, len(first.Plan.Rules), first.Problems)
	}
	f := func(what string, next *source.Snapshot, want map[string]int) *Result {
		t.Helper()
		result := translator.Apply(next)
		if diff := cmp.Diff(want, translator.Runs()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		s = next
		return result
	}
	f("nothing", change(s, "Secret", s.Objects["Secret/ai/key"]), map[string]int{})
	second := f("a Secret that a policy names", change(s, "Secret", token("key", "two")), map[string]int{"policies": 1, "secrets": 1})
	if string(second.Plan.Secrets[0].Data["token"].Reveal()) != "two" || first.Plan.Policies[0] != second.Plan.Policies[0] {
		t.Error("the plan has the old secret, or a new policy")
	}
	f("a Secret that nothing names", change(s, "Secret", token("other", "two")), map[string]int{"secrets": 1})
	third := f("a route", change(s, "HTTPRoute", path("route-0500", "/new")), map[string]int{"attached routes": 1, "routes": 1, "uses": 1, "plan rules": 1, "route statuses": 1})
	for i, rule := range third.Plan.Rules {
		if changed := i == 500; changed == (rule == first.Plan.Rules[i]) {
			t.Errorf("rule %d: pointer kept %v", i, !changed)
		}
	}
	if third.Plan.Rules[500].Matches[0].Path.Value != "/new" || first.Plan.Backends[0] != third.Plan.Backends[0] {
		t.Error("the plan has the old route, or a new backend")
	}
	gone := &source.Snapshot{Objects: maps.Clone(s.Objects)}
	delete(gone.Objects, "HTTPRoute/ai/route-0500")
	last := f("a route that is gone", gone, map[string]int{"backend statuses": 1, "gateway statuses": 1, "policy statuses": 1})
	if len(last.Plan.Rules) != 999 || attached(last) != 999 {
		t.Errorf("%d rules, %d attached", len(last.Plan.Rules), attached(last))
	}
}

// A certificate that is renewed reaches the plan's Secret and leaves Gateway and routes as they are.
func TestARenewedCertificateRunsItsGateway(t *testing.T) {
	s := estate(3)
	gateway := s.Objects["Gateway/ai/egress"].(*gwapiv1.Gateway)
	gateway.Spec.Listeners = append(gateway.Spec.Listeners, gwapiv1.Listener{
		Name: "https", Port: 8443, Protocol: gwapiv1.HTTPSProtocolType,
		TLS: &gwapiv1.ListenerTLSConfig{CertificateRefs: []gwapiv1.SecretObjectReference{{Name: "pair"}}},
	})
	pair := func() *corev1.Secret {
		pem := newPair(t)
		text := func(placeholder string) []byte {
			return []byte(strings.ReplaceAll(pem.Replace(placeholder), `\n`, "\n"))
		}
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "pair"}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"tls.crt": text("@certificate@"), "tls.key": text("@key@")}}
	}
	translator := New(Config{Kinds: kinds()})
	first := translator.Apply(change(s, "Secret", pair()))
	if len(first.Plan.Gateways[0].Listeners) != 2 {
		t.Fatal(first.Problems)
	}
	second := translator.Apply(change(s, "Secret", pair()))
	if diff := cmp.Diff(map[string]int{"gateways": 1, "secrets": 1}, translator.Runs()); diff != "" {
		t.Error(diff)
	}
	if first.Plan.Gateways[0] != second.Plan.Gateways[0] {
		t.Error("the Gateway is another")
	}
	third := translator.Apply(s)
	if len(third.Plan.Gateways[0].Listeners) != 1 || len(third.Plan.Secrets) != 1 {
		t.Error("a listener serves without its certificate, or the plan keeps a Secret that nothing names")
	}
}

func attached(r *Result) int {
	i := slices.IndexFunc(r.Statuses, func(s *Status) bool { return s.Object == "Gateway/ai/egress" })
	return int(r.Statuses[i].Listeners[0].AttachedRoutes)
}

// A translator that has seen a history says what a fresh one says.
func TestHistoryLeavesNoTrace(t *testing.T) {
	s := estate(5)
	translator := New(Config{Kinds: kinds(), Now: func() time.Time { return epoch }})
	broken := path("route-0002", "/x")
	broken.Spec.Rules[0].BackendRefs[0].Name = "missing"
	elsewhere := path("route-0003", "/x")
	elsewhere.Spec.ParentRefs[0].Name = "missing"
	for _, step := range []func(){
		func() {},
		func() { delete(s.Objects, "Secret/ai/key") },
		func() { s = change(s, "HTTPRoute", broken) },
		func() { delete(s.Objects, "Backend/ai/openai") },
		func() { s = change(s, "Secret", token("key", "new")) },
		func() { s = change(s, "HTTPRoute", elsewhere) },
		func() { delete(s.Objects, "Gateway/ai/egress") },
		func() { s = estate(4) },
		func() { s = &source.Snapshot{} },
		func() { s = estate(2) },
	} {
		s = &source.Snapshot{Objects: maps.Clone(s.Objects)}
		step()
		want := New(Config{Kinds: kinds(), Now: func() time.Time { return epoch }}).Apply(s)
		if diff := cmp.Diff(text(t, want), text(t, translator.Apply(s))); diff != "" {
			t.Fatal(diff)
		}
	}
}

func text(t testing.TB, r *Result) string {
	t.Helper()
	out, err := json.MarshalIndent(struct {
		Plan     *plan.Plan
		Statuses []*Status
		Problems any
	}{r.Plan, r.Statuses, r.Problems}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), "null", "[]")
}

func TestProblemsSayWhere(t *testing.T) {
	s := estate(0)
	delete(s.Objects, "Secret/ai/key")
	s.Locate = func(object, field string) (string, int) { return object + ".yaml", len(field) }
	problems := New(Config{Kinds: kinds()}).Apply(s).Problems
	if len(problems) != 1 || problems[0].File != "CredentialInjector/ai/openai.yaml" || problems[0].Line != len("spec.apiKey.secretRef") {
		t.Errorf("%+v", problems)
	}
}

func TestLocalHoldsForEveryGateway(t *testing.T) {
	if got := New(Config{Local: true}).Apply(estate(0)).Plan.Gateways; len(got) != 1 || !got[0].Local {
		t.Errorf("%+v", got)
	}
}

func BenchmarkOneRouteOf5000(b *testing.B) {
	s := estate(5000)
	translator := New(Config{Kinds: kinds()})
	translator.Apply(s)
	var next [2]*source.Snapshot
	for i := range next {
		next[i] = change(s, "HTTPRoute", path("route-2500", fmt.Sprintf("/changed/%d", i)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		translator.Apply(next[i%2])
	}
}

func BenchmarkFirst5000Routes(b *testing.B) {
	s := estate(5000)
	for b.Loop() {
		New(Config{Kinds: kinds()}).Apply(s)
	}
}
