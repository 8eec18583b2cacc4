package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ebbgate/ebbgate/internal/builtin"
	"github.com/ebbgate/ebbgate/internal/command"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/standalone"
)

// runFlags are the command line of run.
type runFlags struct {
	inputFlags
	command.ProcessFlags
	command.TrafficFlags
	cluster    command.ClusterFlag
	quickstart bool
	address    string
	port       int
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [-f DIR]",
		Short: "Serve a folder of YAML, reloading it as files change",
		Long: `Serve a folder of Gateway API YAML in one process, reloading it as files change. A change that does
not parse, breaks a schema, or would leave nothing served is printed and not taken:
the last good configuration keeps serving. A reference that leads nowhere is taken,
printed, and closes what it concerns.

Without -f the well-known providers are served whose keys are in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY,
GEMINI_API_KEY), on http://localhost:8080 and for this machine alone. --quickstart serves emulators of two providers
instead, so that the first call needs no key.`,
		Args: f.take,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.inputFlags.add(c)
	c.Flags().BoolVar(&f.quickstart, "quickstart", false, "serve emulated providers: no key and no network needed")
	c.Flags().StringVar(&f.address, "address", "127.0.0.1", "without -f: IP address to listen on")
	c.Flags().IntVar(&f.port, "port", 8080, "without -f: port to listen on")
	f.ProcessFlags.Add(c, "127.0.0.1:9902", true)
	f.TrafficFlags.Add(c)
	f.cluster.Add(c)
	return c
}

// check refuses flags that do not go together, and values that cannot be meant.
func (f *runFlags) check(c *cobra.Command) error {
	files := len(f.paths) > 0
	switch _, err := netip.ParseAddr(f.address); {
	case files && f.quickstart:
		return command.Usage("--quickstart goes without files")
	case files && (c.Flags().Changed("address") || c.Flags().Changed("port")):
		return command.Usage("--address and --port go without files: with -f a Gateway's spec.addresses and listeners say it")
	case !files && f.secrets != "":
		return command.Usage("--secrets goes with -f")
	case err != nil:
		return command.Usage("--address: %q is no IP address", f.address)
	case f.port < 1 || f.port > 65535:
		return command.Usage("--port: %d is none of 1 to 65535", f.port)
	}
	return f.cluster.Check()
}

func (f *runFlags) run(c *cobra.Command) (err error) {
	if err := f.check(c); err != nil {
		return err
	}
	logger, err := f.Logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	command.SwitchOverHTTP2(logger)
	command.LimitMemory(logger)
	defer func() { err = errors.Join(err, f.Close()) }()
	config := standalone.Config{
		Logger: logger, Version: command.Version(version), Admin: f.Admin, Health: f.Health, Pprof: f.Pprof, Drain: f.Drain,
		Cluster: f.cluster.Name,
	}
	if config.Access, config.Audit, err = f.Open(); err != nil {
		return err
	}
	config.Problems = func(list []problem.Problem) { printProblems(c.ErrOrStderr(), list) }
	if len(f.paths) > 0 {
		if config.Source, err = f.source(logger); err != nil {
			return err
		}
		config.Ready = func(addresses []string) {
			f.serving(c.ErrOrStderr(), addresses)
		}
	} else {
		stop, err := f.builtin(c, &config)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if err := standalone.Run(c.Context(), config); !errors.Is(err, standalone.ErrInvalid) {
		return err
	}
	return command.ErrSaid
}

// builtin configures what is served without files.
func (f *runFlags) builtin(c *cobra.Command, config *standalone.Config) (stop func() error, err error) {
	stop = func() error { return nil }
	var services []builtin.Service
	if f.quickstart {
		q, err := builtin.StartQuickstart()
		if err != nil {
			return nil, err
		}
		services, stop = q.Services, q.Close
	} else if services, err = builtin.Providers(os.Getenv); err != nil {
		return nil, err
	}
	where := builtin.Config{Address: f.address, Port: f.port, Schema: schema.New()}
	snapshot, err := builtin.Snapshot(c.Context(), where, services)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	config.Source, config.Local = still{snapshot}, true
	config.Ready = func([]string) { f.welcome(c.ErrOrStderr(), services) }
	return stop, nil
}

// still is a source that never changes.
type still struct{ snapshot *source.Snapshot }

func (s still) Load(context.Context) (*source.Snapshot, []problem.Problem) { return s.snapshot, nil }

func (s still) Watch(ctx context.Context, _ func(*source.Snapshot, []problem.Problem)) error {
	<-ctx.Done()
	return nil
}

// serving says where a folder's listeners are.
func (f *runFlags) serving(w io.Writer, addresses []string) {
	fmt.Fprintf(w, "serving on %s", strings.Join(addresses, ", "))
	for _, page := range []struct{ name, address string }{{"admin", f.Admin}, {"health and metrics", f.Health}} {
		if page.address != "" {
			fmt.Fprintf(w, "; %s on http://%s", page.name, page.address)
		}
	}
	fmt.Fprintln(w)
}

// welcome says what to type next.
func (f *runFlags) welcome(w io.Writer, services []builtin.Service) {
	fmt.Fprintf(w, "\nEbbgate serves, for clients of this machine that name the host localhost:\n\n")
	for _, s := range services {
		fmt.Fprintf(w, "  %-10s base URL  %s\n", s.Title, s.BaseURL(f.port))
	}
	fmt.Fprintf(w, "\nThe key is Ebbgate's; clients need none (SDKs that insist take any string). Try, in another terminal:\n\n")
	fmt.Fprint(w, services[0].Try(f.port))
	if f.quickstart {
		fmt.Fprintf(w, "\nThe providers are emulators behind real TLS. With a key of yours: OPENAI_API_KEY=… ebbgate run\n")
	}
	if f.Admin != "" {
		fmt.Fprintf(w, "\nWhat it does: http://%s/config_dump and /metrics. Access and audit log below. Ctrl-C ends it.\n\n", f.Admin)
	}
}
