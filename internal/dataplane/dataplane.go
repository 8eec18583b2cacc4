// Package dataplane is what serves plans, whoever brings them: the proxy and its observer, the admin and health pages,
// listeners that wait for their address, and the drain at the end. It reads no configuration. standalone and the command
// ebbgate-proxy run it.
package dataplane

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
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

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/observe"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/proxy"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
	"github.com/ebbgate/ebbgate/internal/report"
)

// Config is what a Server is made of. All but Logger and Audit may be left out.
type Config struct {
	Logger  *slog.Logger
	Version string
	Access  io.Writer // nil: no access log
	Audit   io.Writer
	Admin   string // address of the admin pages; empty: none
	Health  string // address of health and metrics; empty: none
	Pprof   bool
	Drain   time.Duration // how long exchanges may go on after Close

	Kubernetes bool // what standalone is taken at its word is not

	Problems func() []problem.Problem // for the admin page /problems
	Reports  bool                     // count what Report tells
	Bound    func()                   // told when every listener has its address, after an Apply where one had not
}

// retryEvery is how often an address that was taken is tried again.
const retryEvery = 2 * time.Second

// Server serves the newest plan that it was given.
type Server struct {
	config   Config
	observer *observe.Observer
	tally    report.Tally
	expiries atomic.Pointer[[]report.Expiry] // of the plan in force
	proxy    *proxy.Server
	pods     *identify.Pods // nil: standalone
	pages    []*http.Server
	stop     context.CancelFunc
	beside   sync.WaitGroup

	mu       sync.Mutex  // one plan at a time
	unbound  atomic.Bool // a listener's address is taken
	draining atomic.Bool
}

// Open opens the pages. Nothing is served, and readiness says so, before the first Apply of a plan with a Gateway.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Problems == nil {
		c.Problems = func() []problem.Problem { return nil }
	}
	if c.Bound == nil {
		c.Bound = func() {}
	}
	s := &Server{config: c}
	s.expiries.Store(&[]report.Expiry{})
	var err error
	var denied func(route, policy string, reason exchange.Reason)
	if c.Reports {
		denied = s.tally.Denied
	}
	s.observer, err = observe.New(observe.Config{
		Denied: denied,
		Access: c.Access, Audit: c.Audit, Logger: c.Logger, Version: c.Version,
		Connections: func() int64 { return s.proxy.Active() },
		Backends:    s.backends,
		Handshakes:  func(yield func(socket, reason string, n int64)) { s.proxy.Refused(yield) },
		Limits:      func(yield func(socket, limit string, n int64)) { s.proxy.Reached(yield) },
		Pressure:    func() int { return s.proxy.Pressure() },
	})
	if err != nil {
		return nil, err
	}
	if c.Kubernetes {
		s.pods = new(identify.Pods)
	}
	config := proxy.Config{Kinds: order.Kinds(), Kubernetes: c.Kubernetes, Pods: s.pods, Observer: s.observer, Logger: c.Logger}
	if s.proxy, err = proxy.New(config); err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(ctx)
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.beside.Go(func() { s.retry(ctx) })
	return s, nil
}

// backends are the proxy's, as the metrics have them.
func (s *Server) backends(yield func(observe.Backend)) {
	for _, b := range s.proxy.Backends() {
		yield(observe.Backend{
			Gateway: b.Gateway, Backend: b.Backend, Share: b.Health.Share, Ejections: b.Health.Ejections, Connections: b.Open, Pending: b.Pending,
		})
	}
}

// Report is what was denied since it was asked last, how the backends of a Gateway stand, and until when the certificates
// in force are valid.
func (s *Server) Report(gateway string) *report.Report {
	r := &report.Report{}
	r.Denials, r.Uncounted = s.tally.Take()
	for _, b := range s.proxy.Backends() {
		if b.Gateway == gateway {
			r.Backends = append(r.Backends, report.Backend{Name: b.Backend, Share: b.Health.Share})
		}
	}
	r.Expiries = *s.expiries.Load()
	return r
}

// expiries are those of a plan's certificates, each by its leaf, the soonest first. What cannot be read is refused elsewhere.
func expiries(p *plan.Plan) (list []report.Expiry) {
	for _, s := range p.Secrets {
		block, _ := pem.Decode(s.Data["tls.crt"].Reveal())
		if block == nil {
			continue
		}
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
			list = append(list, report.Expiry{Secret: s.Name, Until: leaf.NotAfter.Unix()})
		}
	}
	slices.SortFunc(list, func(a, b report.Expiry) int {
		return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.Secret, b.Secret))
	})
	return list
}

// Apply puts a plan in force, and returns what of it could not be served; the rest is. An address that is taken is tried
// again until it is free.
func (s *Server) Apply(ctx context.Context, p *plan.Plan) []problem.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.proxy.Update(ctx, p)
	if s.config.Reports {
		list := expiries(p)
		s.expiries.Store(&list)
	}
	s.observer.PlanApplied(len(p.Rules))
	s.observer.Retain(present(p))
	unserved := problems(err)
	s.unbound.Store(len(unserved) > 0)
	return unserved
}

// Know takes the Pods of the cluster that have come or changed and, as nil, those that have gone, by name; where whole is
// true they are all that there are. On Kubernetes readiness waits for that.
func (s *Server) Know(changed map[string]*plan.Workload, whole bool) { s.pods.Update(changed, whole) }

// Rejected notes that a configuration was not taken.
func (s *Server) Rejected() { s.observer.PlanRejected() }

// Addresses are those of the listeners that are bound, sorted.
func (s *Server) Addresses() []string {
	var list []string
	for _, a := range s.proxy.Addresses() {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return list
}

// Close drains and ends everything. /readyz says that it drains until the end; the log's last lines come last.
func (s *Server) Close() error {
	s.draining.Store(true)
	s.stop()
	s.beside.Wait()
	if active := s.proxy.Active(); active > 0 {
		s.config.Logger.Info("ending: waiting for what is under way; a second signal cuts it", "connections", active, "at_most", s.config.Drain)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	errs := []error{s.proxy.Shutdown(ctx)}
	flush, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	errs = append(errs, s.observer.Close(flush))
	for _, page := range s.pages {
		errs = append(errs, page.Close())
	}
	return errors.Join(errs...)
}

// problems are an Update's errors: listeners above all whose address is taken.
func problems(err error) []problem.Problem {
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
func (s *Server) retry(ctx context.Context) {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.unbound.Load() && s.bind(ctx) {
			s.config.Bound()
			s.config.Logger.Info("every listener is bound", "listening", s.Addresses())
		}
	}
}

func (s *Server) bind(ctx context.Context) (bound bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound = s.proxy.Update(ctx, s.proxy.Plan()) == nil
	s.unbound.Store(!bound)
	return bound
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

// readiness is why no traffic is taken yet, or no longer.
func (s *Server) readiness() error {
	switch {
	case s.draining.Load():
		return errors.New("draining")
	case len(s.proxy.Plan().Gateways) == 0:
		return errors.New("no configuration yet")
	case s.pods != nil && !s.pods.Known():
		return errors.New("the Pods of the cluster are not known yet")
	case s.unbound.Load() && len(s.proxy.Addresses()) == 0:
		return errors.New("no listener is bound: see /problems on the admin address")
	}
	return nil
}

// open opens the admin and the health address.
func (s *Server) open(ctx context.Context) error {
	admin := observe.AdminConfig{
		Plan: s.proxy.Plan, Problems: s.config.Problems, Pprof: s.config.Pprof, Backends: func() any { return s.proxy.Backends() },
	}
	for _, page := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"admin", s.config.Admin, s.observer.Admin(admin)},
		{"health", s.config.Health, s.observer.Health(s.readiness)},
	} {
		if page.address == "" {
			continue
		}
		server, err := Page(ctx, page.name, page.address, page.handler, s.config.Logger)
		if err != nil {
			return err
		}
		s.pages = append(s.pages, server)
	}
	return nil
}

// Page serves a handler on the address of the flag of a name, until the server that it returns is closed.
func Page(ctx context.Context, name, address string, handler http.Handler, logger *slog.Logger) (*http.Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--%s: %s: %s (give --%s another address, or an empty one for none)", name, address, reasonOf(err), name)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("pages ended", "page", name, "error", err)
		}
	}()
	return server, nil
}
