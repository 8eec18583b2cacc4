package regions

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
)

func TestAllows(t *testing.T) {
	f := func(region string, want bool, patterns ...string) {
		t.Helper()
		if got := Allows(patterns, region); got != want {
			t.Errorf("%q by %q: %t", region, patterns, got)
		}
	}
	f("eu-west-1", true, "eu-west-1")
	f("eu-west-1", true, "us-east-1", "eu-*")
	f("eu-west-1", true, "*")
	f("eu-west-1", false, "eu-west-2")
	f("eu-west-1", false, "eu-west")
	f("eu-west-1", false, "us-*")
	f("eu-west-1", false)
	f("eu-west-1", false, "")
	f("europe", false, "eu-*")
	f("", false, "*")
	f("", false, "eu-*", "eu-west-1")
	f("", true, "eu-*", "")
	f(egress.Disputed, false, "*", "", egress.Disputed, "?*")
}

func TestCandidate(t *testing.T) {
	f := func(region string, c *Config, said [][]string, reason exchange.Reason, field string) {
		t.Helper()
		x := &exchange.Exchange{Hop: exchange.Hop{Regions: said}}
		judged := &policy.Candidate{Settings: &policy.Settings{Region: region}}
		own, err := restrict(policy.Env{}, c)
		if err != nil {
			t.Fatal(err)
		}
		carried, err := apply(policy.Env{}, new(Config))
		if err != nil {
			t.Fatal(err)
		}
		got := &exchange.Refusal{}
		for _, s := range []any{own, carried} {
			if r := s.(policy.CandidateStage).Candidate(t.Context(), x, judged); r != nil && got.Reason == "" {
				got = r
			}
		}
		if got.Reason != reason || got.Field != field || (got.Reason != "") != (got.Detail != "") {
			t.Errorf("%q by %v and %q: %+v", region, c, said, got)
		}
	}
	eu := &Config{Regions: []string{"eu-*"}}
	f("eu-west-1", eu, nil, "", "")
	f("us-east-1", eu, nil, exchange.RegionNotAllowed, "spec.regions")
	f("", eu, nil, exchange.RegionNotAllowed, "spec.unknown")
	f(egress.Disputed, eu, nil, exchange.RegionNotAllowed, "spec.regions")
	f("eu-west-1", eu, [][]string{{"eu-west-1", "eu-west-2"}}, "", "")
	f("eu-north-1", eu, [][]string{{"eu-*"}, {"eu-west-1", "eu-west-2"}}, exchange.RegionNotAllowed, "")
	f("", &Config{Regions: []string{"eu-*"}, Unknown: "Allow"}, [][]string{{"eu-*"}}, exchange.RegionNotAllowed, "")
	f("", &Config{Regions: []string{"eu-*"}, Unknown: "Allow"}, [][]string{{"de", ""}}, "", "")
}

func TestTune(t *testing.T) {
	var s policy.Settings
	for _, mode := range []string{"Enforce", "Report"} {
		stage, err := restrict(policy.Env{}, &Config{Mode: mode, Regions: []string{"eu-*"}, Unknown: "Allow"})
		if err != nil {
			t.Fatal(err)
		}
		stage.(policy.Tuner).Tune(&s)
	}
	if diff := cmp.Diff([][]string{{"eu-*", ""}}, s.Regions); diff != "" {
		t.Error(diff)
	}
}

func TestTranslate(t *testing.T) {
	got := translate(nil, &v1alpha1.RegionAllowListPolicy{Spec: v1alpha1.RegionAllowListPolicySpec{
		Mode: "Report", Regions: []v1alpha1.RegionPattern{"eu-*", "ch"}, Unknown: "Allow",
	}})
	if diff := cmp.Diff(&Config{Mode: "Report", Regions: []string{"eu-*", "ch"}, Unknown: "Allow"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAllowedRegionCostsNothing(t *testing.T) {
	s := &stage{regions: []string{"us-*", "eu-*"}}
	c := &policy.Candidate{Settings: &policy.Settings{Region: "eu-west-1"}}
	x := &exchange.Exchange{}
	if n := testing.AllocsPerRun(100, func() {
		if s.Candidate(t.Context(), x, c) != nil || (passed{}).Candidate(t.Context(), x, c) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIdle(t *testing.T) {
	f := func(unknown string, idles bool, others ...any) {
		t.Helper()
		if why := idle(&Config{Regions: []string{"eu-*"}, Unknown: unknown}, others); (why != "") != idles {
			t.Errorf("unknown %q, with %v: %q", unknown, others, why)
		}
	}
	f("Allow", true)
	f("Allow", true, &egress.Config{}, new(Config))
	f("Allow", false, new(Config), &egress.Config{Region: "us-1"})
	f("Deny", false)
	f("", false)
}
