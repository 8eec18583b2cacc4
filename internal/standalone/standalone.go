// Package standalone is both halves in one process: a source's snapshots are translated and put in force by the proxy
// as they come, until the process is told to stop. cmd calls it; what differs between files and built-in configuration
// is the source that it is given.
package standalone

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/dataplane"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/problem"
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
	Cluster  string                   // name of the cluster of its own clients; may be empty
	Problems func([]problem.Problem)  // told of the problems of each configuration that is read
	Ready    func(addresses []string) // told once, when it serves
}

// ErrInvalid is a configuration at start that cannot be served; Problems was told why.
var ErrInvalid = errors.New("configuration invalid")

// gateway is a running process.
type gateway struct {
	config     Config
	server     *dataplane.Server
	translator *translate.Translator
	problems   atomic.Pointer[[]problem.Problem]
	mu         sync.Mutex // one configuration at a time
	locate     func(object, field string) (string, int)
	written    []problem.Problem // of the newest configuration, apart from what the system lacks
}

// Run serves until ctx ends, and drains. The configuration at start must be whole, and every listener's address free.
func Run(ctx context.Context, c Config) (err error) {
	g := &gateway{config: c, translator: translate.New(translate.Config{Kinds: order.Kinds(), Local: c.Local, ClusterName: c.Cluster})}
	snapshot, problems := c.Source.Load(ctx)
	g.tell(problems)
	if snapshot == nil {
		return ErrInvalid
	}
	g.server, err = dataplane.Open(ctx, dataplane.Config{
		Logger: c.Logger, Version: c.Version, Access: c.Access, Audit: c.Audit, Admin: c.Admin, Health: c.Health, Pprof: c.Pprof, Drain: c.Drain,
		Problems: func() []problem.Problem { return *g.problems.Load() }, Bound: g.bound,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.server.Close()) }()
	result := g.translate(snapshot, problems)
	if result == nil {
		return ErrInvalid
	}
	if unserved := g.apply(ctx, result); len(unserved) > 0 {
		g.tell(unserved)
		return ErrInvalid
	}
	if c.Ready != nil {
		c.Ready(g.server.Addresses())
	}
	return c.Source.Watch(ctx, func(s *source.Snapshot, problems []problem.Problem) { g.changed(ctx, s, problems) })
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
		g.server.Rejected()
		g.config.Logger.Error("configuration not taken: the last good one keeps serving")
		return
	}
	unbound := g.apply(ctx, result)
	if len(unbound) > 0 {
		g.tell(slices.Concat(g.written, unbound))
	}
	g.config.Logger.Info("configuration taken", "rules", len(result.Plan.Rules), "listening", g.server.Addresses())
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
	unserved := g.server.Apply(ctx, result.Plan)
	for i, p := range unserved {
		if g.locate != nil && p.Object != "" {
			unserved[i].File, unserved[i].Line = g.locate(p.Object, p.Field)
		}
	}
	return unserved
}

// bound is told that no listener waits for its address any longer.
func (g *gateway) bound() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(g.written)
}

func (g *gateway) tell(problems []problem.Problem) {
	g.problems.Store(&problems)
	if g.config.Problems != nil {
		g.config.Problems(problems)
	}
}
