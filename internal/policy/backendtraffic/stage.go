package backendtraffic

import "github.com/ebbgate/ebbgate/internal/policy"

// setting is what the XBackendTrafficPolicies of a chain come to.
type setting struct{ config *Config }

func apply(_ policy.Env, config any) (any, error) {
	c := config.(*Config)
	if c.Budget == nil && c.Session == nil {
		return nil, nil
	}
	return &setting{c}, nil
}

// Tune lays what is written over the defaults.
func (s *setting) Tune(t *policy.Settings) {
	if b := s.config.Budget; b != nil {
		t.Retry.Budget = policy.Budget{Percent: b.Percent, Interval: b.Interval, Floor: b.Floor, FloorInterval: b.FloorInterval, Written: true}
	}
	if s.config.Session != nil {
		t.Session = s.config.Session
	}
}
