// Package standalone is both halves in one process: a source's snapshots are translated and put in force by the proxy
// as they come, until the process is told to stop. cmd calls it; what differs between files and built-in configuration
// is the source that it is given.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ebbgate/ebbgate/internal/observe"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/proxy"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
)

// Source delivers configuration. A nil snapshot says that what is there now cannot be read whole: nothing of it is taken.
type Source interface {
	Load(ctx context.Context) (*source.Snapshot, []problem.Problem)
	Watch(ctx context.Context, changed func(*source.Snapshot, []problem.Problem)) error
}

// Config is what a standalone gateway is made of.
type Config struct {
	Source   Source
	Local    bool // built-in configuration: requests of web pages are refused
	Logger   *slog.Logger
	Version  string
	Access   io.Writer // nil: no access log
	Audit    io.Writer
	Admin    string // address of the admin pages; empty: none
	Health   string // address of health and metrics; empty: none
	Pprof    bool
	Drain    time.Duration
	Problems func([]problem.Problem)  // told of the problems of each configuration that is read
	Ready    func(addresses []string) // told once, when it serves
}

// retryEvery is how often an address that was taken is tried again.
const retryEvery = 2 * time.Second

// ErrInvalid is a configuration at start that cannot be served; Problems was told why.
var ErrInvalid = errors.New("configuration invalid")

// gateway is a running process.
type gateway struct {
	config     Config
	observer   *observe.Observer
	proxy      *proxy.Server
	translator *translate.Translator
	problems   atomic.Pointer[[]problem.Problem]
	unbound    atomic.Bool // a listener's address is taken
	mu         sync.Mutex  // one configuration at a time
	locate     func(object, field string) (string, int)
	written    []problem.Problem // of the newest configuration, apart from what the system lacks
	ready      atomic.Bool
	draining   atomic.Bool
}

// Run serves until ctx ends, and drains. The configuration at start must be whole, and every listener's address free.
func Run(ctx context.Context, c Config) (err error) {
	g := &gateway{config: c, translator: translate.New(translate.Config{Kinds: order.Kinds(), Local: c.Local})}
	snapshot, problems := c.Source.Load(ctx)
	g.tell(problems)
	if snapshot == nil {
		return ErrInvalid
	}
	if err := g.open(); err != nil {
		return err
	}
	var servers []*http.Server
	defer func() { err = errors.Join(err, g.close(), stopPages(servers)) }() // /readyz says that it drains
	if servers, err = g.servePages(ctx); err != nil {
		return err
	}
	result := g.translate(snapshot, problems)
	if result == nil {
		return ErrInvalid
	}
	if unserved := g.apply(ctx, result); len(unserved) > 0 {
		g.tell(unserved)
		return ErrInvalid
	}
	g.ready.Store(true)
	if c.Ready != nil {
		c.Ready(g.addresses())
	}
	var beside sync.WaitGroup
	beside.Go(func() { g.retry(ctx) })
	defer beside.Wait()
	return c.Source.Watch(ctx, func(s *source.Snapshot, problems []problem.Problem) { g.changed(ctx, s, problems) })
}

func (g *gateway) open() error {
	var err error
	g.observer, err = observe.New(observe.Config{
		Access: g.config.Access, Audit: g.config.Audit, Logger: g.config.Logger, Version: g.config.Version,
		Connections: func() int64 { return g.proxy.Active() },
		Backends:    g.backends,
		Handshakes:  func(yield func(socket, reason string, n int64)) { g.proxy.Refused(yield) },
	})
	if err != nil {
		return err
	}
	g.proxy, err = proxy.New(proxy.Config{Kinds: order.Kinds(), Observer: g.observer, Logger: g.config.Logger})
	return err
}

// backends are the proxy's, as the metrics have them.
func (g *gateway) backends(yield func(observe.Backend)) {
	for _, b := range g.proxy.Backends() {
		yield(observe.Backend{
			Gateway: b.Gateway, Backend: b.Backend, Share: b.Health.Share, Ejections: b.Health.Ejections, Connections: b.Open, Pending: b.Pending,
		})
	}
}

// close drains and ends everything; the log's last lines come last.
func (g *gateway) close() error {
	g.draining.Store(true)
	if active := g.proxy.Active(); active > 0 {
		g.config.Logger.Info("ending: waiting for what is under way; a second signal cuts it", "connections", active, "at_most", g.config.Drain)
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.config.Drain)
	defer cancel()
	err := g.proxy.Shutdown(ctx)
	flush, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, g.observer.Close(flush))
}

// changed takes a new configuration, or keeps the last good one where it cannot be taken.
func (g *gateway) changed(ctx context.Context, s *source.Snapshot, problems []problem.Problem) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var result *translate.Result
	if s == nil {
		g.tell(problems)
	} else {
		result = g.translate(s, problems)
	}
	if result == nil {
		g.observer.PlanRejected()
		g.config.Logger.Error("configuration not taken: the last good one keeps serving")
		return
	}
	unbound := g.apply(ctx, result)
	if len(unbound) > 0 {
		g.tell(slices.Concat(g.written, unbound))
	}
	g.config.Logger.Info("configuration taken", "rules", len(result.Plan.Rules), "listening", g.addresses())
}

// translate makes the plan of a snapshot; nil where it must not be taken.
func (g *gateway) translate(s *source.Snapshot, problems []problem.Problem) *translate.Result {
	result := g.translator.Apply(s)
	own, taken := Judge(result)
	g.locate, g.written = s.Locate, slices.Concat(problems, own)
	g.tell(g.written)
	if !taken {
		return nil
	}
	return result
}

// Judge gives a result's problems and whether it is taken. It is not where a kind stands there that this version does not
// serve, since what is passed over could be what protects the rest, nor where nothing would be served at all.
func Judge(result *translate.Result) (problems []problem.Problem, taken bool) {
	problems = result.Problems
	taken = !slices.ContainsFunc(problems, func(p problem.Problem) bool { return p.Reason == translate.UnsupportedKind })
	if len(result.Plan.Gateways) > 0 {
		return problems, taken
	}
	return append(slices.Clip(problems), problem.Problem{
		Reason: "NothingServed", Message: "no Gateway would be served",
		Mend: "write a Gateway of gatewayClassName ebbgate with a listener that can be programmed",
	}), false
}

// apply puts a plan in force, and returns what of it could not be served; the rest is.
func (g *gateway) apply(ctx context.Context, result *translate.Result) []problem.Problem {
	err := g.proxy.Update(ctx, result.Plan)
	g.observer.PlanApplied(len(result.Plan.Rules))
	g.observer.Retain(present(result.Plan))
	unserved := g.unserved(err)
	g.unbound.Store(len(unserved) > 0)
	return unserved
}

// unserved are an Update's errors as problems: listeners above all whose address is taken.
func (g *gateway) unserved(err error) []problem.Problem {
	if err == nil {
		return nil
	}
	list := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		list = several.Unwrap()
	}
	var problems []problem.Problem
	for _, err := range list {
		p := problem.Problem{Condition: "Programmed", Reason: "Invalid", Message: err.Error()}
		if bind, ok := errors.AsType[*proxy.BindError](err); ok {
			namespace, name, _ := strings.Cut(bind.Gateway, "/")
			p.Object, p.Field, p.Reason = plan.ObjectName("Gateway", namespace, name), "spec.listeners", "PortUnavailable"
			p.Message = "the address " + bind.Address + " cannot be listened on: " + reasonOf(bind.Err)
			p.Mend = "end what holds the address, or choose another"
		}
		if g.locate != nil && p.Object != "" {
			p.File, p.Line = g.locate(p.Object, p.Field)
		}
		problems = append(problems, p)
	}
	return problems
}

// reasonOf is the system's own word for a failed bind.
func reasonOf(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	return err.Error()
}

// retry binds again, while a listener's address is taken, until it is free.
func (g *gateway) retry(ctx context.Context) {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !g.unbound.Load() {
			continue
		}
		g.mu.Lock()
		if g.proxy.Update(ctx, g.proxy.Plan()) == nil {
			g.unbound.Store(false)
			g.tell(g.written)
			g.config.Logger.Info("every listener is bound", "listening", g.addresses())
		}
		g.mu.Unlock()
	}
}

// present tells whether a plan has what a metric's labels name; a label is empty where a request came to none.
func present(p *plan.Plan) func(gateway, route, backend string) bool {
	names := map[string]bool{"": true}
	for _, g := range p.Gateways {
		names[g.Name] = true
	}
	for _, r := range p.Rules {
		names[r.Route] = true
	}
	for _, b := range p.Backends {
		names[b.Name] = true
	}
	return func(gateway, route, backend string) bool { return names[gateway] && names[route] && names[backend] }
}

func (g *gateway) tell(problems []problem.Problem) {
	g.problems.Store(&problems)
	if g.config.Problems != nil {
		g.config.Problems(problems)
	}
}

func (g *gateway) addresses() []string {
	var list []string
	for _, a := range g.proxy.Addresses() {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return list
}

// readiness is why the gateway takes no traffic yet, or no longer.
func (g *gateway) readiness() error {
	switch {
	case g.draining.Load():
		return errors.New("draining")
	case !g.ready.Load():
		return errors.New("no configuration yet")
	case g.unbound.Load() && len(g.proxy.Addresses()) == 0:
		return errors.New("no listener is bound: see /problems on the admin address")
	}
	return nil
}

func (g *gateway) plan() *plan.Plan { return g.proxy.Plan() }

// servePages opens the admin and the health address.
func (g *gateway) servePages(ctx context.Context) (servers []*http.Server, err error) {
	admin := observe.AdminConfig{Plan: g.plan, Problems: func() []problem.Problem { return *g.problems.Load() }, Pprof: g.config.Pprof,
		Backends: func() any { return g.proxy.Backends() }}
	for _, page := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"admin", g.config.Admin, g.observer.Admin(admin)},
		{"health", g.config.Health, g.observer.Health(g.readiness)},
	} {
		if page.address == "" {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", page.address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--%s: %s: %s (give --%s another address, or an empty one for none)",
				page.name, page.address, reasonOf(err), page.name), stopPages(servers))
		}
		server := &http.Server{
			Handler: page.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
			ErrorLog: slog.NewLogLogger(g.config.Logger.Handler(), slog.LevelDebug),
		}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				g.config.Logger.Error("pages ended", "page", page.name, "error", err)
			}
		}()
	}
	return servers, nil
}

func stopPages(servers []*http.Server) error {
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
