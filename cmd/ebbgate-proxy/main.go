// Command ebbgate-proxy is the data plane alone, as it runs on Kubernetes: it serves what a controller says for one
// Gateway, and goes on with it while the controller is away. Here flags become configuration and the parts are wired;
// nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/ebbgate/ebbgate/internal/command"
	"github.com/ebbgate/ebbgate/internal/dataplane"
	"github.com/ebbgate/ebbgate/internal/distribute"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/report"
)

// version is set by the linker; a plain build says what the module knows.
var version string

func main() { os.Exit(command.Execute(rootCommand())) }

// flags are the command line.
type flags struct {
	command.ProcessFlags
	command.TrafficFlags
	gateway, controller, name, ca, token string
}

func rootCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "ebbgate-proxy --gateway NAMESPACE/NAME --controller HOST:PORT",
		Short: "Serve what an Ebbgate controller says for one Gateway",
		Long: `Serve what an Ebbgate controller says for one Gateway. The controller runs it on Kubernetes, in a Deployment of the
Gateway's own; there is nothing to be configured by hand. It is ready once it has a first whole configuration, and serves
the last one while the controller is away.`,
		Version: command.Version(version),
		Args:    command.NoArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	c.Flags().StringVar(&f.gateway, "gateway", "", "Gateway to serve, as namespace/name; which one it may serve is for its token to say")
	c.Flags().StringVar(&f.controller, "controller", "", "address of the controller, host:port")
	c.Flags().StringVar(&f.name, "controller-name", "", "name that the controller's certificate must carry; empty: the host of --controller")
	c.Flags().StringVar(&f.ca, "controller-ca", plan.CAFile, "file with the certificates, in PEM, that the controller's is verified by; read at each connection")
	c.Flags().StringVar(&f.token, "token", plan.TokenFile, "file with the ServiceAccount token of the audience "+plan.TokenAudience+"; read at each connection")
	f.ProcessFlags.Add(c, ":9902", true)
	f.TrafficFlags.Add(c)
	return c
}

func (f *flags) run(c *cobra.Command) (err error) {
	if namespace, name, ok := strings.Cut(f.gateway, "/"); !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return command.Usage("--gateway: %q is no NAMESPACE/NAME", f.gateway)
	}
	if f.controller == "" {
		return command.Usage("--controller: where is the controller?")
	}
	if err := command.Address("controller", f.controller); err != nil {
		return err
	}
	logger, err := f.Logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	command.SwitchOverHTTP2(logger)
	command.LimitMemory(logger)
	defer func() { err = errors.Join(err, f.Close()) }()
	config := dataplane.Config{
		Logger: logger, Version: command.Version(version), Admin: f.Admin, Health: f.Health, Pprof: f.Pprof, Drain: f.Drain, Kubernetes: true, Reports: true,
	}
	if config.Access, config.Audit, err = f.Open(); err != nil {
		return err
	}
	server, err := dataplane.Open(c.Context(), config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	client, err := distribute.NewClient(distribute.ClientConfig{
		Address: f.controller, ServerName: f.name, CA: f.ca, Token: f.token, Configs: configs(), Logger: logger,
		Update:    func(ctx context.Context, p *plan.Plan) error { return f.update(ctx, server, p) },
		Report:    func() *report.Report { return server.Report(f.gateway) },
		Workloads: server.Know,
	})
	if err != nil {
		return err
	}
	logger.Info("serving", "gateway", f.gateway, "controller", f.controller, "version", command.Version(version))
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { client.Run(c.Context()) })
	<-c.Context().Done()
	return nil
}

// update puts a plan in force. What its own flag does not name is not what whoever started it meant.
func (f *flags) update(ctx context.Context, server *dataplane.Server, p *plan.Plan) error {
	for _, g := range p.Gateways {
		if g.Name != f.gateway {
			return fmt.Errorf("the token is that of a proxy of %s, and --gateway says %s: nothing is served", g.Name, f.gateway)
		}
	}
	var errs []error
	for _, unserved := range server.Apply(ctx, p) {
		errs = append(errs, errors.New(unserved.Message))
	}
	return errors.Join(errs...)
}

// configs makes a kind of policy's empty config.
func configs() func(kind string) any {
	made := map[string]func() any{}
	for _, k := range order.Kinds() {
		made[k.Name] = k.Config
	}
	return func(kind string) any {
		if config := made[kind]; config != nil {
			return config()
		}
		return nil
	}
}
