package egress

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// TestTuneSetting merges specs, the most general first, and lays them over the defaults.
func TestTuneSetting(t *testing.T) {
	kind := Kind()
	f := func(change func(*policy.Settings), specs ...v1alpha1.EgressPolicySpec) {
		t.Helper()
		configs := make([]any, len(specs))
		for i, spec := range specs {
			r := &refs{}
			configs[i] = translate(r, &v1alpha1.EgressPolicy{Spec: spec})
			if len(r.invalid) > 0 {
				t.Errorf("invalid: %v", r.invalid)
			}
		}
		want, got := policy.NewSettings(), policy.NewSettings()
		change(&want)
		stage, err := kind.Apply(policy.Env{}, policy.Merge(kind.Config(), configs...))
		if err != nil {
			t.Fatal(err)
		}
		if stage != nil {
			stage.(policy.Tuner).Tune(&got)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	type spec = v1alpha1.EgressPolicySpec
	d := func(text gwapiv1.Duration) *gwapiv1.Duration { return &text }
	n := func(n int32) *int32 { return &n }

	f(func(*policy.Settings) {})
	f(func(*policy.Settings) {}, spec{Region: new("eu"), Mode: new(v1alpha1.EgressModeParent)}, spec{Retry: &v1alpha1.Retry{Budget: &v1alpha1.RetryBudget{}}})
	f(func(s *policy.Settings) {
		s.Timeouts = policy.Timeouts{Connect: time.Second, FirstByte: 0, StreamIdle: 300 * time.Second, Request: time.Minute}
	},
		spec{Timeouts: &v1alpha1.Timeouts{Connect: d("3s"), FirstByte: d("1s"), Request: d("1m")}},
		spec{Timeouts: &v1alpha1.Timeouts{Connect: d("1s"), FirstByte: d("0s")}})
	f(func(s *policy.Settings) { s.Priority = 0 }, spec{Priority: n(3)}, spec{Priority: n(0)})
	f(func(s *policy.Settings) { s.Priority = 3 }, spec{Priority: n(3)}, spec{})
	f(func(s *policy.Settings) { s.Tiers = [][]string{{"Service//b"}} },
		spec{Tiers: []v1alpha1.Tier{{Backends: []v1alpha1.TierBackend{{Kind: "Service", Name: "a"}}}}},
		spec{Tiers: []v1alpha1.Tier{{Backends: []v1alpha1.TierBackend{{Kind: "Service", Name: "b"}}}}})
	f(func(s *policy.Settings) {
		s.Connections = policy.Connections{Max: 10, Pending: 0, Wait: time.Second, Idle: time.Minute}
	},
		spec{Connections: &v1alpha1.Connections{Max: n(7), Pending: n(9), Idle: d("1m")}},
		spec{Connections: &v1alpha1.Connections{Max: n(10), Pending: n(0), Wait: d("1s")}})
}

func TestTuneRetry(t *testing.T) {
	f := func(change func(*policy.Retry), layers ...*v1alpha1.Retry) {
		t.Helper()
		want, got := policy.NewSettings().Retry, policy.NewSettings()
		change(&want)
		tune(t, &got, func(c *Config, refs *refs, i int) { c.Retry = retry(refs, layers[i]) }, len(layers))
		if diff := cmp.Diff(want, got.Retry); diff != "" {
			t.Error(diff)
		}
	}
	d := func(text gwapiv1.Duration) *gwapiv1.Duration { return &text }
	n := func(n int32) *int32 { return &n }
	f(func(*policy.Retry) {}, nil, &v1alpha1.Retry{})
	f(func(r *policy.Retry) {
		*r = policy.Retry{
			Attempts: 0, On: policy.Unsent | policy.Reset | policy.TimedOut | policy.GatewayError, Statuses: []int{}, Duplicates: true, KeysHonoured: true,
			Budget: policy.Budget{Percent: 0, Interval: time.Minute, Floor: 10, FloorInterval: time.Second},
		}
	},
		&v1alpha1.Retry{Attempts: n(5), Statuses: []v1alpha1.RetryStatus{503}, Duplicates: new(v1alpha1.DuplicatesNever), Budget: &v1alpha1.RetryBudget{Interval: d("1m")}},
		&v1alpha1.Retry{
			Attempts: n(0), Classes: []v1alpha1.RetryClass{"GatewayError", "Unsent", "Reset", "Timeout"}, Statuses: []v1alpha1.RetryStatus{}, Duplicates: new(v1alpha1.DuplicatesAllow),
			IdempotencyKeys: new(v1alpha1.IdempotencyKeysHonoured), Backoff: d("0s"), Budget: &v1alpha1.RetryBudget{Percent: n(0)},
		})
	f(func(r *policy.Retry) {
		r.Duplicates, r.On = true, policy.Unsent|policy.Rejected|policy.Reset|policy.TimedOut|policy.GatewayError
	}, &v1alpha1.Retry{Duplicates: new(v1alpha1.DuplicatesAllow)})
	f(func(r *policy.Retry) { r.On, r.Statuses = policy.Rejected, []int{503} },
		&v1alpha1.Retry{Duplicates: new(v1alpha1.DuplicatesAllow), IdempotencyKeys: new(v1alpha1.IdempotencyKeysHonoured), Classes: []v1alpha1.RetryClass{"Unsent"}},
		&v1alpha1.Retry{Duplicates: new(v1alpha1.DuplicatesNever), IdempotencyKeys: new(v1alpha1.IdempotencyKeysIgnored), Classes: []v1alpha1.RetryClass{"Rejected"}, Statuses: []v1alpha1.RetryStatus{503}})
}

func TestTuneHealth(t *testing.T) {
	f := func(change func(*policy.Health), layers ...*v1alpha1.Health) {
		t.Helper()
		want, got := policy.NewSettings().Health, policy.NewSettings()
		change(&want)
		tune(t, &got, func(c *Config, refs *refs, i int) { c.Health = health(refs, layers[i]) }, len(layers))
		if diff := cmp.Diff(want, got.Health); diff != "" {
			t.Error(diff)
		}
	}
	d := func(text gwapiv1.Duration) *gwapiv1.Duration { return &text }
	n := func(n int32) *int32 { return &n }
	passive := func(p v1alpha1.PassiveHealth) *v1alpha1.Health { return &v1alpha1.Health{Passive: &p} }
	f(func(*policy.Health) {}, nil, &v1alpha1.Health{}, passive(v1alpha1.PassiveHealth{ErrorRate: &v1alpha1.ErrorRate{}}))
	f(func(h *policy.Health) { h.SlowStart = 0 }, &v1alpha1.Health{SlowStart: d("1m")}, &v1alpha1.Health{SlowStart: d("0s")})
	f(func(h *policy.Health) {
		h.Passive = policy.Passive{
			On: policy.FaultConnect | policy.FaultTLS | policy.FaultReset | policy.FaultTimeout | policy.FaultGatewayError, ConsecutiveErrors: 0,
			ErrorPercent: 50, ErrorRequests: 7, Interval: time.Minute, Ejection: time.Second, MaxEjection: 2 * time.Second, MaxEjectedPercent: 30,
		}
	},
		passive(v1alpha1.PassiveHealth{Errors: []v1alpha1.HealthError{"TLS"}, ConsecutiveErrors: n(3), ErrorRate: &v1alpha1.ErrorRate{Requests: n(7), Interval: d("1m")}, MaxEjectedPercent: n(30)}),
		passive(v1alpha1.PassiveHealth{
			Errors: []v1alpha1.HealthError{"Connect", "TLS", "Reset", "Timeout", "GatewayError"}, ConsecutiveErrors: n(0), ErrorRate: &v1alpha1.ErrorRate{Percent: n(50)},
			Ejection: d("1s"), MaxEjection: d("2s"),
		}))
	f(func(h *policy.Health) { h.Passive.Ejection, h.Passive.MaxEjection = 10*time.Minute, 10*time.Minute }, passive(v1alpha1.PassiveHealth{Ejection: d("10m")}))
	f(func(h *policy.Health) {
		h.Active = &policy.Active{Type: policy.ActiveGRPC, Service: "a.B", Interval: time.Second, Timeout: time.Millisecond, HealthyAfter: 2, UnhealthyAfter: 4}
	},
		&v1alpha1.Health{Active: &v1alpha1.ActiveHealth{Type: "HTTP", Path: new("/x"), Statuses: []v1alpha1.HealthStatus{204}, Interval: "10s", Timeout: "2s", HealthyAfter: 1, UnhealthyAfter: 3}},
		&v1alpha1.Health{Active: &v1alpha1.ActiveHealth{Type: "GRPC", Service: new("a.B"), Interval: "1s", Timeout: "1ms", HealthyAfter: 2, UnhealthyAfter: 4}})
	f(func(h *policy.Health) {
		h.Active = &policy.Active{Type: policy.ActiveHTTP, Path: "/x", Statuses: []int{204}, Interval: time.Second, Timeout: time.Millisecond, HealthyAfter: 1, UnhealthyAfter: 3}
	},
		&v1alpha1.Health{Active: &v1alpha1.ActiveHealth{Type: "HTTP", Path: new("/x"), Statuses: []v1alpha1.HealthStatus{204}, Interval: "1s", Timeout: "1ms", HealthyAfter: 1, UnhealthyAfter: 3}},
		&v1alpha1.Health{SlowStart: d("30s")})
}

// tune merges layers that part fills, the most general first, and lays them over s.
func tune(t *testing.T, s *policy.Settings, part func(c *Config, refs *refs, layer int), layers int) {
	t.Helper()
	r, configs := &refs{}, make([]any, layers)
	for i := range configs {
		c := &Config{}
		part(c, r, i)
		configs[i] = c
	}
	if len(r.invalid) > 0 {
		t.Errorf("invalid: %v", r.invalid)
	}
	stage, err := apply(policy.Env{}, policy.Merge(new(Config), configs...))
	if err != nil {
		t.Fatal(err)
	}
	if stage != nil {
		stage.(policy.Tuner).Tune(s)
	}
}

// TestDurationsThatBoundNothing: where zero would be no bound it is refused, wherever the schema was not asked.
func TestDurationsThatBoundNothing(t *testing.T) {
	zero := new(gwapiv1.Duration("0s"))
	r := &refs{}
	translate(r, &v1alpha1.EgressPolicy{Spec: v1alpha1.EgressPolicySpec{
		Timeouts:    &v1alpha1.Timeouts{Connect: zero, FirstByte: zero, StreamIdle: zero, Request: zero},
		Connections: &v1alpha1.Connections{Wait: zero, Idle: zero},
		Retry:       &v1alpha1.Retry{Backoff: zero, Budget: &v1alpha1.RetryBudget{Interval: zero}},
		Health: &v1alpha1.Health{
			Passive: &v1alpha1.PassiveHealth{Ejection: zero, MaxEjection: zero, ErrorRate: &v1alpha1.ErrorRate{Interval: zero}},
			Active:  &v1alpha1.ActiveHealth{Interval: "0s", Timeout: "x"}, SlowStart: zero,
		},
	}})
	want := []string{
		"spec.timeouts.connect", "spec.connections.wait", "spec.connections.idle", "spec.retry.budget.interval",
		"spec.health.passive.ejection", "spec.health.passive.maxEjection", "spec.health.passive.errorRate.interval",
		"spec.health.active.interval", "spec.health.active.timeout",
	}
	if diff := cmp.Diff(want, r.invalid); diff != "" {
		t.Error(diff)
	}
}
