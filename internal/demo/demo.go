// Package demo shows on one machine, within seconds, what the gateway is for: it serves a folder of YAML in front of two
// emulated providers behind real TLS, asks as a workload would, breaks what can break, and says what it saw. What it
// claims it checks, and where one claim does not hold it fails.
//
// It knows the gateway as an operator does: by its files, its answers and its problems, and by what the far sides
// counted. Nothing but loopback is used, and nothing is left behind. cmd's subcommand demo calls it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

// patience is how long is waited for what should come at once: the machine may be busy.
const patience = 30 * time.Second

// Config says how the demo is shown.
type Config struct {
	Out   io.Writer
	Pause time.Duration // between what happens, so that one can follow
	Port  int           // that the gateway listens on, of 127.0.0.1; 0: any that is free
}

// ErrEnded says that the demo was ended before everything was shown.
var ErrEnded = errors.New("the demo was ended before everything was shown")

// Run shows everything. The error is ErrEnded once ctx ends; else it says which claim does not hold, or what could not
// be begun.
func Run(ctx context.Context, c Config) (err error) {
	d, err := start(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return ErrEnded
		}
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	return d.show(ctx)
}

// demo is a gateway, its far sides and its client.
type demo struct {
	Config
	folder    string // of 0700; below it are config and secrets
	authority *ca.CA
	ledger    *provider.Ledger // of both providers
	primary   *far
	secondary *far
	client    *http.Client
	problems  chan []problem.Problem // of the newest configuration, until somebody looks
	quit      <-chan struct{}        // closed once the demo is to end early
	stop      context.CancelFunc     // ends the gateway
	ended     chan error             // how it ended

	held   int    // claims
	broken string // the first claim that did not hold; empty where all did
}

// step is one thing shown.
type step struct {
	title string
	run   func(*demo, context.Context) error // an error is for what could not be done at all
}

func steps() []step {
	return []step{
		{"A workload without a key asks a provider that wants one", (*demo).first},
		{"A policy says no", (*demo).refusal},
		{"The YAML is edited while requests run", (*demo).reload},
		{"The primary provider dies while requests run, and comes back", (*demo).failover},
		{"The primary executes a request and fails before it answers", (*demo).noDoubleWork},
	}
}

func (d *demo) show(ctx context.Context) error {
	d.print("A gateway on http://localhost:%d, and two emulated providers behind real TLS.\n", d.Port)
	d.print("Until the end its YAML is in %s\n", d.config())
	for i, s := range steps() {
		if i > 0 {
			d.pause(ctx)
		}
		d.print("\n%d. %s\n\n", i+1, s.title)
		err := s.run(d, ctx)
		switch {
		case ctx.Err() != nil:
			return ErrEnded
		case err != nil:
			return fmt.Errorf("step %d: %w", i+1, err)
		case d.broken != "":
			return fmt.Errorf("step %d does not show what it should: %s", i+1, d.broken)
		}
	}
	d.print("\nAll %d claims hold. Files of your own: ebbgate run -f DIR\n", d.held)
	return nil
}

// claim says what was seen, and notes it where it should be something else.
func (d *demo) claim(what string, seen, want any) {
	if seen == want {
		d.held++
		d.print("   ok  %s: %v\n", what, seen)
		return
	}
	d.print("   NO  %s: %v, not %v\n", what, seen, want)
	if d.broken == "" {
		d.broken = fmt.Sprintf("%s: %v, not %v", what, seen, want)
	}
}

// print is silent once the demo is to end early: what is seen from then on means nothing.
func (d *demo) print(format string, args ...any) {
	select {
	case <-d.quit:
	default:
		fmt.Fprintf(d.Out, format, args...)
	}
}

// say prints lines that belong to a step.
func (d *demo) say(format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	d.print("   %s\n", strings.ReplaceAll(text, "\n", "\n   "))
}

func (d *demo) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(d.Pause):
	}
}
