package backendtraffic

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

type refs struct {
	policy.References
	invalid []string
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }

func TestTranslate(t *testing.T) {
	f := func(spec gwapixv1alpha1.BackendTrafficPolicySpec, want *Config, invalid ...string) {
		t.Helper()
		r := &refs{}
		got := translate(r, Kind().Object(&gwapixv1alpha1.XBackendTrafficPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "p"}, Spec: spec}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(invalid, r.invalid); diff != "" {
			t.Error(diff)
		}
		if why := effective(got, nil); (why == "") != (want.Budget != nil || want.Session != nil) {
			t.Errorf("no effect: %q", why)
		}
	}
	type spec = gwapixv1alpha1.BackendTrafficPolicySpec
	retries := func(c gwapixv1alpha1.RetryConstraint) spec { return spec{RetryConstraint: &c} }
	d := func(text gwapiv1.Duration) *gwapiv1.Duration { return &text }
	standard := Budget{Percent: 20, Interval: 10 * time.Second, Floor: 10, FloorInterval: time.Second}
	with := func(change func(*Budget)) *Config {
		b := standard
		change(&b)
		return &Config{Budget: &b}
	}
	f(spec{}, &Config{})
	f(retries(gwapixv1alpha1.RetryConstraint{}), &Config{Budget: &standard})
	f(retries(gwapixv1alpha1.RetryConstraint{
		Budget: &gwapixv1alpha1.BudgetDetails{Percent: new(0), Interval: d("1m")}, MinRetryRate: &gwapixv1alpha1.RequestRate{Count: new(3)},
	}), with(func(b *Budget) { b.Percent, b.Interval, b.Floor = 0, time.Minute, 3 }))
	f(retries(gwapixv1alpha1.RetryConstraint{MinRetryRate: &gwapixv1alpha1.RequestRate{Interval: d("1h")}}), with(func(b *Budget) { b.FloorInterval = time.Hour }))
	f(retries(gwapixv1alpha1.RetryConstraint{Budget: &gwapixv1alpha1.BudgetDetails{Percent: new(101)}}),
		with(func(b *Budget) { b.Percent = 101 }), "spec.retryConstraint.budget")
	f(retries(gwapixv1alpha1.RetryConstraint{Budget: &gwapixv1alpha1.BudgetDetails{Interval: d("x")}}),
		&Config{Budget: &standard}, "spec.retryConstraint.budget.interval")
	f(retries(gwapixv1alpha1.RetryConstraint{MinRetryRate: &gwapixv1alpha1.RequestRate{Interval: d("0s")}}),
		with(func(b *Budget) { b.FloorInterval = 0 }), "spec.retryConstraint.minRetryRate")
	f(spec{SessionPersistence: &gwapiv1.SessionPersistence{SessionName: new("s")}}, &Config{Session: &plan.Session{Type: plan.SessionCookie, Name: "s"}})
	f(spec{SessionPersistence: &gwapiv1.SessionPersistence{SessionName: new("a b")}},
		&Config{Session: &plan.Session{Type: plan.SessionCookie, Name: "a b"}}, "spec.sessionPersistence.sessionName")
}

func TestTargetReferences(t *testing.T) {
	o := Object{&gwapixv1alpha1.XBackendTrafficPolicy{}}
	o.Spec.TargetRefs = []gwapiv1.LocalPolicyTargetReference{{Kind: "Service", Name: "a"}, {Group: "ebbgate.dev", Kind: "Backend", Name: "b"}}
	got := o.TargetReferences()
	if len(got) != 2 || got[1].LocalPolicyTargetReference != o.Spec.TargetRefs[1] || got[1].SectionName != nil {
		t.Errorf("%+v", got)
	}
	if Kind().Object(&gwapiv1.HTTPRoute{}) != nil {
		t.Error("an HTTPRoute became a policy")
	}
}

func TestTune(t *testing.T) {
	kind := Kind()
	session := &plan.Session{Type: plan.SessionCookie, Name: "s"}
	f := func(budget policy.Budget, want *plan.Session, configs ...any) {
		t.Helper()
		s := policy.NewSettings()
		stage, err := kind.Apply(policy.Env{}, policy.Merge(kind.Config(), configs...))
		if err != nil {
			t.Fatal(err)
		}
		if stage != nil {
			if n := testing.AllocsPerRun(100, func() { stage.(policy.Tuner).Tune(&s) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		}
		if s.Retry.Budget != budget || s.Session != want {
			t.Errorf("%+v, %+v", s.Retry.Budget, s.Session)
		}
	}
	standard := policy.NewSettings().Retry.Budget
	f(standard, nil)
	f(standard, nil, &Config{})
	f(standard, session, &Config{Session: session})
	f(policy.Budget{Percent: 0, Interval: time.Second, Floor: 1, FloorInterval: time.Minute, Written: true}, nil,
		&Config{Budget: &Budget{Percent: 0, Interval: time.Second, Floor: 1, FloorInterval: time.Minute}})
}
