package egress

import (
	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
)

func translate(refs policy.References, object policy.Object) any {
	spec := &object.(*v1alpha1.EgressPolicy).Spec
	c := &Config{Clients: clients.Translate(spec.Clients)}
	if spec.Region != nil {
		c.Region = *spec.Region
	}
	if r := spec.Requests; r != nil {
		c.Methods, c.Paths = words(r.Methods), words(r.Paths)
		for _, path := range c.Paths {
			if _, err := newPattern(path); err != nil {
				refs.Invalid("spec.requests.paths", err.Error(), "write it as /v1/models, /v1/*/chat or /v1/chat/**")
			}
		}
	}
	if t := spec.Timeouts; t != nil {
		const field = "spec.timeouts."
		c.Timeouts = Timeouts{
			Connect:    duration.Translate(refs, field+"connect", t.Connect),
			FirstByte:  duration.Translate(refs, field+"firstByte", t.FirstByte),
			StreamIdle: duration.Translate(refs, field+"streamIdle", t.StreamIdle),
			Request:    duration.Translate(refs, field+"request", t.Request),
		}
		if d := c.Timeouts.Connect; d != nil && *d == 0 {
			refs.Invalid(field+"connect", "connect must be above zero", "leave it out for the default of 5s")
		}
	}
	return c
}

func words[T ~string](written []T) []string {
	if written == nil {
		return nil
	}
	list := make([]string, len(written))
	for i, w := range written {
		list[i] = string(w)
	}
	return list
}

// effective says that a policy which states nothing does nothing.
func effective(config any, _ *plan.Backend) string {
	if c := config.(*Config); !c.restricts() && c.Timeouts == (Timeouts{}) {
		return "the policy states none of region, clients, requests and timeouts"
	}
	return ""
}

func (c *Config) restricts() bool {
	return c.Region != "" || c.Clients != nil || c.Methods != nil || c.Paths != nil
}
