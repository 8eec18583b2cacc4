package proxy

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/credential"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/tunnel"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// child is a rig whose Gateway has a parent, the Backend hub. Its only rule, under /0, changes path, host and a field.
func child(t *testing.T, form policy.Form, hub string, backends ...*plan.Backend) *rig {
	t.Helper()
	r := newRig(t, []*policy.Kind{ways(), credential.Kind()}, backends...)
	rule := *r.plan.Rules[0]
	rule.Filters = []plan.Filter{
		{Rewrite: &plan.Rewrite{Hostname: "rewritten.test", Path: &plan.PathModifier{Prefix: new("/v1")}}},
		{RequestHeaders: &plan.HeaderModifier{Set: []plan.HeaderValue{{Name: "X-Set", Value: "here"}}}},
	}
	r.plan.Rules[0] = &rule
	r.plan.Backends = append(r.plan.Backends, literal("hub", "hub.test", hub))
	r.plan.Policies = []*plan.Policy{
		wayOf(plan.TargetGateway, "t/g", way{Parent: &policy.Parent{Backend: "Backend/ai/hub", Form: form}}),
		key("Backend/ai/hub", "of-the-hub"), key("Backend/ai/api", "of-the-api"),
	}
	for _, name := range []string{"of-the-hub", "of-the-api"} {
		r.plan.Secrets = append(r.plan.Secrets, &plan.Secret{Name: "Secret/t/" + name, Data: map[string]plan.Sensitive{"token": plan.NewSensitive([]byte(name))}})
	}
	r.update()
	return r
}

// key is a CredentialInjector for a Backend. Its clients are the loopback client.
func key(backend, name string) *plan.Policy {
	return &plan.Policy{
		Name: "CredentialInjector/t/" + name, Kind: "CredentialInjector", Targets: []plan.Target{{Kind: plan.TargetBackend, Name: backend}},
		Config: &credential.Config{Type: "APIKey", APIKey: &credential.APIKey{Reference: credential.Reference{Secret: "Secret/t/" + name, Key: "token"}, Header: "Authorization"}},
	}
}

// secure gives a Backend of the plan TLS, and the plan its root.
func (r *rig) secure(backend string, root *ca.CA) {
	r.t.Helper()
	r.plan.Secrets = append(r.plan.Secrets, &plan.Secret{Name: "ConfigMap/t/root", Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(root.PEM())}})
	for i, b := range r.plan.Backends {
		if b.Name == backend {
			own := *b
			own.TLS = &plan.TLS{Hostname: b.Hostname, Roots: []string{"ConfigMap/t/root"}}
			r.plan.Backends[i] = &own
		}
	}
	r.update()
}

func (r *rig) ask(t *testing.T, want int) ended {
	t.Helper()
	answer := r.raw("POST /0/x?q=1 HTTP/1.1\r\nHost: asked.test\r\nAuthorization: mine\r\nForwarded: for=10.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	e := r.seen.last(t)
	if e.status != want {
		t.Errorf("%d (%s), want %d: %.300s", e.status, e.reason, want, answer)
	}
	return e
}

func TestFormOrigin(t *testing.T) {
	root := testkit.CA(t, "root")
	hub := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1), Certificate: testkit.Loopback(t, root, "hub.test")})
	r := child(t, policy.FormOrigin, hub.Addr(), literal("api", "api.test", "127.0.0.1:1"))
	r.plan.Gateways[0].Cluster = "here" // is not told: what it is called there the parent knows
	r.secure("Backend/ai/hub", root)
	r.ask(t, 200)
	seen := hub.Requests()[0]
	if seen.Target != "/0/x?q=1" || seen.Host != "asked.test" || hub.Accepted()[0].SNI != "hub.test" {
		t.Errorf("the parent was asked for %s of %s, SNI %s", seen.Target, seen.Host, hub.Accepted()[0].SNI)
	}
	for name, want := range map[string]string{"Authorization": "of-the-hub", "X-Set": "here", "Forwarded": ""} {
		if got := strings.Join(seen.Values(name), "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := `name="` + r.hopName(r.plan.Gateways[0]) + `", depth=1, attempt=1, retries=2, client=("" "local" "local")`
	if got := strings.Join(seen.Values("Ebbgate-Hop"), "|"); got != want {
		t.Errorf("Ebbgate-Hop is %s, want %s", got, want)
	}
}

// TestABackendThatIsAGateway is reached itself, as a parent is.
func TestABackendThatIsAGateway(t *testing.T) {
	f := func(way *policy.Parent) {
		t.Helper()
		hub := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
		r := child(t, policy.FormOrigin, hub.Addr(), literal("api", "api.test", hub.Addr()))
		r.plan.Policies[0] = wayOf(plan.TargetBackend, "Backend/ai/api", wayTo(way))
		r.update()
		r.ask(t, 200)
		seen := hub.Requests()[0]
		if seen.Target != "/0/x?q=1" || seen.Host != "asked.test" || len(seen.Values("Ebbgate-Hop")) != 1 || seen.Values("Authorization")[0] != "of-the-api" {
			t.Errorf("it was asked %v", seen.Lines)
		}
	}
	f(&policy.Parent{})
	f(&policy.Parent{Backend: "Backend/ai/api", Form: policy.FormConnect})
}

func wayTo(p *policy.Parent) way { return way{Parent: p} }

func TestFormAbsolute(t *testing.T) {
	root := testkit.CA(t, "root")
	f := func(secureHub, secureAPI, http2 bool, status int, target, host string) {
		t.Helper()
		config := upstream.Config{Handler: upstream.Body(1)}
		if secureHub {
			config.Certificate = testkit.Loopback(t, root, "hub.test")
		}
		if http2 {
			config.Protocols.SetHTTP1(true)
			config.Protocols.SetHTTP2(true)
		}
		hub := testkit.Upstream(t, config)
		r := child(t, policy.FormAbsolute, hub.Addr(), literal("api", "api.test", "192.0.2.1:8443"))
		if http2 {
			own := *r.plan.Backends[1]
			own.Protocol = plan.HTTP2
			r.plan.Backends[1] = &own
		}
		if secureHub {
			r.secure("Backend/ai/hub", root)
		}
		if secureAPI {
			r.secure("Backend/ai/api", root)
		}
		e := r.ask(t, status)
		if status != 200 {
			if e.reason != exchange.BackendInvalid || hub.Connections() != 0 {
				t.Errorf("refused for %s; %d connections", e.reason, hub.Connections())
			}
			return
		}
		seen := hub.Requests()[0]
		if strings.TrimSpace(seen.Scheme+" "+seen.Target) != target || seen.Host != host || len(seen.Values("Ebbgate-Hop")) != 1 || seen.Values("Authorization")[0] != "of-the-api" {
			t.Errorf("the parent was asked for %s of %s: %v", seen.Target, seen.Host, seen.Lines)
		}
	}
	f(false, false, false, 200, "http://api.test:8443/v1/x?q=1", "api.test:8443")
	f(true, false, false, 200, "http://api.test:8443/v1/x?q=1", "api.test:8443")
	f(true, true, false, 200, "https://api.test:8443/v1/x?q=1", "api.test:8443")
	f(false, true, false, 500, "", "")
	f(true, false, true, 200, "http /v1/x?q=1", "api.test:8443")
	f(true, true, true, 200, "https /v1/x?q=1", "api.test:8443")
}

func TestFormConnect(t *testing.T) {
	root := testkit.CA(t, "root")
	f := func(secureHub, secureAPI, http2 bool) {
		t.Helper()
		config := upstream.Config{Handler: upstream.Body(1)}
		if secureAPI {
			config.Certificate = testkit.Loopback(t, root, "api.test")
		}
		config.Protocols.SetHTTP1(!http2)
		config.Protocols.SetHTTP2(http2 && secureAPI)
		config.Protocols.SetUnencryptedHTTP2(http2 && !secureAPI)
		far := testkit.Upstream(t, config)
		hubs := tunnel.Config{Hosts: map[string]string{"api.test:8443": far.Addr()}}
		if secureHub {
			hubs.TLS = &tls.Config{Certificates: []tls.Certificate{testkit.Loopback(t, root, "hub.test")}, MinVersion: tls.VersionTLS12}
		}
		hub := testkit.Tunnel(t, hubs)
		r := child(t, policy.FormConnect, hub.Addr(), literal("api", "api.test", "192.0.2.1:8443"))
		if http2 {
			own := *r.plan.Backends[0]
			own.Protocol = plan.HTTP2
			r.plan.Backends[0] = &own
			r.update()
		}
		if secureHub {
			r.secure("Backend/ai/hub", root)
		}
		if secureAPI {
			r.secure("Backend/ai/api", root)
		}
		r.ask(t, 200)
		r.ask(t, 200)
		seen := far.Requests()[1]
		if seen.Target != "/v1/x?q=1" || seen.Host != "api.test:8443" || len(seen.Values("Ebbgate-Hop")) != 0 || seen.Values("Authorization")[0] != "of-the-api" {
			t.Errorf("the far side was asked %v", seen.Lines)
		}
		asked := hub.Asked()
		if len(asked) != 1 || asked[0].Authority != "api.test:8443" || asked[0].Header.Get("Authorization") != "" ||
			!strings.Contains(asked[0].Header.Get("Ebbgate-Hop"), `attempt=1, retries=0, client=("" "local" "local")`) {
			t.Errorf("the parent was asked %+v", asked)
		}
	}
	f(false, false, false)
	f(false, true, false)
	f(true, true, false)
	f(false, false, true)
	f(false, true, true)
	f(true, true, true)
	hub := testkit.Tunnel(t, tunnel.Config{Answer: func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return true
	}})
	r := child(t, policy.FormConnect, hub.Addr(), literal("api", "api.test", "192.0.2.1:8443"))
	if e := r.ask(t, 502); e.reason != exchange.ConnectFailed || len(e.attempts) != 1 {
		t.Errorf("ended %+v", e)
	}
}

// TestParentsThatCannotBe close what they are the way to.
func TestParentsThatCannotBe(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	f := func(want exchange.Reason, change func(r *rig)) {
		t.Helper()
		r := child(t, policy.FormOrigin, far.Addr(), literal("api", "api.test", far.Addr()))
		change(r)
		r.update()
		if e := r.ask(t, 500); e.reason != want {
			t.Errorf("refused for %s, want %s", e.reason, want)
		}
	}
	hub := func(change func(b *plan.Backend)) func(*rig) {
		return func(r *rig) {
			b := *r.plan.Backends[1]
			change(&b)
			r.plan.Backends[1] = &b
		}
	}
	f(exchange.BackendInvalid, func(r *rig) { r.plan.Backends = r.plan.Backends[:1] })
	f(exchange.BackendInvalid, hub(func(b *plan.Backend) { b.Fault = &plan.Fault{Message: "broken"} }))
	f(exchange.BackendInvalid, hub(func(b *plan.Backend) { b.Origin, b.Hostname = plan.Resolved, "*.hubs.test" }))
	f(exchange.ConfigurationInvalid, func(r *rig) {
		r.plan.Policies = append(r.plan.Policies, &plan.Policy{
			Name: "Way/ai/broken", Kind: "Way", Config: &way{}, Fault: &plan.Fault{Message: "broken"}, Targets: []plan.Target{{Kind: plan.TargetBackend, Name: "Backend/ai/hub"}},
		})
	})
	for _, form := range []policy.Form{policy.FormAbsolute, policy.FormConnect} {
		f(exchange.BackendInvalid, func(r *rig) {
			b := *r.plan.Backends[0]
			b.Hostname = ""
			r.plan.Backends[0] = &b
			r.plan.Policies[0] = wayOf(plan.TargetGateway, "t/g", way{Parent: &policy.Parent{Backend: "Backend/ai/hub", Form: form}})
		})
	}
	f(exchange.ConfigurationInvalid, func(r *rig) { // regions that no field can tell of
		r.plan.Policies[0] = wayOf(plan.TargetGateway, "t/g", way{Parent: &policy.Parent{Backend: "Backend/ai/hub"}, Regions: [][]string{{`"`}}})
	})
	if far.Connections() != 0 {
		t.Errorf("%d connections", far.Connections())
	}
}

// TestServicesAreNeverDiverted: what is in the cluster is reached there.
func TestServicesAreNeverDiverted(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	r := child(t, policy.FormOrigin, "127.0.0.1:1", service("far", far.Addr()))
	r.ask(t, 200)
	if seen := far.Requests()[0]; len(seen.Values("Ebbgate-Hop")) != 0 || seen.Target != "/v1/x?q=1" {
		t.Errorf("the Service was asked %v", seen.Lines)
	}
}

// TestPoliciesOfBothMustPass: those of the destination and those of the parent.
func TestPoliciesOfBothMustPass(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	f := func(status int, api, hub []string) {
		t.Helper()
		r := child(t, policy.FormOrigin, far.Addr(), literal("api", "api.test", "127.0.0.1:1"))
		r.plan.Policies = append(r.plan.Policies,
			wayOf(plan.TargetBackend, "Backend/ai/api", way{Clients: api}), wayOf(plan.TargetBackend, "Backend/ai/hub", way{Clients: hub}))
		r.update()
		if e := r.ask(t, status); (e.reason == exchange.ClientNotAllowed) != (status == 403) {
			t.Errorf("refused for %s", e.reason)
		}
	}
	f(200, nil, nil)
	f(200, []string{"local"}, []string{"local"})
	f(403, []string{"ai"}, []string{"local"})
	f(403, []string{"local"}, []string{"ai"})
}
