package proxy

import (
	"context"
	"net/http"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/hostname"
	"github.com/ebbgate/ebbgate/internal/proxy/health"
)

// check has a backend checked that policy says is to be: once for each Gateway, however many rules use it. A wildcard has no
// addresses of its own, and what lies behind a parent is the parent's to check.
func (b *builder) check(gateway string, r *plan.Rule, c *candidate) {
	key, active := healthKey{gateway, c.backend.Name}, c.chain.Settings.Health.Active
	if _, there := b.checks[key]; there || active == nil || c.parent != nil || c.wildcard {
		return
	}
	barred := c.barred(r)
	b.checks[key] = health.Check{
		Gateway: gateway, Backend: c.backend.Name, Target: c.target, Health: c.health, Active: *active, Host: c.authority,
		Barred: func() bool { return barred },
	}
}

// barred reports whether policy lets nothing be sent to the backend, whoever asks and for what.
func (c *candidate) barred(r *plan.Rule) bool {
	x := &exchange.Exchange{Request: exchange.Request{Method: http.MethodGet, Authority: c.authority, Path: "/"}}
	return c.chain.Bars(context.Background(), x, &policy.Candidate{
		Backend: c.backend, Namespace: r.Namespace(), Settings: &c.chain.Settings, Hostname: c.backend.Hostname,
		Host: hostname.Of(c.authority), Path: "/",
	})
}
