// Package proxy is the data plane: it builds a plan into the table it serves, swaps one pointer, and carries requests
// through the steps that serve.go names. It knows no policy kind, no API object and no Kubernetes; cmd wires it.
package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/http1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/engine"
	"github.com/ebbgate/ebbgate/internal/proxy/health"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
	"github.com/ebbgate/ebbgate/internal/proxy/resolve"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// Observer sees every exchange once, when it is over, and the bodies of answers that are for the audit log alone.
type Observer interface {
	End(x *exchange.Exchange)
	AuditBody(x *exchange.Exchange, body []byte, blank func([]byte) []byte)
}

// Config is what a Server is made of.
type Config struct {
	Kinds      []*policy.Kind
	Kubernetes bool
	Observer   Observer
	Logger     *slog.Logger
	Limits     http1.Limits
	Pods       *identify.Pods // of the cluster; nil: none are known
	usage      memoryUsage    // nil: the process's own
	bodyMost   int64          // of bodies of which no policy says how large they may be; 0: 32 MiB
	ID         string         // by which Gateways without a hopName know their own requests again; empty: one is made
}

// Server serves plans.
type Server struct {
	config   Config
	engine   *engine.Engine
	resolver *resolve.Resolver
	dialer   *dial.Dialer
	ctx      context.Context    //nolint:containedctx // of what runs beside the requests
	stop     context.CancelFunc // ends ctx
	mirrors  atomic.Int64       // requests being mirrored
	running  sync.WaitGroup
	memory   memory
	sweeper  *watch.Sweeper
	sockets  *accept.Set

	table  atomic.Pointer[table]
	mu     sync.Mutex // one Update at a time
	secure map[string]*secured
	tokens map[string]*identify.Verifier // by Gateway

	budgets map[budgetKey]*budget
	health  map[healthKey]*health.Backend
	prober  *health.Prober
}

// New makes a Server that serves nothing until its first Update. Shutdown ends it.
func New(c Config) (*Server, error) {
	if c.ID == "" {
		c.ID = rand.Text()
	}
	s := &Server{config: c, engine: engine.New(engine.Config{Kinds: c.Kinds, Kubernetes: c.Kubernetes}), secure: map[string]*secured{}}
	s.memory.usage = c.usage
	if s.memory.usage == nil {
		s.memory.usage = usage
	}
	s.memory.unstick = s.unstick
	s.resolver = resolve.New(resolve.Config{Logger: c.Logger})
	var err error
	if s.dialer, err = dial.New(dial.Config{Resolver: s.resolver, Logger: c.Logger}); err != nil {
		return nil, err
	}
	s.sweeper = watch.New()
	s.sockets = accept.New(accept.Config{Handler: s, Sweeper: s.sweeper, Limits: c.Limits, Logger: c.Logger})
	s.table.Store(&table{})
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx, s.stop = ctx, cancel
	s.prober = health.NewProber(health.ProberConfig{Logger: c.Logger})
	s.running.Go(func() { s.dialer.Run(ctx) })
	s.running.Go(func() { s.prober.Run(ctx) })
	s.memory.look() // before the first connection
	s.running.Go(func() { s.memory.run(ctx) })
	return s, nil
}

// BindError is a listener's address that could not be bound.
type BindError struct {
	Gateway string
	Address string
	Err     error
}

func (e *BindError) Error() string {
	return fmt.Sprintf("gateway %s: %s: %v", e.Gateway, e.Address, e.Err)
}
func (e *BindError) Unwrap() error { return e.Err }

// Update puts a plan in force: from one request to the next, and without failing one. What of it cannot be served is in
// the error; the rest is. A *BindError is among them for each address that could not be bound.
func (s *Server) Update(ctx context.Context, p *plan.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, problems := s.build(p)
	wanted := slices.Sorted(maps.Keys(t.ports))
	old := s.table.Swap(t) // before Bind, so that no connection meets a socket without its table
	failed := s.sockets.Bind(ctx, wanted)
	s.sockets.Keep(wanted)
	if len(failed) > 0 {
		failed = s.sockets.Bind(ctx, wanted)
	}
	for address, err := range failed {
		problems = append(problems, &BindError{t.ports[address].gateway.plan.Name, address, err})
	}
	s.sockets.Keep(wanted)
	s.prober.Set(t.checks)
	old.release()
	return errors.Join(problems...)
}

// Plan is the plan in force; nil before the first.
func (s *Server) Plan() *plan.Plan { return s.table.Load().plan }

// Addresses maps the addresses bound to what they became; they differ where a port is 0.
func (s *Server) Addresses() map[string]net.Addr { return s.sockets.Addresses() }

// Active is the number of client connections.
func (s *Server) Active() int64 { return s.sockets.Active() }

// Refused tells how many handshakes each socket has refused, by why (accept.Set.Refused).
func (s *Server) Refused(yield func(socket, reason string, n int64)) { s.sockets.Refused(yield) }

// Reached tells how often clients have reached each limit of each socket (accept.Set.Reached).
func (s *Server) Reached(yield func(socket, limit string, n int64)) { s.sockets.Reached(yield) }

// Pressure is how little memory is left, from 0, enough, to 3, none for further requests.
func (s *Server) Pressure() int { return int(s.memory.now()) }

// Shutdown stops accepting, lets exchanges finish until ctx ends, and closes everything.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.sockets.Drain(ctx)
	s.stop()
	s.running.Wait()
	s.sweeper.Close()
	s.resolver.Close()
	return err
}

// Connect implements accept.Handler.
func (s *Server) Connect(address netip.AddrPort, cut func()) accept.Origin {
	if s.config.Pods == nil {
		return nil
	}
	return s.config.Pods.Connect(address.Addr(), cut)
}

// TLS implements accept.Handler.
func (s *Server) TLS(socket string) (*accept.TLS, bool) {
	p := s.table.Load().ports[socket]
	if p == nil {
		return nil, false
	}
	return p.tls, true
}
