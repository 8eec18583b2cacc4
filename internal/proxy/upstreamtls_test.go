package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// verified is a policy of a kind that says how a backend is verified.
type verified struct {
	TLS *plan.TLS `policy:"setting"`
}

func (v *verified) Tune(s *policy.Settings) { s.TLS = v.TLS }

// pair is a Secret with a client certificate of an authority.
func pair(t *testing.T, authority *ca.CA, name, uri string) *plan.Secret {
	t.Helper()
	leaf, err := authority.Issue(ca.Leaf{URIs: []string{uri}, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.KeyPEM(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Secret{Name: name, Data: map[string]plan.Sensitive{
		"tls.crt": plan.NewSensitive(ca.CertificatePEM(leaf)), "tls.key": plan.NewSensitive(key),
	}}
}

// TestTheCertificateOfTheGateway: a setting that asks for it presents it, its own wins over it, and where it must be
// presented and is not to be had nothing is dialled.
func TestTheCertificateOfTheGateway(t *testing.T) {
	authority, err := ca.New("backends")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(ca.Leaf{DNSNames: []string{"inside.test"}})
	if err != nil {
		t.Fatal(err)
	}
	up, err := upstream.New(upstream.Config{
		Certificate: leaf, ClientCAs: authority.Pool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Close() })
	kind := &policy.Kind{Name: "Verified", Config: func() any { return new(verified) }, Apply: func(_ policy.Env, config any) (any, error) {
		if config.(*verified).TLS == nil {
			return nil, nil
		}
		return config, nil
	}}
	unreadable := false
	f := func(gateway plan.Gateway, own, policys *plan.TLS, status int, body string) {
		t.Helper()
		backend := service("b", netip.MustParseAddrPort(up.Addr()).String())
		r := newRig(t, []*policy.Kind{kind}, backend)
		secured := *backend
		secured.TLS = own
		g := *r.plan.Gateways[0]
		g.ClientCertificate, g.ClientFault = gateway.ClientCertificate, gateway.ClientFault
		p := *r.plan
		p.Gateways, p.Backends = []*plan.Gateway{&g}, []*plan.Backend{&secured}
		p.Secrets = []*plan.Secret{
			pair(t, authority, "Secret/t/gateway", "spiffe://t/gateway"), pair(t, authority, "Secret/t/own", "spiffe://t/own"),
			{Name: "ConfigMap/t/ca", Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(authority.PEM())}},
		}
		if policys != nil {
			p.Policies = []*plan.Policy{{
				Name: "Verified/t/p", Kind: "Verified", Targets: []plan.Target{{Kind: plan.TargetBackend, Name: "Service/t/b"}}, Config: &verified{policys},
			}}
		}
		if err := r.Update(t.Context(), &p); (err != nil) != unreadable {
			t.Error(err)
		}
		dialled := up.Connections()
		res, got := r.do("GET", "/0", "")
		if res.StatusCode == http.StatusOK {
			last := up.Accepted()[up.Connections()-1]
			got = last.SNI + " " + last.Client[0].URIs[0].String()
		}
		if res.StatusCode != status || !strings.Contains(got, body) {
			t.Errorf("%d %s, want %d %s", res.StatusCode, got, status, body)
		}
		if status == http.StatusInternalServerError {
			if reason := r.seen.last(t).reason; reason != exchange.BackendInvalid || up.Connections() != dialled {
				t.Errorf("%s, %d connections", reason, up.Connections()-dialled)
			}
		}
	}
	setting := func(change func(*plan.TLS)) *plan.TLS {
		s := &plan.TLS{Hostname: "inside.test", Roots: []string{"ConfigMap/t/ca"}, GatewayCertificate: true}
		change(s)
		return s
	}
	asks := setting(func(*plan.TLS) {})
	must := setting(func(s *plan.TLS) { s.Mutual = true })
	own := setting(func(s *plan.TLS) { s.ClientCertificate = "Secret/t/own" })
	system := &plan.TLS{Hostname: "inside.test", SystemRoots: true}
	has := plan.Gateway{ClientCertificate: "Secret/t/gateway"}
	broken := plan.Gateway{ClientFault: &plan.Fault{Message: "the Secret is gone"}}
	f(has, asks, nil, 200, "inside.test spiffe://t/gateway")
	f(has, must, nil, 200, "spiffe://t/gateway")
	f(has, own, nil, 200, "spiffe://t/own")
	f(has, nil, asks, 200, "inside.test spiffe://t/gateway")
	f(has, system, asks, 200, "spiffe://t/gateway")
	f(has, system, nil, 502, "")
	f(plan.Gateway{}, asks, nil, 502, "")
	f(plan.Gateway{}, must, nil, 500, "Gateway t/g, which has none")
	f(plan.Gateway{}, own, nil, 200, "spiffe://t/own")
	f(broken, asks, nil, 500, "the Secret is gone")
	f(broken, nil, asks, 500, "the Secret is gone")
	f(broken, own, nil, 200, "spiffe://t/own")
	unreadable = true
	f(plan.Gateway{ClientCertificate: "Secret/t/missing"}, asks, nil, 500, "cannot be used")
}
