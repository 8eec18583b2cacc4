package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/ebbgate/ebbgate/internal/command"
	"github.com/ebbgate/ebbgate/internal/controller"
	"github.com/ebbgate/ebbgate/internal/dataplane"
	"github.com/ebbgate/ebbgate/internal/observe"
	"github.com/ebbgate/ebbgate/internal/source/reach"
)

// rate is how many requests a second the API server is sent at most, and burst how many at once: those of many Gateways
// and routes that are new at the same time.
const rate, burst = 100, 200

// controllerFlags are the command line of controller.
type controllerFlags struct {
	command.ProcessFlags
	cluster    command.ClusterFlag
	config     controller.Config
	kubeconfig string
}

func controllerCommand() *cobra.Command {
	var f controllerFlags
	c := &cobra.Command{
		Use:   "controller --proxy-image IMAGE",
		Short: "Run the Gateways of a Kubernetes cluster",
		Long: `Run the Gateways of a Kubernetes cluster: what its API server holds of Gateway API and of our own kinds is translated as
it changes, each Gateway of ours gets proxies in its own namespace, and these are told what to serve. Several replicas
may run; one leads. While none does, proxies go on with what they have. The Helm chart runs it.`,
		Args: command.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringVar(&f.config.Image, "proxy-image", "", "image of the proxies, which has the command ebbgate-proxy")
	flags.StringVar(&f.config.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "its own namespace (default $POD_NAMESPACE)")
	flags.StringVar(&f.config.Identity, "identity", os.Getenv("POD_NAME"), "name of this replica, unlike any other's (default $POD_NAME, or the host's name)")
	flags.StringVar(&f.config.Address, "address", os.Getenv("POD_IP"), "IP address by which proxies reach this replica, written behind its Service (default $POD_IP); empty: not written")
	flags.StringVar(&f.config.Service, "service", "ebbgate-controller", "its Service, without a selector: the replica that leads is behind it")
	flags.StringVar(&f.config.Listen, "listen", ":9443", "address where proxies are told what to serve; the Service has the same port")
	flags.StringSliceVar(&f.config.SecretNamespaces, "secret-namespaces", nil, "namespaces whose Secrets are read, with commas between; empty: all")
	flags.StringVar(&f.config.Domain, "cluster-domain", "cluster.local", "domain of the cluster's names")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "file that says how the API server is reached; empty: as Pods reach it")
	f.cluster.Add(c)
	f.ProcessFlags.Add(c, ":9902", false)
	return c
}

// check refuses values that cannot be meant.
func (f *controllerFlags) check() error {
	switch {
	case f.config.Image == "":
		return command.Usage("--proxy-image: which image do proxies run?")
	case f.config.Namespace == "":
		return command.Usage("--namespace: in which namespace does the controller run?")
	case f.config.Service == "":
		return command.Usage("--service: the controller's Service has a name")
	}
	if f.config.Address != "" {
		if _, err := netip.ParseAddr(f.config.Address); err != nil {
			return command.Usage("--address: %q is no IP address", f.config.Address)
		}
	}
	return cmp.Or(f.cluster.Check(), command.Address("listen", f.config.Listen))
}

func (f *controllerFlags) run(c *cobra.Command) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	logger, err := f.Logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	command.LimitMemory(logger)
	reached := reach.New(logger)
	klog.SetSlogLogger(slog.New(reached.Quiet(logger.Handler())).With("from", "client-go"))
	if f.config.Identity == "" {
		if f.config.Identity, err = os.Hostname(); err != nil {
			return fmt.Errorf("--identity: %w", err)
		}
	}
	f.config.Logger, f.config.Cluster = logger, f.cluster.Name
	f.config.Serving = func(address net.Addr) { logger.Info("serving proxies", "address", address.String()) }
	if f.config.REST, err = f.server(); err != nil {
		return err
	}
	f.config.REST.Wrap(reached.Wrap)
	running, err := controller.New(f.config)
	if err != nil {
		return err
	}
	stop, err := f.pages(c, running, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	logger.Info("starting", "identity", f.config.Identity, "namespace", f.config.Namespace, "version", command.Version(version))
	return running.Run(c.Context())
}

// server is how the API server is reached.
func (f *controllerFlags) server() (config *rest.Config, err error) {
	if f.kubeconfig == "" {
		if config, err = rest.InClusterConfig(); errors.Is(err, rest.ErrNotInCluster) {
			return nil, command.Usage("--kubeconfig: this is no Pod: which API server?")
		}
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	config.QPS, config.Burst, config.UserAgent = rate, burst, "ebbgate-controller/"+command.Version(version)
	return config, nil
}

// pages serves what operator, kubelet and Prometheus ask.
func (f *controllerFlags) pages(c *cobra.Command, running *controller.Controller, logger *slog.Logger) (stop func() error, err error) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ebbgate_build_info", Help: "1, with the version."}, []string{"version"})
	build.WithLabelValues(command.Version(version)).Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(running.Metrics(), build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := observe.Scrape(registry)
	var servers []*http.Server
	stop = func() error {
		var errs []error
		for _, s := range servers {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}
	for _, page := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"admin", f.Admin, observe.Admin(metrics, observe.AdminConfig{Plan: running.Plan, Problems: running.Problems, Pprof: f.Pprof})},
		{"health", f.Health, observe.Health(metrics, func() error {
			if !running.Ready() {
				return errors.New("the cluster has not been read yet")
			}
			return nil
		})},
	} {
		if page.address == "" {
			continue
		}
		server, err := dataplane.Page(c.Context(), page.name, page.address, page.handler, logger)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		servers = append(servers, server)
	}
	return stop, nil
}
