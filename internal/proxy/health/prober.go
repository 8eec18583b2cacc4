package health

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
)

const (
	atOnce     = 64          // checks, of all backends together
	firstCheck = time.Second // after which a backend's first round has begun, at the latest
	jitter     = 0.1         // of an interval, either way
)

// Check is one backend of one Gateway that is to be checked.
type Check struct {
	Gateway, Backend string // plan names
	Target           *dial.Target
	Health           *Backend // told the results
	Active           policy.Active
	Host             string      // asked for; empty: the address
	Barred           func() bool // policy lets nothing be sent there now; nil: it does
}

// ProberConfig is what a Prober is made of. Its zero value is usable.
type ProberConfig struct {
	Logger *slog.Logger
}

// Prober runs active checks, over connections of its own. It lives on from table to table.
type Prober struct {
	logger *slog.Logger
	places chan struct{}

	mu     sync.Mutex
	ctx    context.Context //nolint:containedctx // Run's; nil while it does not run
	rounds map[proberKey]*rounds
	work   sync.WaitGroup
}

type proberKey struct{ gateway, backend string }

// rounds are the checks of one backend, again and again.
type rounds struct {
	check atomic.Pointer[Check]
	stop  context.CancelFunc // nil: not begun
}

// NewProber makes a prober that checks nothing until Run.
func NewProber(c ProberConfig) *Prober {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Prober{logger: c.Logger, places: make(chan struct{}, atOnce), rounds: map[proberKey]*rounds{}}
}

// Run checks what Set says until ctx ends, and returns once no check runs any more.
func (p *Prober) Run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	for _, r := range p.rounds {
		p.begin(r)
	}
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	p.mu.Unlock()
	p.work.Wait()
}

// Set says what is checked from now on. Backends that were checked before keep their rhythm.
func (p *Prober) Set(list []Check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.rounds
	p.rounds = make(map[proberKey]*rounds, len(list))
	for _, c := range list {
		key := proberKey{c.Gateway, c.Backend}
		r := old[key]
		if r != nil && r.check.Load().Active.Interval == c.Active.Interval {
			delete(old, key)
		} else {
			r = &rounds{}
		}
		r.check.Store(&c)
		p.rounds[key] = r
		if r.stop == nil && p.ctx != nil {
			p.begin(r)
		}
	}
	for _, r := range old {
		if r.stop != nil {
			r.stop()
		}
	}
}

func (p *Prober) begin(r *rounds) {
	ctx, stop := context.WithCancel(p.ctx)
	r.stop = stop
	p.work.Go(func() {
		defer stop()
		first := min(firstCheck, r.check.Load().Active.Interval)
		next := time.NewTimer(time.Duration(rand.Float64() * float64(first)))
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			c := r.check.Load()
			next.Reset(pause(c.Active.Interval, rand.Float64()))
			p.round(ctx, c)
		}
	})
}

// pause is an interval with its jitter, by a number from [0, 1).
func pause(interval time.Duration, at float64) time.Duration {
	return time.Duration(float64(max(interval, time.Millisecond)) * (1 - jitter + 2*jitter*at))
}

// round checks every address of a backend once.
func (p *Prober) round(ctx context.Context, c *Check) {
	if c.Barred != nil && c.Barred() {
		c.Health.Uncheck()
		return
	}
	list, err := c.Target.Addresses(ctx)
	if err != nil {
		p.unresolved(ctx, c, err)
		return
	}
	list = list[:min(len(list), maxAddresses)]
	if len(list) > 0 {
		c.Health.SetAddresses(list)
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, address := range list {
		select {
		case p.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			defer func() { <-p.places }()
			p.check(ctx, c, address)
		})
	}
}

// unresolved counts against every address that was checked before: no request reaches them either.
func (p *Prober) unresolved(ctx context.Context, c *Check, err error) {
	if ctx.Err() != nil {
		return
	}
	p.logger.LogAttrs(ctx, slog.LevelDebug, "backend has no addresses to check", slog.String("backend", c.Backend), slog.Any("error", err))
	for _, a := range c.Health.State().Addresses {
		if a.Checked {
			c.Health.Checked(a.Address, false)
		}
	}
}

// check checks one address. What policy refuses tells nothing of the address.
func (p *Prober) check(ctx context.Context, c *Check, address netip.AddrPort) {
	if c.Barred != nil && c.Barred() {
		return
	}
	within, cancel := context.WithTimeout(ctx, c.Active.Timeout)
	defer cancel()
	err := c.ask(within, address)
	if ctx.Err() != nil {
		return
	}
	if failure, ok := errors.AsType[*dial.Error](err); ok && failure.Refusal != nil {
		return
	}
	if err != nil {
		p.logger.LogAttrs(ctx, slog.LevelDebug, "check failed",
			slog.String("backend", c.Backend), slog.String("address", address.String()), slog.Any("error", err))
	}
	c.Health.Checked(address, err == nil)
}
