package backendtls

import (
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// setting is the policy of a chain: the most specific one, whole.
type setting struct{ tls *plan.TLS }

func apply(_ policy.Env, config any) (any, error) {
	c := config.(*Config)
	if c.TLS == nil {
		return nil, nil
	}
	return &setting{c.TLS}, nil
}

// Tune says how the backend is verified.
func (s *setting) Tune(t *policy.Settings) { t.TLS = s.tls }
