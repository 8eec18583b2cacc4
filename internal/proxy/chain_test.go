package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// way is the config of a kind that says how a destination is reached, and where data may go.
type way struct {
	Parent  *policy.Parent `policy:"setting"`
	Regions [][]string     `policy:"setting"`
	TLS     *plan.TLS      `policy:"setting"`
	Clients []string       `policy:"restriction"` // namespaces that may use what the policy is on
}

func (w *way) Tune(s *policy.Settings) {
	s.Parent, s.Regions = w.Parent, w.Regions
	if w.TLS != nil {
		s.TLS = w.TLS
	}
}

// allowed vetoes the clients of other namespaces, and notes what it was asked.
type allowed struct{ namespaces []string }

func (a allowed) Candidate(_ context.Context, x *exchange.Exchange, _ *policy.Candidate) *exchange.Refusal {
	if slices.Contains(a.namespaces, x.Client.Namespace) {
		return nil
	}
	return exchange.Refuse(exchange.ClientNotAllowed, "not this one")
}

func ways() *policy.Kind {
	return &policy.Kind{
		Name: "Way", Config: func() any { return new(way) },
		Restrict: func(_ policy.Env, config any) (any, error) {
			if list := config.(*way).Clients; list != nil {
				return allowed{list}, nil
			}
			return nil, nil
		},
		Apply: func(_ policy.Env, config any) (any, error) { return config, nil },
	}
}

func wayOf(kind plan.TargetKind, target string, w way) *plan.Policy {
	return &plan.Policy{Name: "Way/ai/" + strings.ReplaceAll(target, "/", "-"), Kind: "Way", Targets: []plan.Target{{Kind: kind, Name: target}}, Config: &w}
}

// passage is what a gateway of a chain noted of an exchange.
type passage struct {
	client  string
	source  exchange.Source
	hop     exchange.Hop
	parent  string
	address string
	status  int
	reason  exchange.Reason
	aborted string
	tries   int
}

type passages chan passage

func (p passages) End(x *exchange.Exchange) {
	seen := passage{
		client: x.Client.String(), source: x.Client.Source, hop: x.Hop, status: x.Response.Status, aborted: strings.Clone(x.Aborted), tries: len(x.Attempts),
	}
	if x.Refusal != nil {
		seen.reason = x.Refusal.Reason
	}
	if n := len(x.Attempts); n > 0 {
		seen.parent, seen.address = x.Attempts[n-1].Parent, x.Attempts[n-1].Address.String()
	}
	p <- seen
}

func (passages) AuditBody(*exchange.Exchange, []byte, func([]byte) []byte) {}

// link is one gateway of a chain. All are called ai/egress, as different clusters' are.
type link struct {
	t      *testing.T
	server *Server
	name   string
	plan   *plan.Plan
	port   int
	seen   passages
}

// mesh is the CAs of a chain: of servers, and of the ids of each gateway's clients.
type mesh struct {
	t       *testing.T
	servers *ca.CA
	ids     *ca.CA
}

func newMesh(t *testing.T) *mesh {
	return &mesh{t, testkit.CA(t, "servers"), testkit.CA(t, "ids")}
}

func (m *mesh) pair(leaf ca.Leaf, by *ca.CA) (tls.Certificate, *plan.Secret) {
	m.t.Helper()
	pair := testkit.Issue(m.t, by, leaf)
	key, err := ca.KeyPEM(pair)
	if err != nil {
		m.t.Fatal(err)
	}
	return pair, &plan.Secret{Data: map[string]plan.Sensitive{"tls.crt": plan.NewSensitive(ca.CertificatePEM(pair)), "tls.key": plan.NewSensitive(key)}}
}

// id is that of a gateway.
func id(name string) string { return "spiffe://" + name + "/ns/egress/sa/ebbgate" }

// link makes a gateway that serves far at api.test.
func (m *mesh) link(name string, far string) *link {
	m.t.Helper()
	seen := make(passages, 1000)
	s, err := New(Config{Kinds: []*policy.Kind{ways()}, Observer: seen, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			m.t.Error(err)
		}
	})
	l := &link{t: m.t, server: s, name: name, port: freePort(m.t), seen: seen}
	_, listener := m.pair(ca.Leaf{DNSNames: []string{name + ".test"}}, m.servers)
	_, client := m.pair(ca.Leaf{Client: true, URIs: []string{id(name)}}, m.ids)
	listener.Name, client.Name = "Secret/ai/listener", "Secret/ai/client"
	bundle := func(name string, authority *ca.CA) *plan.Secret {
		return &plan.Secret{Name: name, Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(authority.PEM())}}
	}
	g := &plan.Gateway{
		Name: "ai/egress", Class: "ebbgate", ClientCertificate: "Secret/ai/client",
		Listeners: []*plan.Listener{{Name: "https", Port: l.port, Protocol: plan.HTTPS, Certificates: []string{listener.Name}}},
	}
	for _, domain := range []string{"workloads", "edge", "hub", "top"} {
		g.SPIFFE = append(g.SPIFFE, plan.SPIFFESource{TrustDomain: domain, Bundle: "ConfigMap/ai/ids"})
	}
	l.plan = &plan.Plan{
		Gateways: []*plan.Gateway{g},
		Secrets:  []*plan.Secret{listener, client, bundle("ConfigMap/ai/ids", m.ids), bundle("ConfigMap/ai/servers", m.servers)},
		Backends: []*plan.Backend{literal("api", "api.test", far)},
		Rules: []*plan.Rule{{
			Name: "HTTPRoute/ai/r#0", Route: "HTTPRoute/ai/r", Parents: []plan.Parent{{Gateway: g.Name, Listener: "https"}},
			Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/"}}},
			Backends: []plan.RuleBackend{{Backend: "Backend/ai/api", Weight: 1}},
		}},
	}
	return l
}

// literal is a Backend with a hostname, at an address.
func literal(name, hostname, address string) *plan.Backend {
	a := netip.MustParseAddrPort(address)
	return &plan.Backend{
		Name: "Backend/ai/" + name, Origin: plan.Literal, Protocol: plan.HTTP, Hostname: hostname, Port: int(a.Port()),
		Addresses: []plan.Endpoint{{Address: a.Addr().String(), Port: int(a.Port())}},
	}
}

// through makes a gateway the only way out.
func (l *link) through(next *link, form policy.Form, regions ...[]string) {
	hub := literal("hub", next.name+".test", fmt.Sprintf("127.0.0.1:%d", next.port))
	hub.TLS = &plan.TLS{Hostname: next.name + ".test", Roots: []string{"ConfigMap/ai/servers"}, GatewayCertificate: true}
	l.plan.Backends = append(l.plan.Backends, hub)
	l.plan.Policies = append(l.plan.Policies, wayOf(plan.TargetGateway, "ai/egress", way{Parent: &policy.Parent{Backend: hub.Name, Form: form}, Regions: regions}))
}

func (l *link) trusts(peers ...plan.Peer) { l.plan.Gateways[0].Peers = peers }

func (l *link) serve() {
	l.t.Helper()
	if err := l.server.Update(l.t.Context(), l.plan); err != nil {
		l.t.Fatal(err)
	}
}

func (l *link) last() passage {
	l.t.Helper()
	select {
	case p := <-l.seen:
		return p
	case <-time.After(10 * time.Second):
		l.t.Fatal(l.name + ": no exchange ended")
		panic("unreachable")
	}
}

// asks sends a request as the workload of the id.
func (m *mesh) asks(l *link, spiffe string, fields ...string) (int, string, error) {
	m.t.Helper()
	pair, _ := m.pair(ca.Leaf{Client: true, URIs: []string{spiffe}}, m.ids)
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: m.servers.Pool(), ServerName: l.name + ".test", Certificates: []tls.Certificate{pair}},
	}
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, fmt.Sprintf("https://127.0.0.1:%d/v1/x?a=1", l.port), strings.NewReader("hello"))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Host = "api.test"
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

const invoice = "spiffe://workloads/ns/payments/sa/invoice"

// TestAChainOfThree: whose request it is, where its data may go and how far it has come is the same at all three; the far
// side is told none of it.
func TestAChainOfThree(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)})
	m := newMesh(t)
	edge, hub, top := m.link("edge", far.Addr()), m.link("hub", far.Addr()), m.link("top", far.Addr())
	edge.through(hub, policy.FormOrigin, []string{"eu-*", "uk-1"})
	hub.through(top, "", []string{"eu-west-*"})
	hub.trusts(plan.Peer{SPIFFE: id("edge"), Cluster: "edge", Namespaces: []string{"payments"}})
	top.trusts(plan.Peer{SPIFFE: id("hub"), Namespaces: []string{"*"}})
	for _, l := range []*link{edge, hub, top} {
		l.serve()
	}
	if status, body, err := m.asks(edge, invoice); status != http.StatusOK || len(body) != 10 || err != nil {
		t.Fatal(status, body, err)
	}
	at := []passage{edge.last(), hub.last(), top.last()}
	for i, want := range []passage{
		{client: "payments/invoice", source: exchange.SourceSPIFFE, parent: "Backend/ai/hub"},
		{client: "edge/payments/invoice", source: exchange.SourcePeer, parent: "Backend/ai/hub"},
		{client: "edge/payments/invoice", source: exchange.SourcePeer},
	} {
		if got := at[i]; got.client != want.client || got.source != want.source || got.parent != want.parent || got.status != 200 || got.hop.Depth != i || got.tries != 1 {
			t.Errorf("gateway %d noted %+v", i, got)
		}
	}
	if got := fmt.Sprint(at[1].hop.Regions, at[2].hop.Regions); got != "[[eu-* uk-1]] [[eu-* uk-1] [eu-west-*]]" {
		t.Errorf("regions %s", got)
	}
	if at[2].hop.Attempt != 1 || at[2].hop.Retries != 2 {
		t.Errorf("at the top %+v", at[2].hop)
	}
	seen := far.Requests()[0]
	if seen.Host != "api.test:"+far.Addr()[strings.LastIndexByte(far.Addr(), ':')+1:] || seen.Target != "/v1/x?a=1" || len(seen.Values("Ebbgate-Hop")) != 0 || len(seen.Values("Via")) != 3 {
		t.Errorf("the far side saw %s %s %v", seen.Host, seen.Target, seen.Lines)
	}
	top.trusts(plan.Peer{SPIFFE: id("hub"), Cluster: "west", Namespaces: []string{"*"}})
	g := *top.plan.Gateways[0]
	top.plan.Gateways[0] = &g
	top.serve()
	if status, _, _ := m.asks(hub, "spiffe://workloads/ns/own/sa/x"); status != 200 {
		t.Fatal(status)
	}
	if got := top.last(); got.client != "west/own/x" {
		t.Errorf("a client of the hub's own cluster is %s", got.client)
	}
	if status, _, _ := m.asks(edge, invoice); status != 200 {
		t.Fatal(status)
	}
	if got := top.last(); got.client != "west/edge/payments/invoice" {
		t.Errorf("a client behind the hub's cluster is %s", got.client)
	}
}

// TestARingEnds: at the first gateway that is passed twice, if all add their names, and by depth if they forget.
func TestARingEnds(t *testing.T) {
	f := func(n int, named bool, want int) {
		t.Helper()
		m := newMesh(t)
		names := []string{"edge", "hub", "top"}[:n]
		links := make([]*link, n)
		for i, name := range names {
			links[i] = m.link(name, "127.0.0.1:1")
		}
		for i, l := range links {
			l.through(links[(i+1)%n], policy.FormOrigin)
			l.trusts(plan.Peer{SPIFFE: id(names[(i+n-1)%n]), Namespaces: []string{"*"}})
			if !named { // as where a proxy between them drops it
				l.plan.Rules[0].Filters = []plan.Filter{{RequestHeaders: &plan.HeaderModifier{Remove: []string{"Via"}}}}
			}
			l.serve()
		}
		status, body, err := m.asks(links[0], invoice)
		if status != http.StatusLoopDetected || !strings.Contains(body, "loop_detected") || err != nil {
			t.Errorf("%d gateways: %d %s %v", n, status, body, err)
		}
		refused := 0
		for i := range want {
			if got := links[i%n].last(); got.reason == exchange.LoopDetected {
				refused++
			}
		}
		for _, l := range links {
			if refused != 1 || len(l.seen) > 0 {
				t.Errorf("%d gateways: %d refused, and %s was passed %d times more", n, refused, l.name, len(l.seen))
			}
		}
	}
	f(1, true, 2)
	f(2, true, 3)
	f(3, true, 4)
	f(2, false, 6)
}

// TestAForgedHop is ignored and goes no further, and changes nobody's name.
func TestAForgedHop(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	m := newMesh(t)
	edge, hub := m.link("edge", far.Addr()), m.link("hub", far.Addr())
	edge.through(hub, policy.FormOrigin)
	hub.trusts(plan.Peer{SPIFFE: id("edge"), Cluster: "edge", Namespaces: []string{"payments"}})
	edge.serve()
	hub.serve()
	const forged = `name="edge", depth=1, attempt=1, retries=0, client=("" "admin" "root"), regions=("us-*")`
	f := func(l *link, spiffe string, status int, want string, fields ...string) {
		t.Helper()
		got, _, err := m.asks(l, spiffe, fields...)
		seen := l.last()
		if got != status || seen.client != want || err != nil {
			t.Errorf("%s: %d, %+v, %v; want %d, %s", spiffe, got, seen, err, status, want)
		}
		if seen.hop.Depth > 0 != (spiffe == id("edge") && status != 400) {
			t.Errorf("%s: hop %+v", spiffe, seen.hop)
		}
	}
	f(hub, invoice, 200, "payments/invoice", "Ebbgate-Hop", forged)
	f(hub, invoice, 200, "payments/invoice", "Ebbgate-Hop", "nonsense")
	f(hub, id("top"), 200, "egress/ebbgate", "Ebbgate-Hop", forged)     // verified, and no peer
	f(hub, id("edge"), 200, "unknown/unknown", "Ebbgate-Hop", forged)   // for a namespace that it may not speak for
	f(hub, id("edge"), 400, "unknown/unknown", "Ebbgate-Hop", "broken") // a peer's word must be readable
	f(hub, id("edge"), 400, "unknown/unknown", "Ebbgate-Hop", forged, "Ebbgate-Hop", forged)
	for _, seen := range far.Requests() {
		if v := seen.Values("Ebbgate-Hop"); len(v) > 0 {
			t.Errorf("the far side saw %v", v)
		}
	}
	if status, _, _ := m.asks(edge, invoice, "Ebbgate-Hop", forged); status != 200 {
		t.Fatal(status)
	}
	if got := hub.last(); got.client != "edge/payments/invoice" || len(got.hop.Regions) != 0 {
		t.Errorf("through the edge: %+v", got)
	}
	f(hub, id("edge"), 508, "unknown/unknown", "Ebbgate-Hop", strings.Replace(forged, "depth=1", "depth=5", 1))
}

// TestAParentThatDies within an answer ends it for the client to see, and is not asked again.
func TestAParentThatDies(t *testing.T) {
	gate := make(chan struct{})
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Stream(100, gate)})
	m := newMesh(t)
	edge, hub := m.link("edge", far.Addr()), m.link("hub", far.Addr())
	edge.through(hub, policy.FormOrigin)
	edge.serve()
	hub.serve()
	go func() {
		gate <- struct{}{}
		gate <- struct{}{}
		far.CloseConnections()
	}()
	status, body, err := m.asks(edge, invoice)
	if status != 200 || err == nil {
		t.Errorf("%d, %d bytes and a clean end: %v", status, len(body), err)
	}
	if got := edge.last(); got.aborted != string(exchange.UpstreamReset) || got.tries != 1 || far.Heads() != 1 {
		t.Errorf("noted %+v; %d requests", got, far.Heads())
	}
}

// TestAParentsFailureIsNotRepeated: what it has got it may have passed on; what it never got goes to another address of it.
func TestAParentsFailureIsNotRepeated(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Status(http.StatusServiceUnavailable, "Retry-After", "1")})
	m := newMesh(t)
	edge := m.link("edge", far.Addr())
	hub := literal("hub", "hub.test", far.Addr())
	hub.Addresses = append([]plan.Endpoint{{Address: "127.0.0.1", Port: freePort(t)}}, hub.Addresses...)
	edge.plan.Backends = append(edge.plan.Backends, hub, literal("other", "other.test", far.Addr()))
	edge.plan.Rules[0].Backends = append(edge.plan.Rules[0].Backends, plan.RuleBackend{Backend: "Backend/ai/other", Weight: 1})
	edge.plan.Policies = []*plan.Policy{wayOf(plan.TargetGateway, "ai/egress", way{Parent: &policy.Parent{Backend: hub.Name, Form: policy.FormOrigin}})}
	edge.serve()
	for n := 1; n <= 4; n++ {
		if status, _, err := m.asks(edge, invoice); status != http.StatusServiceUnavailable || err != nil {
			t.Errorf("%d %v", status, err)
		}
		if got := edge.last(); got.tries != 1 || far.Heads() != n || got.address != far.Addr() {
			t.Errorf("%d: noted %+v; %d requests", n, got, far.Heads())
		}
	}
}
