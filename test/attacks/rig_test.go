package attacks

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// patience bounds a wait that ends at once where all is well.
const patience = 20 * time.Second

// far is a far side as the gateway reaches it, and by which host: empty, by any.
type far struct {
	host     string
	address  string
	protocol plan.Protocol
}

// gateway is a proxy on two free ports.
type gateway struct {
	plain, secure string
	trust         *tls.Config
}

type silent struct{}

func (silent) End(*exchange.Exchange)                                    {}
func (silent) AuditBody(*exchange.Exchange, []byte, func([]byte) []byte) {}

// serve starts a gateway that knows a route for each host, and nothing else.
func serve(t *testing.T, far ...far) *gateway {
	t.Helper()
	s, err := proxy.New(proxy.Config{Observer: silent{}, Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("what began has not ended: %v", err)
		}
	})
	authority, ports := testkit.CA(t, "gateway"), testkit.Ports(t, 2)
	pair := testkit.Loopback(t, authority, "gateway.test")
	key, err := ca.KeyPEM(pair)
	check(t, err)
	const certificate = "Secret/t/certificate"
	p := &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "t/g", Class: "ebbgate", Listeners: []*plan.Listener{
			{Name: "plain", Port: ports[0], Protocol: plan.HTTP},
			{Name: "secure", Port: ports[1], Protocol: plan.HTTPS, Certificates: []string{certificate}},
		}}},
		Secrets: []*plan.Secret{{Name: certificate, Data: map[string]plan.Sensitive{
			"tls.crt": plan.NewSensitive(ca.CertificatePEM(pair)), "tls.key": plan.NewSensitive(key),
		}}},
	}
	for i, f := range far {
		b := backend(f)
		var hostnames []string // of a far side without a host: all
		if f.host != "" {
			hostnames = []string{f.host}
		}
		p.Backends = append(p.Backends, b)
		p.Rules = append(p.Rules, &plan.Rule{
			Name: fmt.Sprintf("HTTPRoute/t/r%d#0", i), Route: fmt.Sprintf("HTTPRoute/t/r%d", i), Hostnames: hostnames,
			Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/"}}},
			Parents:  []plan.Parent{{Gateway: "t/g", Listener: "plain"}, {Gateway: "t/g", Listener: "secure"}},
			Backends: []plan.RuleBackend{{Backend: b.Name, Weight: 1}},
		})
	}
	check(t, s.Update(t.Context(), p))
	return &gateway{
		plain: fmt.Sprintf("127.0.0.1:%d", ports[0]), secure: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		trust: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12},
	}
}

// serveTargets starts a gateway before all the far sides that requests are sent to.
func serveTargets(t *testing.T) (*gateway, []target) {
	t.Helper()
	list := targets(t)
	var fars []far
	for _, f := range list {
		fars = append(fars, f.far)
	}
	return serve(t, fars...), list
}

func backend(f far) *plan.Backend {
	a := netip.MustParseAddrPort(f.address)
	return &plan.Backend{
		Name: "Backend/t/" + f.host, Origin: plan.Literal, Hostname: cmp.Or(f.host, "any.test"), Port: int(a.Port()), Protocol: f.protocol,
		Addresses: []plan.Endpoint{{Address: a.Addr().String(), Port: int(a.Port())}},
	}
}

// dial connects to a listener, over TLS where it is the secure one.
func (g *gateway) dial(t *testing.T, address string) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	if address == g.secure {
		conn, err = (&tls.Dialer{Config: g.trust}).DialContext(t.Context(), "tcp", address)
	} else {
		conn, err = new(net.Dialer).DialContext(t.Context(), "tcp", address)
	}
	check(t, err)
	check(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
