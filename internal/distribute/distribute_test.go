package distribute

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/credential"
	"github.com/ebbgate/ebbgate/internal/policy/egress"
	"github.com/ebbgate/ebbgate/internal/report"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hang bounds what never should take long.
const hang = 30 * time.Second

const secretText = "hunter2-do-not-print"

// log is what both sides logged.
type log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is a controller's side, and what its proxies need.
type rig struct {
	t         *testing.T
	authority *ca.CA
	server    *Server
	serving   chan error
	address   string
	changed   chan struct{}
	log       *log
	logger    *slog.Logger
	streams   int
	proxies   func(gateway string) int
	reports   chan told
	pause     time.Duration // between reports
	connect   time.Duration // that a try to connect of a proxy may take; 0: as long as it does
}

// told is a report as the controller's side is told it.
type told struct {
	gateway string
	stream  uint64
	report  *report.Report
}

// newRig starts a server whose tokens are "token-of-" and the Gateway.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, authority: testkit.CA(t, "controller"), changed: make(chan struct{}, 1), reports: make(chan told, 100), pause: time.Millisecond, log: &log{written: make(chan struct{}, 1)}, address: "127.0.0.1:0"}
	r.logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		r.stop()
		if strings.Contains(r.log.String(), secretText) || strings.Contains(r.log.String(), "token-of-") {
			t.Error("a secret is in the log")
		}
	})
	r.start()
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var reported func(string, uint64, *report.Report)
	if r.reports != nil {
		reported = func(gateway string, stream uint64, report *report.Report) { r.reports <- told{gateway, stream, report} }
	}
	server, err := NewServer(ServerConfig{
		TLS: &tls.Config{Certificates: []tls.Certificate{testkit.Loopback(r.t, r.authority)}, MinVersion: tls.VersionTLS13},
		Authenticate: func(_ context.Context, token string) (string, error) {
			gateway, ok := strings.CutPrefix(token, "token-of-")
			if !ok {
				return "", errors.New("unknown")
			}
			return gateway, nil
		},
		Changed: func(string) {
			select {
			case r.changed <- struct{}{}:
			default:
			}
		},
		Logger: r.logger, Streams: r.streams, Proxies: r.proxies, ReportPause: r.pause,
		Reported: reported,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(r.t.Context(), "tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.address, r.server, r.serving = listener.Addr().String(), server, make(chan error, 1)
	go func() { r.serving <- server.Serve(listener) }()
}

func (r *rig) stop() {
	r.t.Helper()
	if r.server == nil {
		return
	}
	r.server.Close()
	if err := <-r.serving; err != nil {
		r.t.Error(err)
	}
	r.server = nil
}

func (r *rig) publish(p *plan.Plan) {
	r.t.Helper()
	if err := r.server.Publish(p); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for an Acknowledgement.
func (r *rig) until(gateway string, holds func(Acknowledgement) bool) Acknowledgement {
	r.t.Helper()
	late := time.After(hang)
	for {
		a := r.server.Acknowledged(gateway)
		if holds(a) {
			return a
		}
		select {
		case <-r.changed:
		case <-late:
			r.t.Fatalf("%s: it stays %+v; the log:\n%s", gateway, a, r.log)
		}
	}
}

// logged waits until a text has been logged so many times.
func (r *rig) logged(text string, times int) {
	r.t.Helper()
	late := time.After(hang)
	for strings.Count(r.log.String(), text) < times {
		select {
		case <-r.log.written:
		case <-late:
			r.t.Fatalf("not logged %d times: %s; the log:\n%s", times, text, r.log)
		}
	}
}

func all(n int) func(Acknowledgement) bool {
	return func(a Acknowledgement) bool { return a.Connected == n && a.Acknowledged == n }
}

// proxy is a running Client.
type proxy struct {
	t       *testing.T
	client  *Client
	token   string // file
	updates chan *plan.Plan
	answer  func(*plan.Plan) error
	heard   chan heard
}

func (r *rig) proxy(token string, answer func(*plan.Plan) error) *proxy {
	r.t.Helper()
	return r.reporting(token, answer, nil)
}

// reporting is a proxy that has something to tell.
func (r *rig) reporting(token string, answer func(*plan.Plan) error, tell func() *report.Report) *proxy {
	r.t.Helper()
	p := &proxy{t: r.t, updates: make(chan *plan.Plan, 100), answer: answer, heard: make(chan heard, 1000), token: filepath.Join(r.t.TempDir(), "token")}
	roots := filepath.Join(r.t.TempDir(), "ca.crt")
	write(r.t, p.token, token)
	write(r.t, roots, string(r.authority.PEM()))
	client, err := NewClient(ClientConfig{
		Address: r.address, CA: roots, Token: p.token, Configs: configs, Logger: r.logger,
		Update: func(_ context.Context, plan *plan.Plan) error {
			p.updates <- plan
			if p.answer != nil {
				return p.answer(plan)
			}
			return nil
		},
		Workloads: func(changed map[string]*plan.Workload, whole bool) { p.heard <- heard{changed, whole} },
		Report:    tell, ReportEvery: time.Millisecond,
		Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Connect: r.connect,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	p.client = client
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); client.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-done })
	return p
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *proxy) next() *plan.Plan {
	p.t.Helper()
	select {
	case plan := <-p.updates:
		return plan
	case <-time.After(hang):
		p.t.Fatal("no plan comes")
		return nil
	}
}

// none holds that no plan has come besides those that next gave. Call it when the proxy has acknowledged the newest.
func (p *proxy) none() {
	p.t.Helper()
	select {
	case plan := <-p.updates:
		p.t.Errorf("a plan came that should not: %v", namesOf(plan))
	default:
	}
}

// raw is a proxy that only looks at what comes.
type raw struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	nonce  string
}

func (r *rig) dial(token string) (discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, error) {
	r.t.Helper()
	conn, ctx := r.connection(token)
	return discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
}

// connection is one to the server, and what its streams' contexts are to carry.
func (r *rig) connection(token string) (*grpc.ClientConn, context.Context) {
	r.t.Helper()
	conn, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: r.authority.Pool(), MinVersion: tls.VersionTLS13})),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	ctx := r.t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
	}
	return conn, ctx
}

const rawKey = "a-key-of-some-length-that-is-drawn"

func (r *rig) raw(gateway string, have map[string]string) *raw {
	r.t.Helper()
	stream, err := r.dial("Bearer token-of-" + gateway)
	if err != nil {
		r.t.Fatal(err)
	}
	w := &raw{t: r.t, stream: stream}
	w.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, Node: &corev3.Node{Id: rawKey}, InitialResourceVersions: have})
	return w
}

func (w *raw) send(m *discoveryv3.DeltaDiscoveryRequest) {
	w.t.Helper()
	if err := w.stream.Send(m); err != nil {
		w.t.Fatal(err)
	}
}

// generation reads the messages of one, and acknowledges it.
func (w *raw) generation() (messages int, resources map[string]string, removed []string, size int) {
	w.t.Helper()
	resources = map[string]string{}
	for {
		m, err := w.stream.Recv()
		if err != nil {
			w.t.Fatal(err)
		}
		messages++
		size += proto.Size(m)
		removed = append(removed, m.GetRemovedResources()...)
		w.nonce = m.GetNonce()
		for _, r := range m.GetResources() {
			if r.GetName() == generationName {
				w.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: w.nonce})
				slices.Sort(removed)
				return messages, resources, removed, size
			}
			resources[r.GetName()] = r.GetVersion()
		}
	}
}

func (w *raw) names() []string {
	_, resources, _, _ := w.generation()
	return slices.Sorted(maps.Keys(resources))
}

func secretOf(name, value string) *plan.Secret {
	return &plan.Secret{Name: name, Data: map[string]plan.Sensitive{"key": plan.NewSensitive([]byte(value))}}
}

// configured is a plan of two Gateways with n rules each, a backend each, a credential each and the same key in both.
func configured(n int) *plan.Plan {
	p := &plan.Plan{}
	for _, team := range []string{"a", "b"} {
		backend, secret, gateway := "Backend/"+team+"/llm", "Secret/"+team+"/key", team+"/gw"
		p.Gateways = append(p.Gateways, &plan.Gateway{Name: gateway, Class: "ebbgate", Listeners: []*plan.Listener{{Name: "http", Port: 80, Protocol: plan.HTTP}}})
		p.Backends = append(p.Backends, &plan.Backend{Name: backend, Origin: plan.Resolved, Hostname: team + ".example", Port: 443, Protocol: plan.HTTP, TLS: &plan.TLS{SystemRoots: true}})
		p.Policies = append(p.Policies, &plan.Policy{
			Name: "CredentialInjector/" + team + "/key", Kind: "CredentialInjector", Targets: []plan.Target{{Kind: plan.TargetBackend, Name: backend}},
			Config: &credential.Config{Type: "APIKey", APIKey: &credential.APIKey{Header: "authorization", Reference: credential.Reference{Secret: secret, Key: "key"}}},
		})
		p.Secrets = append(p.Secrets, secretOf(secret, secretText))
		for i := range n {
			route := fmt.Sprintf("HTTPRoute/%s/r%04d", team, i)
			p.Rules = append(p.Rules, &plan.Rule{
				Name: route + "#0", Route: route, Parents: []plan.Parent{{Gateway: gateway, Listener: "http"}},
				Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: fmt.Sprintf("/%d", i)}}},
				Backends: []plan.RuleBackend{{Backend: backend, Weight: 1}},
			})
		}
	}
	return p
}

// changed is a plan with one resource in another's place.
func changed(p *plan.Plan, change func(p *plan.Plan)) *plan.Plan {
	c := &plan.Plan{
		Gateways: slices.Clone(p.Gateways), Rules: slices.Clone(p.Rules), Backends: slices.Clone(p.Backends),
		Policies: slices.Clone(p.Policies), Secrets: slices.Clone(p.Secrets),
	}
	change(c)
	return c
}

func reweighed(p *plan.Plan, i, weight int) *plan.Plan {
	return changed(p, func(p *plan.Plan) {
		rule := *p.Rules[i]
		rule.Backends = []plan.RuleBackend{{Backend: rule.Backends[0].Backend, Weight: weight}}
		p.Rules[i] = &rule
	})
}

func same(t *testing.T, want, got *plan.Plan) {
	t.Helper()
	if diff := cmp.Diff(want, got, revealed); diff != "" {
		t.Errorf("the proxy has another plan:\n%s", diff)
	}
}

func TestGenerations(t *testing.T) {
	r := newRig(t)
	p := r.proxy("token-of-a/gw", nil)
	other := r.proxy("token-of-b/gw", nil)
	if p.client.Ready() {
		t.Error("ready with no plan")
	}
	first := configured(200)
	r.publish(first)
	had := p.next()
	same(t, Part(first, "a/gw"), had)
	same(t, Part(first, "b/gw"), other.next())
	r.until("a/gw", all(1))
	r.until("b/gw", all(1))
	if !p.client.Ready() {
		t.Error("a plan is in force, and the proxy is not ready")
	}
	look := r.raw("a/gw", nil)
	if names := look.names(); !slices.Equal(names, slices.Sorted(slices.Values(namesOf(had)))) {
		t.Errorf("sent: %v", names)
	}

	second := reweighed(first, 7, 9)
	r.publish(second)
	got := p.next()
	same(t, Part(second, "a/gw"), got)
	for i := range got.Rules {
		if kept := got.Rules[i] == had.Rules[i]; kept == (i == 7) {
			t.Errorf("rule %d: kept is %t", i, kept)
		}
	}
	if got.Gateways[0] != had.Gateways[0] || got.Backends[0] != had.Backends[0] || got.Policies[0] != had.Policies[0] || got.Secrets[0] != had.Secrets[0] {
		t.Error("an unchanged resource has another pointer")
	}
	messages, resources, removed, size := look.generation()
	if messages != 1 || len(resources) != 1 || resources["rule/HTTPRoute/a/r0007#0"] == "" || len(removed) > 0 || size > 1000 {
		t.Errorf("a changed weight: %d messages with %d bytes, %v, removed %v", messages, size, resources, removed)
	}

	third := changed(second, func(p *plan.Plan) { p.Rules = slices.Delete(p.Rules, 3, 5) })
	r.publish(third)
	same(t, Part(third, "a/gw"), p.next())
	if _, resources, removed, _ := look.generation(); len(resources) > 0 || !slices.Equal(removed, []string{"rule/HTTPRoute/a/r0003#0", "rule/HTTPRoute/a/r0004#0"}) {
		t.Errorf("a removal: %v, removed %v", resources, removed)
	}

	// An equal plan of other pointers is no new generation, and nothing above was one of the other Gateway's.
	again := configured(200)
	again.Rules = slices.Clone(third.Rules)
	r.publish(again)
	r.publish(reweighed(again, 0, 3))
	p.next()
	if _, resources, removed, _ := look.generation(); len(resources) != 1 || len(removed) > 0 {
		t.Errorf("an equal plan was sent: %v, removed %v", resources, removed)
	}
	r.until("a/gw", all(2))
	r.until("b/gw", all(1))
	p.none()
	other.none()

	// A Gateway that is gone.
	r.publish(changed(again, func(p *plan.Plan) { p.Gateways = p.Gateways[1:] }))
	same(t, &plan.Plan{}, p.next())
	never := r.proxy("token-of-c/gw", nil)
	same(t, &plan.Plan{}, never.next())
	r.logged("plan taken", 6)
	if never.client.Ready() {
		t.Error("a proxy whose Gateway never was is ready")
	}
}

func TestOnlyTheEndOfAGenerationIsAcknowledged(t *testing.T) {
	r := newRig(t)
	r.publish(configured(1))
	look := r.raw("a/gw", nil)
	m, err := look.stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	r.publish(reweighed(configured(1), 0, 2))
	for _, nonce := range []string{"", "0", "2", "x"} {
		look.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce})
	}
	look.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: m.GetNonce(), ErrorDetail: writeRejections([]Rejection{{Message: "no"}})})
	if _, resources, _, _ := look.generation(); len(resources) != 1 {
		t.Errorf("%v", resources)
	}
	r.until("a/gw", all(1))
	if strings.Count(r.log.String(), "proxy rejects") != 1 {
		t.Errorf("the answer to the first generation was taken from another message:\n%s", r.log)
	}
}

func TestALargeGenerationComesInMessagesAndIsTakenWhole(t *testing.T) {
	r := newRig(t)
	large := configured(1)
	for i := range 40 {
		name := fmt.Sprintf("Backend/a/large%02d", i)
		large.Backends = append(large.Backends, &plan.Backend{Name: name, Hostname: strings.Repeat("x", 100_000)})
		large.Rules[0].Backends = append(large.Rules[0].Backends, plan.RuleBackend{Backend: name})
	}
	slices.SortFunc(large.Backends, func(a, b *plan.Backend) int { return strings.Compare(a.Name, b.Name) })
	r.publish(large)
	if messages, _, _, _ := r.raw("a/gw", nil).generation(); messages < 4 {
		t.Errorf("%d messages", messages)
	}
	p := r.proxy("token-of-a/gw", nil)
	same(t, Part(large, "a/gw"), p.next())
	r.until("a/gw", all(2))
	p.none()
}

// TestAPlanOfTheSameIsNoNews: nothing is worked out, and nobody woken, where a plan has the very resources of the last.
func TestAPlanOfTheSameIsNoNews(t *testing.T) {
	r := newRig(t)
	base := configured(2)
	published := func(p *plan.Plan) <-chan struct{} {
		r.publish(p)
		_, news := r.server.current("a/gw")
		return news
	}
	first := published(base)
	if published(changed(base, func(*plan.Plan) {})) != first {
		t.Error("the same resources are news")
	}
	for i, change := range []func(*plan.Plan){
		func(p *plan.Plan) { g := *p.Gateways[0]; p.Gateways[0] = &g },
		func(p *plan.Plan) { p.Rules = p.Rules[1:] },
		func(p *plan.Plan) { b := *p.Backends[0]; p.Backends[0] = &b },
		func(p *plan.Plan) { p.Policies = p.Policies[1:] },
		func(p *plan.Plan) { s := *p.Secrets[0]; p.Secrets[0] = &s },
	} {
		before := published(base)
		if published(changed(base, change)) == before {
			t.Errorf("change %d is no news", i)
		}
	}
}

// TestAProxyOfMuchComesBack: a proxy that has very many resources, of names as long as there are, can say so.
func TestAProxyOfMuchComesBack(t *testing.T) {
	r := newRig(t)
	much := configured(1)
	long := strings.Repeat("x", 240)
	for i := range 30_000 {
		rule := *much.Rules[0]
		rule.Name = fmt.Sprintf("HTTPRoute/%s/%s-%05d#0", long[:63], long, i)
		much.Rules = append(much.Rules, &rule)
	}
	r.publish(much)
	p := r.proxy("token-of-a/gw", nil)
	p.next()
	r.until("a/gw", all(1))
	r.stop()
	r.start()
	r.publish(much)
	r.until("a/gw", all(1))
}

// TestWhatIsTooLargeHoldsUpNothingElse: a resource that cannot be sent is rejected by its name, with the reason for the
// Gateway's status, and closes what it concerns; all else of its Gateway and of the others applies.
func TestWhatIsTooLargeHoldsUpNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		bloat  func(p *plan.Plan, much string)
		closed func(p *plan.Plan) bool // the first rule is, or what it needs
	}{
		"backend/Backend/a/huge": {
			func(p *plan.Plan, much string) {
				p.Backends = append(p.Backends, &plan.Backend{Name: "Backend/a/huge", Hostname: much})
				p.Rules[0].Backends = append(slices.Clone(p.Rules[0].Backends), plan.RuleBackend{Backend: "Backend/a/huge"})
			},
			func(p *plan.Plan) bool {
				return !slices.ContainsFunc(p.Backends, func(b *plan.Backend) bool { return b.Name == "Backend/a/huge" })
			},
		},
		"policy/EgressPolicy/a/huge": {
			func(p *plan.Plan, much string) {
				p.Policies = append(p.Policies, &plan.Policy{
					Name: "EgressPolicy/a/huge", Kind: "EgressPolicy", Config: &egress.Config{Region: much}, Targets: []plan.Target{{Kind: plan.TargetRoute, Name: p.Rules[0].Route}},
				})
			},
			func(p *plan.Plan) bool { return p.Rules[0].Fault != nil },
		},
		"rule/": {
			func(p *plan.Plan, much string) { p.Rules[0].Backends = []plan.RuleBackend{{Backend: much}} },
			func(p *plan.Plan) bool { return p.Rules[0].Fault != nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := r.proxy("token-of-a/gw", nil)
			huge := changed(configured(3), func(p *plan.Plan) {
				rule := *p.Rules[0]
				p.Rules[0] = &rule
				test.bloat(p, strings.Repeat("x", maxResource))
			})
			r.publish(huge)
			got := p.next()
			if !test.closed(got) || got.Rules[1].Fault != nil {
				t.Errorf("%s: not what concerns it, and that alone, is closed", name)
			}
			a := r.until("a/gw", func(a Acknowledgement) bool { return len(a.Rejections) > 0 })
			if len(a.Rejections) != 1 || !strings.HasPrefix(a.Rejections[0].Resource, name) || !strings.Contains(a.Rejections[0].Message, unsendable) {
				t.Errorf("%s: %+v", name, a)
			}
			r.logged("a resource cannot be sent", 1)
			r.publish(reweighed(huge, 1, 5))
			if got = p.next(); got.Rules[1].Backends[0].Weight != 5 {
				t.Errorf("%s: it keeps others from applying", name)
			}
			if n := strings.Count(r.log.String(), "a resource cannot be sent"); n != 1 {
				t.Errorf("%s: said %d times", name, n)
			}
		})
	}
}

func TestOnlyItsGatewaysSecrets(t *testing.T) {
	r := newRig(t)
	r.publish(configured(3))
	for _, team := range []string{"a", "b"} {
		for _, name := range r.raw(team+"/gw", nil).names() {
			if !strings.Contains(name, "/"+team+"/") {
				t.Errorf("the proxy of %s/gw gets %s", team, name)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	r := newRig(t)
	r.streams = 1
	r.stop()
	r.start()
	r.publish(configured(1))
	f := func(what, header string, first *discoveryv3.DeltaDiscoveryRequest, want codes.Code) {
		t.Helper()
		stream, err := r.dial(header)
		if err == nil && first != nil {
			_ = stream.Send(first) // Recv tells what is wrong
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != want || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	f("no token", "", nil, codes.Unauthenticated)
	f("a wrong token", "Bearer wrong", nil, codes.Unauthenticated)
	f("no bearer token", "token-of-a/gw", nil, codes.Unauthenticated)
	f("an empty token", "Bearer ", nil, codes.Unauthenticated)
	f("another type", "Bearer token-of-a/gw", &discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Node: &corev3.Node{Id: rawKey}}, codes.InvalidArgument)
	f("a short key", "Bearer token-of-a/gw", &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, Node: &corev3.Node{Id: "short"}}, codes.InvalidArgument)
	r.until("a/gw", all(0))
	r.raw("a/gw", nil).names()
	f("one too many", "Bearer token-of-a/gw", &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, Node: &corev3.Node{Id: rawKey}}, codes.ResourceExhausted)
	r.raw("b/gw", nil).names()

	if _, err := NewServer(ServerConfig{Authenticate: func(context.Context, string) (string, error) { return "a/gw", nil }}); err == nil {
		t.Error("a Server without TLS")
	}
}

// TestAsManyProxiesAsThereMayBe: how many proxies a Gateway has is for who runs them to say, and who is refused is told why.
func TestAsManyProxiesAsThereMayBe(t *testing.T) {
	r := newRig(t)
	r.streams, r.proxies = 1, func(gateway string) int {
		if gateway == "a/gw" {
			return 2
		}
		return 0
	}
	r.stop()
	r.start()
	r.publish(configured(1))
	for _, gateway := range []string{"a/gw", "a/gw", "b/gw"} {
		r.raw(gateway, nil).names()
	}
	for _, gateway := range []string{"a/gw", "b/gw"} {
		most := map[string]int{"a/gw": 2, "b/gw": 1}[gateway]
		stream, err := r.dial("Bearer token-of-" + gateway)
		if err == nil {
			_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, Node: &corev3.Node{Id: rawKey}})
			_, err = stream.Recv()
		}
		if want := fmt.Sprintf("Gateway %s has %d proxies", gateway, most); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r.logged("its Gateway has too many", 1)
}

// TestComplaints: whoever can connect writes no log without end.
func TestComplaints(t *testing.T) {
	now := time.Now()
	c := complaints{now: func() time.Time { return now }}
	f := func(want int) {
		t.Helper()
		if times, due := c.due(); times != want || due != (want > 0) {
			t.Errorf("due: %t, %d times, want %d", due, times, want)
		}
	}
	f(1)
	for range 99 {
		f(0)
	}
	now = now.Add(complain)
	f(100)
	f(0)
}

func TestTheTokenIsReadAgain(t *testing.T) {
	r := newRig(t)
	r.publish(configured(1))
	p := r.proxy("wrong", nil)
	r.logged("its token is not accepted", 1)
	if p.client.Ready() {
		t.Error("ready without a plan")
	}
	write(t, p.token, "token-of-a/gw\n")
	p.next()
}

func TestAControllerOfAnotherCAGetsNoToken(t *testing.T) {
	r := newRig(t)
	mine := r.authority
	r.authority = testkit.CA(t, "another")
	p := r.proxy("token-of-a/gw", nil)
	r.authority = mine
	r.logged(`"no connection to the controller" served="nothing: no plan has come yet"`, 2)
	r.until("a/gw", all(0))
	p.none()
}

// TestAControllerThatSaysNothing: who takes a connection and says nothing, as an address that nobody has does, is given up,
// and asked again.
func TestAControllerThatSaysNothing(t *testing.T) {
	r := newRig(t)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	r.address, r.connect = silent.Addr().String(), 20*time.Millisecond
	r.proxy("token-of-a/gw", nil)
	r.logged("no connection to the controller", 3)
}

func TestTheControllerComesBack(t *testing.T) {
	r := newRig(t)
	first := configured(20)
	r.publish(first)
	p := r.proxy("token-of-a/gw", nil)
	had := p.next()
	r.until("a/gw", all(1))

	r.stop()
	if !p.client.Ready() {
		t.Error("not ready any more while the controller is away")
	}
	r.logged(`"no connection to the controller" served="the last plan"`, 1)
	r.start()
	r.publish(configured(20))
	r.until("a/gw", all(1))
	p.none() // nothing is there that was not: the log has no further plan taken

	r.stop()
	r.start()
	second := changed(reweighed(configured(20), 4, 5), func(p *plan.Plan) { p.Rules = slices.Delete(p.Rules, 9, 10) })
	r.publish(second)
	got := p.next()
	same(t, Part(second, "a/gw"), got)
	if got.Rules[3] != had.Rules[3] || got.Secrets[0] != had.Secrets[0] {
		t.Error("what stayed the same has another pointer")
	}
	r.until("a/gw", all(1))
	if text := r.log.String(); strings.Count(text, `msg="plan taken"`) != 2 || !strings.Contains(text, "changed=2 ") || !strings.Contains(text, "the plan in force is the newest") {
		t.Errorf("more came than had changed, or less:\n%s", text)
	}

	// The same on the wire, Secrets included.
	look := r.raw("a/gw", nil)
	_, has, _, _ := look.generation()
	r.stop()
	r.start()
	r.publish(second)
	has["rule/HTTPRoute/a/gone#0"] = "v"
	if _, resources, removed, size := r.raw("a/gw", has).generation(); len(resources) > 0 || !slices.Equal(removed, []string{"rule/HTTPRoute/a/gone#0"}) || size > 500 {
		t.Errorf("sent again: %v, removed %v, %d bytes", resources, removed, size)
	}
}

func TestASlowProxyGetsTheNewest(t *testing.T) {
	r := newRig(t)
	enter, leave := make(chan struct{}), make(chan struct{})
	p := r.proxy("token-of-a/gw", func(*plan.Plan) error {
		enter <- struct{}{}
		<-leave
		return nil
	})
	quick := r.proxy("token-of-a/gw", nil)
	base := configured(3)
	r.publish(base)
	<-enter
	quick.next()
	var newest *plan.Plan
	for i := range 5 {
		newest = reweighed(base, 0, 10+i)
		r.publish(newest)
		same(t, Part(newest, "a/gw"), quick.next()) // it is not held up
	}
	r.until("a/gw", func(a Acknowledgement) bool { return a.Connected == 2 && a.Acknowledged == 1 })
	leave <- struct{}{}
	<-enter
	leave <- struct{}{}
	same(t, Part(base, "a/gw"), p.next())
	same(t, Part(newest, "a/gw"), p.next())
	r.until("a/gw", all(2))
	p.none()
}

func TestSecretsRotate(t *testing.T) {
	r := newRig(t)
	first := configured(2)
	r.publish(first)
	p := r.proxy("token-of-a/gw", nil)
	had := p.next()
	look := r.raw("a/gw", nil)
	_, before, _, _ := look.generation()
	second := changed(first, func(p *plan.Plan) { p.Secrets[0] = secretOf("Secret/a/key", secretText+"-2") })
	r.publish(second)
	got := p.next()
	same(t, Part(second, "a/gw"), got)
	if got.Rules[0] != had.Rules[0] || got.Secrets[0] == had.Secrets[0] {
		t.Error("the wrong resource has another pointer")
	}
	_, after, _, _ := look.generation()
	if len(after) != 1 || after["secret/Secret/a/key"] == before["secret/Secret/a/key"] {
		t.Errorf("a rotated Secret: %v", after)
	}
	// No version is a hash that anybody could make: with another key it is another.
	payload, err := encode(second.Secrets[0])
	if err != nil {
		t.Fatal(err)
	}
	if v := after["secret/Secret/a/key"]; v != secretVersion(rawKey, payload) || v == secretVersion(rawKey+"x", payload) || v == version(payload) {
		t.Errorf("the version of a Secret is %s", v)
	}
}

func TestWhatCannotBeReadIsRejectedByName(t *testing.T) {
	r := newRig(t)
	p := r.proxy("token-of-a/gw", nil)
	policy := func(config any, routes ...int) *plan.Policy {
		p := &plan.Policy{Name: "EgressPolicy/a/later", Kind: "EgressPolicy", Config: config}
		for _, route := range routes {
			p.Targets = append(p.Targets, plan.Target{Kind: plan.TargetRoute, Name: fmt.Sprintf("HTTPRoute/a/r%04d", route)})
		}
		return p
	}
	unreadable := map[string]any{"region": "eu", "fieldOfANewerController": true}
	base := configured(3)
	bad := changed(base, func(p *plan.Plan) { p.Policies = append(p.Policies, policy(unreadable, 1)) })
	r.publish(bad)
	got := p.next()
	if got.Rules[0] != nil && (got.Rules[0].Fault != nil || got.Rules[2].Fault != nil || got.Rules[1].Fault == nil) {
		t.Error("not the rule that the policy concerns, and it alone, is closed")
	}
	a := r.until("a/gw", func(a Acknowledgement) bool { return len(a.Rejections) > 0 })
	if a.Acknowledged != 0 || len(a.Rejections) != 1 || a.Rejections[0].Resource != "policy/EgressPolicy/a/later" || !strings.Contains(a.Rejections[0].Message, "fieldOfANewerController") {
		t.Errorf("%+v", a)
	}
	closed := got.Rules[1]

	// The others of a generation apply, and the closed rule keeps its pointer.
	r.publish(reweighed(bad, 0, 5))
	if got = p.next(); got.Rules[0].Backends[0].Weight != 5 || got.Rules[1] != closed {
		t.Error("a rejected resource keeps others from applying, or the closed rule has changed")
	}

	// Once it can be read, all is open.
	good := changed(base, func(p *plan.Plan) { p.Policies = append(p.Policies, policy(&egress.Config{Region: "eu"}, 1)) })
	r.publish(good)
	got = p.next()
	same(t, Part(good, "a/gw"), got)
	r.until("a/gw", all(1))
	read := got.Policies[1]

	// The last good one is used where it was, and where only the new one is nothing passes.
	r.publish(changed(base, func(p *plan.Plan) { p.Policies = append(p.Policies, policy(unreadable, 1, 2)) }))
	got = p.next()
	if got.Policies[1] != read || got.Rules[1].Fault != nil || got.Rules[2].Fault == nil {
		t.Errorf("rejected with a good one before: %v, rule 1 %v, rule 2 %v", got.Policies[1].Config, got.Rules[1].Fault, got.Rules[2].Fault)
	}
	r.publish(base)
	same(t, Part(base, "a/gw"), p.next())
	r.until("a/gw", all(1))
}

func TestAPlanThatCannotBeInForceWhole(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	broken := errors.New("gateway a/gw: the port 80 is taken")
	p := r.proxy("token-of-a/gw", func(*plan.Plan) error { mu.Lock(); defer mu.Unlock(); return broken })
	base := configured(2)
	r.publish(base)
	p.next()
	a := r.until("a/gw", func(a Acknowledgement) bool { return len(a.Rejections) > 0 })
	if diff := cmp.Diff(Acknowledgement{Connected: 1, Rejections: []Rejection{{Message: broken.Error()}}}, a); diff != "" {
		t.Error(diff)
	}
	if !p.client.Ready() {
		t.Error("the rest of the plan is in force")
	}
	mu.Lock()
	broken = nil
	mu.Unlock()
	r.stop() // the same plan on the next connection is tried again
	r.start()
	r.publish(base)
	r.until("a/gw", all(1))
}
