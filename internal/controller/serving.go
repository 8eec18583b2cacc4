package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	discoveryv1apply "k8s.io/client-go/applyconfigurations/discovery/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ebbgate/ebbgate/internal/distribute"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
)

const (
	fieldManager = "ebbgate-controller"
	settles      = 50 * time.Millisecond // in which what proxies say is gathered
	retries      = 2 * time.Second       // before what the leader cannot do is tried again
)

// serving tells proxies what to serve, while its controller leads. The one that leads is the one that proxies reach: it
// writes itself behind the controller's Service.
type serving struct {
	client    kubernetes.Interface
	listen    string // host:port
	namespace string
	service   string
	address   string // of this replica, as proxies reach it; empty: it is not written
	authority *authority
	admission *admission
	logger    *slog.Logger
	proxies   func(gateway string) int                                 // that may be connected at once; 0: unknown
	opened    func(address net.Addr)                                   // proxies are served there from now on
	heard     func(gateways map[string]bool)                           // what proxies have, or how many there are, has changed
	reported  func(gateway string, stream uint64, told *report.Report) // it waits for nobody

	mu     sync.Mutex
	newest *plan.Plan // nil before the cluster has been read
	known  map[string]*plan.Workload
	server *distribute.Server

	said said
}

// publish makes a plan the one that proxies are to serve.
func (s *serving) publish(p *plan.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = p
	s.send()
}

// know takes Pods that have come or changed and, as nil, those that have gone.
func (s *serving) know(workloads map[string]*plan.Workload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.known == nil
	if first {
		s.known = map[string]*plan.Workload{}
	}
	for name, w := range workloads {
		if s.known[name] = w; w == nil {
			delete(s.known, name)
		}
	}
	if s.server != nil {
		s.server.Inform(workloads, first)
	}
}

// send has the server send the newest plan.
func (s *serving) send() {
	if s.server == nil || s.newest == nil {
		return
	}
	if err := s.server.Publish(s.newest); err != nil {
		s.logger.Error("send proxies what to serve: they keep what they have", "error", err)
	}
}

// gateways are those that are served, while this replica serves.
func (s *serving) gateways() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil && s.newest != nil {
		for _, g := range s.newest.Gateways {
			names = append(names, g.Name)
		}
	}
	return names
}

// acknowledged tells how far a Gateway's proxies are.
func (s *serving) acknowledged(gateway string) distribute.Acknowledgement {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	if server == nil {
		return distribute.Acknowledgement{}
	}
	return server.Acknowledged(gateway)
}

// prove prepares what proxies are to believe, and tells it; false where ctx ended before it could.
func (s *serving) prove(ctx context.Context, trust func(bundle []byte)) bool {
	done := s.again(ctx, "prove the controller to proxies", func() error { return s.authority.renew(ctx, time.Now()) })
	if done {
		trust(s.authority.bundle())
	}
	return done
}

// run serves until ctx ends, once at a time, and tells what proxies are to believe as that changes.
func (s *serving) run(ctx context.Context, trust func(bundle []byte)) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { s.said.run(ctx, s.heard) })
	beside.Go(func() {
		s.again(ctx, "serve proxies", func() error { return s.serve(ctx) })
	})
	ticker := time.NewTicker(s.authority.trust.Check)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.authority.renew(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.logger.Error("renew what proves the controller to proxies", "error", err)
		}
		trust(s.authority.bundle())
	}
}

// again does what has to be done until it is done; not done is what has not been when ctx ended.
func (s *serving) again(ctx context.Context, what string, do func() error) (done bool) {
	for {
		err := do()
		if ctx.Err() != nil {
			return err == nil
		}
		if err == nil {
			return true
		}
		s.logger.Error("not done yet", "what", what, "error", err, "again_in", retries)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retries):
		}
	}
}

// serve takes proxies until ctx ends.
func (s *serving) serve(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	server, err := distribute.NewServer(distribute.ServerConfig{
		TLS: s.authority.config(), Authenticate: s.admission.authenticate, Changed: s.said.changed, Reported: s.reported, Proxies: s.proxies, Logger: s.logger,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s.mu.Lock()
	s.server = server
	if s.known != nil {
		server.Inform(s.known, true)
	}
	s.send()
	s.mu.Unlock()
	s.opened(listener.Addr())
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beside.Go(func() {
		<-ctx.Done()
		s.mu.Lock()
		s.server = nil
		s.mu.Unlock()
		server.Close()
	})
	beside.Go(func() { s.stay(ctx, listener.Addr()) })
	return server.Serve(listener)
}

// stay has the controller's Service lead to this replica until ctx ends, whatever becomes of the Service and its EndpointSlice.
func (s *serving) stay(ctx context.Context, bound net.Addr) {
	for s.again(ctx, "write where proxies reach the controller", func() error { return s.announce(ctx, bound) }) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.authority.trust.Check):
		}
	}
}

// announce has the controller's Service lead to this replica.
func (s *serving) announce(ctx context.Context, bound net.Addr) error {
	if s.address == "" {
		return nil
	}
	address, err := netip.ParseAddr(s.address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	family := discoveryv1.AddressTypeIPv4
	if address.Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	_, text, err := net.SplitHostPort(bound.String())
	if err != nil {
		return err
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return err
	}
	service, err := s.client.CoreV1().Services(s.namespace).Get(ctx, s.service, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look at the controller's Service %s/%s: %w", s.namespace, s.service, err)
	}
	slice := discoveryv1apply.EndpointSlice(s.service+"-leader", s.namespace).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: s.service, discoveryv1.LabelManagedBy: fieldManager}).
		WithOwnerReferences(metav1apply.OwnerReference().WithAPIVersion("v1").WithKind("Service").WithName(s.service).WithUID(service.UID)).
		WithAddressType(family).
		WithEndpoints(discoveryv1apply.Endpoint().WithAddresses(address.String()).WithConditions(discoveryv1apply.EndpointConditions().WithReady(true))).
		WithPorts(discoveryv1apply.EndpointPort().WithName("plan").WithProtocol(corev1.ProtocolTCP).WithPort(int32(port)))
	_, err = s.client.DiscoveryV1().EndpointSlices(s.namespace).Apply(ctx, slice, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// said gathers whose proxies have said something.
type said struct {
	mu   sync.Mutex
	of   map[string]bool // Gateways
	stir chan struct{}
}

func newSaid() said { return said{of: map[string]bool{}, stir: make(chan struct{}, 1)} }

// changed notes that a Gateway's proxies have said something. It waits for nobody.
func (w *said) changed(gateway string) {
	w.mu.Lock()
	w.of[gateway] = true
	w.mu.Unlock()
	select {
	case w.stir <- struct{}{}:
	default:
	}
}

// run tells of what has been said, gathered, until ctx ends.
func (w *said) run(ctx context.Context, heard func(gateways map[string]bool)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.stir:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settles):
		}
		w.mu.Lock()
		of := w.of
		w.of = map[string]bool{}
		w.mu.Unlock()
		heard(of)
	}
}
