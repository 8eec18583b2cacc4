package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/credential"
	"github.com/ebbgate/ebbgate/internal/policy/dns"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/dnsserver"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// A client that does not read holds neither its exchange past the request's time nor the process.
func TestAClientThatDoesNotReadIsBounded(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(64 << 20)})
	r := newRig(t, nil, service("far", far.Addr()))
	limited := *r.plan.Rules[0]
	limited.Timeouts.Request = time.Second
	r.plan.Rules[0] = &limited
	r.update()
	c := r.connect()
	defer c.Close()
	if _, err := io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r.seen.last(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.sockets.Drain(ctx); err != nil {
		t.Error(err)
	}
}

// HTTP/1.0 has no framing that would show the cut: the connection must, and over TLS its end must not be a clean one.
func TestACutAnswerOverTLSIsNeverWhole(t *testing.T) {
	far := testkit.Fault(t, upstream.FaultConfig{Kind: upstream.CutChunked})
	r := newRig(t, nil, service("far", far.Addr()))
	root := testkit.CA(t, "root")
	leaf := testkit.Issue(t, root, ca.Leaf{DNSNames: []string{"gw.test"}})
	key, err := ca.KeyPEM(leaf)
	if err != nil {
		t.Fatal(err)
	}
	g := *r.plan.Gateways[0]
	l := plan.Listener{Name: "https", Port: freePort(t), Protocol: plan.HTTPS, Certificates: []string{"Secret/t/c"}}
	g.Listeners = []*plan.Listener{&l}
	r.plan.Gateways[0] = &g
	rule := *r.plan.Rules[0]
	rule.Parents = []plan.Parent{{Gateway: g.Name, Listener: l.Name}}
	r.plan.Rules[0] = &rule
	r.plan.Secrets = []*plan.Secret{{Name: "Secret/t/c", Data: map[string]plan.Sensitive{
		"tls.crt": plan.NewSensitive(ca.CertificatePEM(leaf)), "tls.key": plan.NewSensitive(key),
	}}}
	r.update()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: root.Pool(), ServerName: "gw.test"}}
	for range 10 {
		c, err := dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", l.Port))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /0 HTTP/1.0\r\nHost: gw.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err == nil {
			t.Errorf("a clean end behind %q", got)
		}
		_ = c.Close()
	}
}

// The names of a wildcard come from requests, whose buffers are used again: what is cached must be a copy.
func TestNamesOfAWildcardAreKept(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	server := testkit.DNS(t, dnsserver.Config{})
	hosts := []string{"aaaa.example.test", "bbbb.example.test"}
	for _, host := range hosts {
		if err := server.Set(host, dnsserver.Address("127.0.0.1", 300)); err != nil {
			t.Fatal(err)
		}
	}
	a := netip.MustParseAddrPort(far.Addr())
	b := &plan.Backend{Name: "Backend/t/w", Origin: plan.Resolved, Hostname: "*.example.test", Port: int(a.Port()), Protocol: plan.HTTP11}
	r := newRig(t, order.Kinds(), b)
	r.plan.Policies = []*plan.Policy{{
		Name: "DNSPolicy/t/d", Kind: "DNSPolicy", Targets: []plan.Target{{Kind: plan.TargetBackend, Name: b.Name}},
		Config: &dns.Config{
			Resolvers: []dns.Resolver{{Address: netip.MustParseAddrPort(server.Addr())}}, Family: "IPv4",
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
	}}
	r.update()
	for range 10 {
		c := r.connect()
		in := bufio.NewReader(c)
		for _, host := range hosts {
			if _, err := io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(res.Status, err)
			}
			_ = res.Body.Close()
		}
		_ = c.Close()
	}
	for _, host := range hosts {
		if n := server.Queries(host, ""); n != 1 {
			t.Errorf("%s was asked for %d times, want once", host, n)
		}
	}
}

// injected adds a CredentialInjector for the rig's first backend.
func (r *rig) injected(key string) {
	r.t.Helper()
	r.plan.Secrets = []*plan.Secret{{Name: "Secret/t/key", Data: map[string]plan.Sensitive{"token": plan.NewSensitive([]byte(key))}}}
	r.plan.Policies = []*plan.Policy{{
		Name: "CredentialInjector/t/c", Kind: "CredentialInjector", Targets: []plan.Target{{Kind: plan.TargetPort, Name: r.plan.Backends[0].Name}},
		Config: &credential.Config{Type: "APIKey", APIKey: &credential.APIKey{
			Reference: credential.Reference{Secret: "Secret/t/key", Key: "token"}, Header: "Authorization",
		}},
	}}
	r.update()
}

// A destination that rejects the key and then dawdles does not hold the client; what it said goes to the audit log.
func TestARejectedCredentialIsAnsweredSoon(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nbad key sk-very-secret")
		_, _ = io.Copy(io.Discard, c) // until the gateway ends it
	}()
	r := newRig(t, order.Kinds(), service("far", l.Addr().String()))
	r.injected("sk-very-secret")
	if answer := r.raw("GET /0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 502") || strings.Contains(answer, "sk-very") {
		t.Errorf("%q", answer)
	}
	if len(r.seen.bodies) != 1 || !strings.Contains(r.seen.bodies[0], "bad key") || strings.Contains(r.seen.bodies[0], "sk-very-secret") {
		t.Errorf("audited %q", r.seen.bodies)
	}
}

// TRACE is answered with the request, the credential included.
func TestTraceDoesNotShowTheCredential(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Echo()})
	r := newRig(t, order.Kinds(), service("far", far.Addr()))
	r.injected("sk-very-secret")
	if answer := r.raw("TRACE /0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 403") {
		t.Errorf("%.200q", answer)
	}
	if n := far.Heads(); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

// What follows a CONNECT may be meant for the tunnel: it is no request of the client's.
func TestARefusedConnectEndsTheConnection(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	r := newRig(t, nil, service("far", far.Addr()))
	answer := r.raw("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nGET /0/inner HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if n := strings.Count(answer, "HTTP/1.1 "); n != 1 || far.Heads() != 0 {
		t.Errorf("%d answers, %d requests left", n, far.Heads())
	}
}
