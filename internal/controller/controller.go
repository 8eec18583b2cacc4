// Package controller is the control plane of a cluster: it translates what the API server holds as it changes, and the
// replica that leads runs each Gateway's proxies, tells them what to serve, and writes statuses. cmd calls it.
package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/provision"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/source/issuer"
	"github.com/ebbgate/ebbgate/internal/source/kube"
	"github.com/ebbgate/ebbgate/internal/source/pods"
	"github.com/ebbgate/ebbgate/internal/status"
	"github.com/ebbgate/ebbgate/internal/translate"
)

// leaseName is the Lease that replicas compete for, in the controller's own namespace.
const leaseName = "ebbgate-controller"

// Config is what a controller is made of. All is required but Address, SecretNamespaces, Lease, Trust, Domain and Serving.
type Config struct {
	REST             *rest.Config
	Namespace        string   // its own, whose policies may hold a GatewayClass
	Identity         string   // of this replica, unlike any other's
	Image            string   // of the proxies
	Service          string   // that leads proxies to the controller, in its own namespace and without a selector
	Listen           string   // host:port where the replica that leads serves proxies; that port is the Service's too
	Address          string   // of this replica as proxies reach it; empty: somebody else writes the Service's EndpointSlice
	SecretNamespaces []string // whose Secrets it reads; empty: all
	Lease            Lease
	Trust            Trust
	Domain           string // of the cluster's names; empty: cluster.local
	Cluster          string // its own name; may be empty
	Logger           *slog.Logger

	Serving func(address net.Addr) // told where proxies are served, each time that this replica comes to lead
}

// Lease says how leadership changes hands; zero fields are 15, 10 and 2 seconds, as Kubernetes' own controllers have them.
type Lease struct {
	Duration, Renew, Retry time.Duration
}

// Controller is one replica.
type Controller struct {
	config     Config
	source     *kube.Source
	pods       *pods.Watcher
	issuer     *issuer.Watcher
	translator *translate.Translator
	statuses   *status.Writer
	fleets     *fleets
	serving    *serving
	reports    *reports
	clients    kubernetes.Interface
	metrics    *metrics
	untold     *untold
	lock       resourcelock.Interface
	ready      atomic.Bool
	leads      atomic.Bool
	leading    sync.Mutex // held while it leads

	mu       sync.Mutex // one translation at a time
	last     *source.Snapshot
	known    bool              // the Pods are, without which no Service would lead to any
	asked    bool              // who signs tokens has been, without whom proxies would know nobody by them
	problems []problem.Problem // of last
}

// New makes a Controller, which asks nothing yet.
func New(c Config) (*Controller, error) {
	if c.Serving == nil {
		c.Serving = func(net.Addr) {}
	}
	client, err := dynamic.NewForConfig(c.REST)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(c.REST)
	if err != nil {
		return nil, fmt.Errorf("make discovery client: %w", err)
	}
	leases, err := coordination.NewForConfig(c.REST)
	if err != nil {
		return nil, fmt.Errorf("make client of leases: %w", err)
	}
	clients, err := kubernetes.NewForConfig(c.REST)
	if err != nil {
		return nil, fmt.Errorf("make client of what runs: %w", err)
	}
	judges, err := kubernetes.NewForConfig(c.REST) // whoever shows tokens takes nobody else's share of requests
	if err != nil {
		return nil, fmt.Errorf("make client of tokens: %w", err)
	}
	objects, err := metadata.NewForConfig(c.REST)
	if err != nil {
		return nil, fmt.Errorf("make client of metadata: %w", err)
	}
	s := kube.New(kube.Config{Client: client, Discovery: discoverer, SecretNamespaces: c.SecretNamespaces, Logger: c.Logger})
	controller := &Controller{
		config: c, source: s, pods: pods.New(pods.Config{Client: clients, Metadata: objects, Logger: c.Logger}), reports: newReports(), clients: clients,
		issuer:     issuer.New(issuer.Config{Client: clients.Discovery().RESTClient(), Logger: c.Logger}),
		translator: translate.New(translate.Config{Kinds: order.Kinds(), Kubernetes: true, ControllerNamespace: c.Namespace, ClusterName: c.Cluster}),
		statuses:   status.New(client, s.Resource, c.Logger),
		untold:     newUntold(c.Logger),
		lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: leaseName}, Client: leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.Identity},
		},
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	host := c.Service + "." + c.Namespace + ".svc"
	proxies := provision.Config{Image: c.Image, Controller: net.JoinHostPort(host, port)}
	controller.fleets = newFleets(proxies, cmp.Or(c.Domain, "cluster.local"), clients, c.Logger)
	controller.serving = &serving{
		client: clients, listen: c.Listen, namespace: c.Namespace, service: c.Service, address: c.Address, logger: c.Logger,
		authority: newAuthority(clients, c.Namespace, host, c.Trust),
		admission: &admission{client: judges, proxy: proxies, ours: controller.fleets.ours, refused: controller.fleets.refused},
		proxies:   controller.fleets.proxies, opened: c.Serving,
		heard: controller.fleets.heard, said: newSaid(), reported: controller.reports.take,
	}
	controller.fleets.acknowledged, controller.fleets.changed = controller.serving.acknowledged, controller.again
	controller.metrics = newMetrics(controller)
	return controller, nil
}

// Ready reports whether the cluster has been read whole once.
func (c *Controller) Ready() bool { return c.ready.Load() }

// Leads reports whether this replica is the one that writes.
func (c *Controller) Leads() bool { return c.leads.Load() }

// Metrics are what it tells of itself.
func (c *Controller) Metrics() prometheus.Collector { return c.metrics }

// Plan is what proxies are to serve; nil before the cluster has been read.
func (c *Controller) Plan() *plan.Plan {
	c.serving.mu.Lock()
	defer c.serving.mu.Unlock()
	return c.serving.newest
}

// Problems are those of what the cluster holds.
func (c *Controller) Problems() []problem.Problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problems
}

// object is one of the cluster's, by its plan name; nil where there is none.
func (c *Controller) object(key string) source.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return nil
	}
	return c.last.Objects[key]
}

// Run works until ctx ends. The error says why it could not begin.
func (c *Controller) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer c.settled() // whatever the elector has begun on its own
	defer beside.Wait()
	defer cancel()
	elector, err := leaderelection.NewLeaderElector(c.election())
	if err != nil {
		return fmt.Errorf("prepare election: %w", err)
	}
	beside.Go(func() {
		for ctx.Err() == nil { // who has lost the lead is a candidate again
			elector.Run(ctx)
		}
	})
	beside.Go(func() { c.pods.Run(ctx, c.seen) })
	beside.Go(func() { c.issuer.Run(ctx, c.trusts) })
	return c.source.Run(ctx, c.changed)
}

// changed takes what the cluster holds now.
func (c *Controller) changed(s *source.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = s
	c.apply()
}

// seen takes Pods that have come or changed and, as nil, those that have gone.
func (c *Controller) seen(workloads map[string]*plan.Workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving.know(workloads)
	concerns := c.translator.Know(workloads)
	if !c.known || concerns {
		c.known = true
		c.apply()
	}
}

// trusts takes who signs the cluster's tokens.
func (c *Controller) trusts(who *plan.Issuer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.translator.Trust(who)
	c.asked = true
	c.apply()
}

// apply puts what is there in force, once all of it is.
func (c *Controller) apply() {
	if c.last == nil || !c.known || !c.asked {
		return
	}
	c.fleets.set(c.last, c.translate(), c.translator.Parameters)
	c.ready.Store(true)
}

// again translates what is there once more, since what runs, or what proxies tell, has changed.
func (c *Controller) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.known && c.asked {
		c.translate()
	}
}

func (c *Controller) translate() []*plan.Gateway {
	defer c.metrics.translated(time.Now())
	c.translator.Observe(c.fleets.observed(c.last))
	c.translator.Hear(c.reports.health())
	result := c.translator.Apply(c.last)
	c.problems = result.Problems
	c.untold.tell(result.Problems)
	c.serving.publish(result.Plan)
	c.statuses.Set(c.last, result.Statuses)
	return result.Plan.Gateways
}

func (c *Controller) election() leaderelection.LeaderElectionConfig {
	lease := c.config.Lease
	if lease == (Lease{}) {
		lease = Lease{15 * time.Second, 10 * time.Second, 2 * time.Second}
	}
	return leaderelection.LeaderElectionConfig{
		Lock: c.lock, Name: leaseName, LeaseDuration: lease.Duration, RenewDeadline: lease.Renew, RetryPeriod: lease.Retry, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: c.lead, OnStoppedLeading: c.settled,
		},
	}
}

// lead is what the replica that leads does, until it does no longer.
func (c *Controller) lead(ctx context.Context) {
	c.leading.Lock()
	defer c.leading.Unlock()
	if ctx.Err() != nil {
		return
	}
	c.leads.Store(true)
	defer c.leads.Store(false)
	c.config.Logger.Info("leading", "identity", c.config.Identity)
	var beside sync.WaitGroup
	beside.Go(func() {
		if !c.serving.prove(ctx, c.fleets.trust) { // no proxy runs that could not know the controller
			return
		}
		beside.Go(func() { c.fleets.run(ctx) })
		beside.Go(func() {
			c.reports.run(ctx, newEvents(c.clients, c.config.Identity, c.config.Logger, c.object).write, c.again)
		})
		c.serving.run(ctx, c.fleets.trust)
	})
	c.statuses.Run(ctx)
	beside.Wait()
	c.config.Logger.Info("no longer leading", "identity", c.config.Identity)
}

// settled waits until nothing that was begun as leader is under way.
func (c *Controller) settled() {
	c.leading.Lock()
	defer c.leading.Unlock()
}
