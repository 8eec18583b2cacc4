package regions

import (
	"context"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
)

// stage is one RegionAllowListPolicy at work. Every one of a chain has its own and all must pass.
type stage struct {
	regions []string // patterns; "" is a region that nothing states
	report  bool
}

func restrict(_ policy.Env, config any) (any, error) {
	c := config.(*Config)
	s := &stage{regions: c.Regions, report: c.Mode == string(v1alpha1.EnforcementModeReport)}
	if c.Unknown == string(v1alpha1.UnknownRegionAllow) {
		s.regions = append(slices.Clone(s.regions), "")
	}
	return s, nil
}

// Tune tells the gateways further up, unless the policy only reports.
func (s *stage) Tune(t *policy.Settings) {
	if !s.report {
		t.Regions = append(t.Regions, s.regions)
	}
}

// Candidate vetoes a destination in a region that is not listed.
func (s *stage) Candidate(_ context.Context, _ *exchange.Exchange, c *policy.Candidate) *exchange.Refusal {
	if Allows(s.regions, c.Settings.Region) {
		return nil
	}
	refusal := exchange.Refuse(exchange.RegionNotAllowed, "data may not go to "+words(c.Settings.Region))
	refusal.Field = "spec.regions"
	if c.Settings.Region == "" {
		refusal.Field = "spec.unknown"
	}
	return refusal
}

// words say where a destination is.
func words(region string) string {
	switch region {
	case "":
		return "a destination whose region is not known"
	case egress.Disputed:
		return "a destination whose policies state different regions"
	}
	return "a destination in the region " + region
}

// passed holds what gateways demand that a request has passed, whether this one has a policy or not.
type passed struct{}

func apply(policy.Env, any) (any, error) { return passed{}, nil }

// Candidate vetoes a destination in a region that one of the lists does not have.
func (passed) Candidate(_ context.Context, x *exchange.Exchange, c *policy.Candidate) *exchange.Refusal {
	for _, list := range x.Hop.Regions {
		if !Allows(list, c.Settings.Region) {
			return exchange.Refuse(exchange.RegionNotAllowed, "a gateway before this one lets no data go to "+words(c.Settings.Region))
		}
	}
	return nil
}

// Allows reports whether a list of patterns lets data go to a region; an empty region is one that nothing states, and so is
// an empty pattern. Policies that disagree about the region are no statement that any pattern matches.
func Allows(patterns []string, region string) bool {
	for _, p := range patterns {
		start, open := strings.CutSuffix(p, "*")
		switch {
		case region == "" && p == "":
			return true
		case region == "", region == egress.Disputed, p == "":
		case open && strings.HasPrefix(region, start), region == p:
			return true
		}
	}
	return false
}
