package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// namer is an Observer that passes on who asked.
type namer chan exchange.Client

func (n namer) End(x *exchange.Exchange) {
	c := x.Client
	c.SPIFFE = strings.Clone(c.SPIFFE)
	n <- c
}
func (namer) AuditBody(*exchange.Exchange, []byte, func([]byte) []byte) {}

// lines passes on what is logged, as long as there is room.
type lines chan string

func (lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) Handle(_ context.Context, r slog.Record) error {
	select {
	case l <- r.Message:
	default:
	}
	return nil
}
func (l lines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l lines) WithGroup(string) slog.Handler      { return l }

// gate is a server with HTTPS listeners, and a CA that certifies them. Its only rule redirects.
type gate struct {
	t      *testing.T
	server *Server
	own    *ca.CA
	plan   *plan.Plan
	port   int
	seen   namer
	logged lines
	last   string // the local address of a test's last connection
}

func newGate(t *testing.T, listeners ...*plan.Listener) *gate {
	t.Helper()
	seen := make(namer, 100)
	logged := make(lines, 100)
	s, err := New(Config{Observer: seen, Logger: slog.New(logged)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	g := &gate{t: t, server: s, own: testkit.CA(t, "listeners"), port: freePort(t), seen: seen, logged: logged}
	rule := &plan.Rule{
		Name: "HTTPRoute/t/r#0", Route: "HTTPRoute/t/r", Matches: []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/"}}},
		Filters: []plan.Filter{{Redirect: &plan.Redirect{Hostname: "elsewhere.test", Status: 302}}},
	}
	for _, l := range listeners {
		l.Port, l.Protocol, l.Certificates = g.port, plan.HTTPS, []string{"Secret/t/" + l.Name}
		rule.Parents = append(rule.Parents, plan.Parent{Gateway: "t/g", Listener: l.Name})
	}
	g.plan = &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "t/g", Class: "ebbgate", Listeners: listeners}},
		Rules:    []*plan.Rule{rule},
	}
	for _, l := range listeners {
		pair := testkit.Issue(t, g.own, ca.Leaf{DNSNames: []string{strings.Replace(l.Hostname, "*", "a", 1)}})
		key, err := ca.KeyPEM(pair)
		if err != nil {
			t.Fatal(err)
		}
		g.object("Secret/t/"+l.Name, "tls.crt", ca.CertificatePEM(pair), "tls.key", key)
	}
	return g
}

// object puts a Secret or ConfigMap into the plan, in the place of the one of its name.
func (g *gate) object(name string, data ...any) {
	s := &plan.Secret{Name: name, Data: map[string]plan.Sensitive{}}
	for i := 0; i < len(data); i += 2 {
		s.Data[data[i].(string)] = plan.NewSensitive(data[i+1].([]byte))
	}
	g.remove(name)
	g.plan.Secrets = append(g.plan.Secrets, s)
}

func (g *gate) remove(name string) {
	var kept []*plan.Secret
	for _, s := range g.plan.Secrets {
		if s.Name != name {
			kept = append(kept, s)
		}
	}
	g.plan.Secrets = kept
}

// update serves the plan; what went wrong must name every one of the texts.
func (g *gate) update(problems ...string) {
	g.t.Helper()
	err := g.server.Update(g.t.Context(), g.plan)
	if (err != nil) != (len(problems) > 0) {
		g.t.Fatalf("update: %v, want %q", err, problems)
	}
	for _, text := range problems {
		if !strings.Contains(err.Error(), text) {
			g.t.Errorf("update: %v, want %q", err, text)
		}
	}
}

// caller is a client with, or without, a certificate, which resumes its TLS sessions.
type caller struct{ config *tls.Config }

func (g *gate) caller(name string, certificates ...tls.Certificate) *caller {
	c := &tls.Config{RootCAs: g.own.Pool(), ServerName: name, NextProtos: []string{"http/1.1"}, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if len(certificates) > 0 { // whatever CAs the server names
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
	}
	return &caller{c}
}

// get asks on a connection of its own. It returns how the handshake went, and who the server took the client for: nil
// where the server would not have it.
func (g *gate) get(c *caller, fields ...string) (*tls.ConnectionState, *exchange.Client) {
	g.t.Helper()
	transport := &http.Transport{TLSClientConfig: c.config, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "https://127.0.0.1:"+strconv.Itoa(g.port)+"/", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Host = c.config.ServerName
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		if strings.Contains(err.Error(), "refused") {
			g.t.Fatal(err)
		}
		return nil, nil
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusFound {
		g.t.Fatalf("status %d", res.StatusCode)
	}
	client := <-g.seen
	return res.TLS, &client
}

func TestClientCertificates(t *testing.T) {
	g := newGate(t, &plan.Listener{Name: "strict", Hostname: "strict.test", Clients: &plan.ClientValidation{Roots: []string{"ConfigMap/t/clients"}}},
		&plan.Listener{Name: "lax", Hostname: "*.lax.test", Clients: &plan.ClientValidation{Roots: []string{"ConfigMap/t/clients"}, Insecure: true}},
		&plan.Listener{Name: "open", Hostname: "open.test"},
		&plan.Listener{Name: "void", Hostname: "void.test", Clients: &plan.ClientValidation{}},
		&plan.Listener{Name: "lost", Hostname: "lost.test", Clients: &plan.ClientValidation{Roots: []string{"Secret/t/gone"}}})
	clients := testkit.CA(t, "clients")
	g.object("ConfigMap/t/clients", "ca.crt", clients.PEM())
	g.update("listener void: roots for client certificates: there are none", "listener lost: roots for client certificates: Secret/t/gone")

	good := testkit.Issue(t, clients, ca.Leaf{Client: true, URIs: []string{"spiffe://td/ns/ai/sa/batch"}})
	foreign := testkit.Issue(t, testkit.CA(t, "clients"), ca.Leaf{Client: true})
	server := testkit.Issue(t, clients, ca.Leaf{})
	expired := testkit.Issue(t, clients, ca.Leaf{Client: true, NotAfter: time.Now().Add(-time.Minute)})
	f := func(name string, served bool, certificates ...tls.Certificate) {
		t.Helper()
		state, client := g.get(g.caller(name, certificates...))
		if (client != nil) != served {
			t.Fatalf("%s: served %t, want %t", name, client != nil, served)
		}
		if client == nil {
			return
		}
		if client.Source != exchange.SourceLoopback || client.SPIFFE != "" { // no trust domain is configured: nobody is named
			t.Errorf("%s: %+v", name, client)
		}
		if state.NegotiatedProtocol != "http/1.1" || state.PeerCertificates[0].DNSNames[0] != name {
			t.Errorf("%s: protocol %q, certificate %v", name, state.NegotiatedProtocol, state.PeerCertificates[0].DNSNames)
		}
	}
	f("strict.test", true, good)
	f("strict.test", false)
	f("strict.test", false, foreign)
	f("strict.test", false, server)
	f("strict.test", false, expired)
	f("a.lax.test", true, good)
	f("a.lax.test", true)
	f("a.lax.test", true, foreign)
	f("a.lax.test", true, expired)
	f("open.test", true)
	f("open.test", true, foreign)
	for _, name := range []string{"void.test", "lost.test", "nobody.test", strings.Repeat("a.", 200) + "lax.test"} {
		f(name, false)
		f(name, false, good)
	}
	for range 12 { // as many as were not served
		for <-g.logged != "handshake with client" {
		}
	}
	got := map[string]int64{}
	g.server.Refused(func(_, reason string, n int64) { got[reason] += n })
	want := map[string]int64{"client_certificate": 4, "no_listener": 4, "other": 4, "protocol": 0, "timeout": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSessionsDoNotOutliveTheirSetting(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		l := &plan.Listener{Name: "a", Hostname: "a.test", Clients: &plan.ClientValidation{Roots: []string{"ConfigMap/t/clients"}, Insecure: true}}
		g := newGate(t, l)
		ours, next := testkit.CA(t, "clients"), testkit.CA(t, "clients")
		g.object("ConfigMap/t/clients", "ca.crt", ours.PEM())
		g.update()
		c := g.caller("a.test", testkit.Issue(t, ours, ca.Leaf{Client: true}))
		c.config.MaxVersion = version
		f := func(what string, served, resumed bool) {
			t.Helper()
			state, client := g.get(c)
			if (client != nil) != served || state != nil && state.DidResume != resumed {
				t.Fatalf("TLS %x, %s: served %t, state %+v", version, what, client != nil, state)
			}
		}
		f("first", true, false)
		f("again", true, true)
		g.update()
		f("another table", true, true)

		strict := *l
		strict.Clients = &plan.ClientValidation{Roots: []string{"ConfigMap/t/clients"}}
		gateway := *g.plan.Gateways[0]
		gateway.Listeners = []*plan.Listener{&strict}
		g.plan.Gateways = []*plan.Gateway{&gateway}
		g.update()
		f("verified now", true, false)
		f("verified, again", true, true)
		g.object("ConfigMap/t/clients", "ca.crt", next.PEM())
		g.update()
		f("under other roots", false, false)
		f("and again", false, false)
		g.remove("ConfigMap/t/clients")
		g.update("ConfigMap/t/clients")
		f("without roots", false, false)
		g.object("ConfigMap/t/clients", "ca.crt", ours.PEM())
		g.update()
		f("under the first roots", true, false)
	}
}

// A client is judged anew, on the connection that it has, once the setting under which it was let in has changed.
func TestConnectionsDoNotOutliveTheirSetting(t *testing.T) {
	g := newGate(t, &plan.Listener{Name: "a", Hostname: "a.test", Clients: &plan.ClientValidation{Roots: []string{"ConfigMap/t/clients"}}})
	clients := testkit.CA(t, "clients")
	g.object("ConfigMap/t/clients", "ca.crt", clients.PEM())
	g.update()
	f := func(protocol string) {
		t.Helper()
		config := g.caller("a.test", testkit.Issue(t, clients, ca.Leaf{Client: true})).config
		config.NextProtos = []string{protocol}
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: protocol == "h2"}
		defer transport.CloseIdleConnections()
		get := func(want string, status int) {
			t.Helper()
			var local string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { local = i.Conn.LocalAddr().String() }})
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+strconv.Itoa(g.port)+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "a.test"
			res, err := transport.RoundTrip(req)
			if (err == nil) != (want != "refused") {
				t.Fatalf("%s: %v, want %s", protocol, err, want)
			}
			if err == nil {
				if res.StatusCode != status {
					t.Errorf("%s: %d, want %d", protocol, res.StatusCode, status)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				<-g.seen
			}
			if want != "refused" && want != "" && local != want {
				t.Errorf("%s: on another connection", protocol)
			}
			g.last = local
		}
		get("", http.StatusFound)
		get(g.last, http.StatusFound)
		g.update()
		get(g.last, http.StatusFound)
		other := testkit.CA(t, "clients").PEM()
		g.object("ConfigMap/t/clients", "ca.crt", append(bytes.Clone(other), clients.PEM()...))
		g.update()
		get(g.last, http.StatusFound) // by the same authority, and its connection goes
		get("", http.StatusFound)
		g.object("ConfigMap/t/clients", "ca.crt", other)
		g.update()
		get(g.last, http.StatusMisdirectedRequest)
		get("refused", 0)
		g.object("ConfigMap/t/clients", "ca.crt", clients.PEM())
		g.update()
	}
	f("http/1.1")
	f("h2")
}

func TestSPIFFENamesClientsOfListeners(t *testing.T) {
	g := newGate(t, &plan.Listener{Name: "a", Hostname: "a.test"})
	gateway := g.plan.Gateways[0]
	gateway.SPIFFE = []plan.SPIFFESource{{TrustDomain: "td", Bundle: "ConfigMap/t/bundle"}}
	gateway.Peers = []plan.Peer{{SPIFFE: "spiffe://td/edge", Cluster: "edge", Namespaces: []string{"*"}}}
	gateway.Identity = []plan.StaticSource{{CIDR: "10.0.0.0/8", Namespace: "ai", ServiceAccount: "remote"}}
	td, next := testkit.CA(t, "td"), testkit.CA(t, "td")
	g.object("ConfigMap/t/bundle", "ca.crt", td.PEM())
	g.update()
	f := func(c *caller, want string, resumed bool, fields ...string) {
		t.Helper()
		state, client := g.get(c, fields...)
		if client == nil || client.String() != want || state.DidResume != resumed {
			t.Fatalf("%+v, %+v, want %s", client, state, want)
		}
	}
	batch := g.caller("a.test", testkit.Issue(t, td, ca.Leaf{Client: true, URIs: []string{"spiffe://td/ns/ai/sa/batch"}}))
	f(batch, "ai/batch", false)
	f(batch, "ai/batch", true)
	f(batch, "ai/batch", true, "Forwarded", "for=10.0.0.1")
	peer := g.caller("a.test", testkit.Issue(t, td, ca.Leaf{Client: true, URIs: []string{"spiffe://td/edge"}}))
	f(peer, "edge/ai/remote", false, "Forwarded", "for=192.0.2.1, for=10.0.0.1")
	f(peer, "unknown/unknown", true, "Forwarded", "for=192.0.2.1")
	f(g.caller("a.test"), "local/local", false)
	f(g.caller("a.test", testkit.Issue(t, next, ca.Leaf{Client: true, URIs: []string{"spiffe://td/ns/ai/sa/batch"}})), "local/local", false)

	g.object("ConfigMap/t/bundle", "ca.crt", next.PEM())
	g.update()
	f(batch, "local/local", false)
	g.object("ConfigMap/t/bundle", "ca.crt", []byte("nonsense"))
	g.update("bundle of trust domain td: ConfigMap/t/bundle")
	f(batch, "local/local", false)
}
