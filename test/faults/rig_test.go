package faults

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy"
)

// patience bounds a wait that ends at once where all is well.
const patience = 20 * time.Second

// exclusively is a weight beside which one is nothing.
const exclusively = 1 << 40

// far is a far side as the gateway reaches it.
type far struct {
	address  string
	protocol plan.Protocol
	tls      bool
}

// rig is a gateway on a free port.
type rig struct {
	address string
	seen    *observer
}

// newRig serves a plan that knows rules and backends alone.
func newRig(t *testing.T, settings func(*policy.Settings), roots []byte, backends []*plan.Backend, rules []*plan.Rule) *rig {
	t.Helper()
	seen := &observer{ended: map[string]ended{}, changed: make(chan struct{})}
	config := proxy.Config{Observer: seen, Logger: slog.New(slog.DiscardHandler)}
	if settings != nil {
		config.Kinds = []*policy.Kind{{
			Name: "Settings", Config: func() any { return new(struct{}) },
			Apply: func(policy.Env, any) (any, error) { return tuning(settings), nil },
		}}
	}
	s, err := proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("what began has not ended: %v", err)
		}
	})
	for _, rule := range rules {
		rule.Parents = []plan.Parent{{Gateway: "t/g", Listener: "http"}}
	}
	p := &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "t/g", Class: "ebbgate", Listeners: []*plan.Listener{{Name: "http", Protocol: plan.HTTP}}}},
		Backends: backends, Rules: rules,
		Secrets: []*plan.Secret{{Name: rootsName, Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(roots)}}},
	}
	if err := s.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, bound := range s.Addresses() { // of one listener, on a port that was free
		return &rig{address: fmt.Sprintf("127.0.0.1:%d", bound.(*net.TCPAddr).Port), seen: seen}
	}
	t.Fatal("nothing is listened on")
	return nil
}

const rootsName = "ConfigMap/t/roots"

// tuning is a stage that lays settings.
type tuning func(*policy.Settings)

func (f tuning) Tune(s *policy.Settings) { f(s) }

// backend reaches a far side.
func backend(name string, f far) *plan.Backend {
	a := netip.MustParseAddrPort(f.address)
	b := &plan.Backend{
		Name: "Backend/t/" + name, Origin: plan.Literal, Hostname: "far.test", Port: int(a.Port()), Protocol: f.protocol,
		Addresses: []plan.Endpoint{{Address: a.Addr().String(), Port: int(a.Port())}},
	}
	if f.tls {
		b.TLS = &plan.TLS{Hostname: "far.test", Roots: []string{rootsName}}
	}
	return b
}

// rule takes one path.
func rule(index int, path string, backends ...plan.RuleBackend) *plan.Rule {
	return &plan.Rule{
		Name: fmt.Sprintf("HTTPRoute/t/r#%d", index), Route: "HTTPRoute/t/r", Index: index, Backends: backends,
		Matches: []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: path}}},
	}
}

// ended is an exchange that is over, as the access log has it.
type ended struct {
	status   int
	reason   exchange.Reason
	aborted  string
	attempts []tried
}

// tried is one of its attempts.
type tried struct {
	backend string
	class   string
	reason  exchange.Reason
	written int64
	address bool // a connection was there
}

// observer keeps the exchanges that have ended, by their path.
type observer struct {
	mu      sync.Mutex
	ended   map[string]ended
	changed chan struct{}
}

func (o *observer) End(x *exchange.Exchange) {
	e := ended{status: x.Response.Status, aborted: strings.Clone(x.Aborted)}
	if x.Refusal != nil {
		e.reason = x.Refusal.Reason
	}
	for _, a := range x.Attempts {
		e.attempts = append(e.attempts, tried{strings.TrimPrefix(a.Backend, "Backend/t/"), a.Class, a.Reason, a.Written, a.Address.IsValid()})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended[strings.Clone(x.Request.Path)] = e
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) AuditBody(*exchange.Exchange, []byte, func([]byte) []byte) {}

// wait is the exchange of a path once it is over.
func (o *observer) wait(ctx context.Context, path string) (ended, error) {
	for {
		o.mu.Lock()
		e, ok := o.ended[path]
		changed := o.changed
		o.mu.Unlock()
		if ok {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, fmt.Errorf("wait for the end of %s: %w", path, context.Cause(ctx))
		}
	}
}
