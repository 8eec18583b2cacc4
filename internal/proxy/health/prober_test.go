package health

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
	"github.com/ebbgate/ebbgate/internal/proxy/resolve"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// rig is a dialer, and an authority for the far sides.
type rig struct {
	dialer *dial.Dialer
	ca     *ca.CA
}

func newRig(t *testing.T) *rig {
	t.Helper()
	resolver := resolve.New(resolve.Config{})
	t.Cleanup(resolver.Close)
	dialer, err := dial.New(dial.Config{Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dialer.Close)
	root, err := ca.New("root")
	if err != nil {
		t.Fatal(err)
	}
	return &rig{dialer, root}
}

func (r *rig) leaf(t *testing.T, name string) tls.Certificate {
	t.Helper()
	leaf, err := r.ca.Issue(ca.Leaf{DNSNames: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// check is api.test at the addresses' IPs, to be found unhealthy or healthy by one check.
func (r *rig) check(t *testing.T, secure bool, active policy.Active, change func(*dial.TargetConfig), addresses ...string) *Check {
	t.Helper()
	settings := policy.NewSettings()
	settings.DNS.Hosts = map[string][]netip.Addr{"api.test": nil}
	port := 0
	for _, a := range addresses {
		address := netip.MustParseAddrPort(a)
		settings.DNS.Hosts["api.test"] = append(settings.DNS.Hosts["api.test"], address.Addr())
		port = int(address.Port())
	}
	config := dial.TargetConfig{
		Gateway: "infra/egress", Hostname: "api.test", Settings: &settings,
		Backend: &plan.Backend{Name: "Backend/ai/api", Origin: plan.Resolved, Hostname: "api.test", Port: port},
	}
	if secure {
		roots := &plan.Secret{Name: "roots", Data: map[string]plan.Sensitive{"ca.crt": plan.NewSensitive(r.ca.PEM())}}
		setting, err := dial.NewTLS(&plan.TLS{Hostname: "api.test", Roots: []string{"roots"}}, func(string) *plan.Secret { return roots })
		if err != nil {
			t.Fatal(err)
		}
		config.TLS = setting
	}
	if change != nil {
		change(&config)
	}
	target, err := r.dialer.Prepare(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Release)
	active.HealthyAfter, active.UnhealthyAfter, active.Timeout = 1, 1, 10*time.Second
	return &Check{
		Gateway: "infra/egress", Backend: "Backend/ai/api", Target: target, Active: active, Host: "api.test",
		Health: New(Config{Setting: policy.Health{Active: &active}}),
	}
}

// finds checks once, and holds that every address was found healthy or every one not.
func finds(t *testing.T, name string, c *Check, healthy bool) {
	t.Helper()
	NewProber(ProberConfig{}).round(t.Context(), c)
	state := c.Health.State()
	if len(state.Addresses) == 0 {
		t.Errorf("%s: nothing was checked", name)
	}
	for _, a := range state.Addresses {
		if !a.Checked || a.Failing == healthy {
			t.Errorf("%s: %+v, want it healthy: %t", name, a, healthy)
		}
	}
	if c.Health.Admits() != healthy {
		t.Errorf("%s: %s", name, state.Phase)
	}
}

func TestHTTPChecks(t *testing.T) {
	r := newRig(t)
	var both, h2c http.Protocols
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	h2c.SetUnencryptedHTTP2(true)
	f := func(name string, config upstream.Config, protocol plan.Protocol, active policy.Active, status int, healthy bool) {
		t.Helper()
		var asked atomic.Pointer[http.Request]
		config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Store(r)
			w.WriteHeader(status)
		})
		up, err := upstream.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer up.Close()
		active.Type = policy.ActiveHTTP
		_, at, _ := strings.Cut(up.URL(), "://")
		secure := len(config.Certificate.Certificate) > 0
		c := r.check(t, secure, active, func(c *dial.TargetConfig) { c.Protocol = protocol }, at)
		finds(t, name, c, healthy)
		got := asked.Load()
		if got == nil {
			t.Errorf("%s: nothing was asked", name)
			return
		}
		want := "HTTP/1.1"
		if protocol == plan.HTTP2 || secure && protocol != plan.HTTP11 {
			want = "HTTP/2.0"
		}
		if got.Method != http.MethodGet || got.RequestURI != "/healthz?deep=1" || got.Host != "api.test" || got.Proto != want ||
			got.UserAgent() != userAgent || got.Header.Get("Authorization") != "" {
			t.Errorf("%s: asked %s %s of %s over %s, fields %v", name, got.Method, got.RequestURI, got.Host, got.Proto, got.Header)
		}
	}
	path := policy.Active{Path: "/healthz?deep=1"}
	teapot := policy.Active{Path: path.Path, Statuses: []int{418}}
	good := upstream.Config{Certificate: r.leaf(t, "api.test"), Protocols: both}
	f("plain", upstream.Config{}, plan.HTTP, path, 204, true)
	f("a redirect is not followed", upstream.Config{}, plan.HTTP, path, 302, false)
	f("ill", upstream.Config{}, plan.HTTP, path, 503, false)
	f("another status", upstream.Config{}, plan.HTTP, teapot, 418, true)
	f("not that status", upstream.Config{}, plan.HTTP, teapot, 200, false)
	f("TLS", good, plan.HTTP, path, 200, true)
	f("TLS, HTTP/1.1 alone", good, plan.HTTP11, path, 200, true)
	f("TLS, HTTP/2 alone", good, plan.HTTP2, path, 200, true)
	f("TLS, ill", good, plan.HTTP2, path, 500, false)
	f("h2c", upstream.Config{Protocols: h2c}, plan.HTTP2, path, 200, true)
}

func TestChecksVerify(t *testing.T) {
	r := newRig(t)
	f := func(name string, config upstream.Config, secure bool, kind policy.ActiveType, healthy bool) {
		t.Helper()
		up, err := upstream.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer up.Close()
		_, at, _ := strings.Cut(up.URL(), "://")
		finds(t, name, r.check(t, secure, policy.Active{Type: kind, Path: "/"}, nil, at), healthy)
		if !healthy && len(up.Requests()) > 0 {
			t.Errorf("%s: a request was sent", name)
		}
	}
	for _, kind := range []policy.ActiveType{policy.ActiveHTTP, policy.ActiveTCP} {
		f("the right certificate", upstream.Config{Certificate: r.leaf(t, "api.test")}, true, kind, true)
		f("another name's", upstream.Config{Certificate: r.leaf(t, "other.test")}, true, kind, false)
		f("no TLS", upstream.Config{}, true, kind, false)
		f("plain", upstream.Config{}, false, kind, true)
	}
}

func TestGRPCChecks(t *testing.T) {
	r := newRig(t)
	f := func(name string, secure bool, service string, set func(*grpchealth.Server), healthy bool) {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			t.Fatal(err)
		}
		var options []grpc.ServerOption
		if secure {
			leaf := r.leaf(t, "api.test")
			options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&leaf)))
		}
		server := grpc.NewServer(options...)
		if set != nil {
			state := grpchealth.NewServer()
			set(state)
			healthv1.RegisterHealthServer(server, state)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(l)
		}()
		defer func() { server.Stop(); <-served }()
		finds(t, name, r.check(t, secure, policy.Active{Type: policy.ActiveGRPC, Service: service}, nil, l.Addr().String()), healthy)
	}
	serving := func(s *grpchealth.Server) { s.SetServingStatus("chat.v1.Chat", healthv1.HealthCheckResponse_SERVING) }
	f("plain", false, "", serving, true)
	f("TLS", true, "", serving, true)
	f("one service", true, "chat.v1.Chat", serving, true)
	f("a service it does not know", false, "other", serving, false)
	f("not serving", false, "", func(s *grpchealth.Server) { s.Shutdown() }, false)
	f("no such method", false, "", nil, false)
}

// FuzzServingStatus holds what is read of an answer to what protobuf's own reads.
func FuzzServingStatus(f *testing.F) {
	for _, body := range []string{
		"", "\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x02\x08", "\x00\x00\x00\x00\x04\x12\x00\x08\x02", "\x00\xff\xff\xff\xff\x08\x01",
		"\x00\x00\x00\x00\x0c\x11abcdefgh\x08\x01\x08", "\x00\x00\x00\x00\x07\x15abcd\x08\x01", "\x00\x00\x00\x00\x03\x12\xff\x01",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		status, err := servingStatus(body)
		if err != nil {
			return
		}
		var want healthv1.HealthCheckResponse
		if proto.Unmarshal(body[framePrefix:], &want) == nil && int32(status) != int32(want.GetStatus()) {
			t.Errorf("status %d, want %d", status, want.GetStatus())
		}
	})
}

func TestServingStatus(t *testing.T) {
	f := func(body string, want uint64, ok bool) {
		t.Helper()
		if got, err := servingStatus([]byte(body)); got != want || (err == nil) != ok {
			t.Errorf("%q: %d, %v", body, got, err)
		}
	}
	f("\x00\x00\x00\x00\x00", 0, true)
	f("\x00\x00\x00\x00\x02\x08\x01", 1, true)
	f("\x00\x00\x00\x00\x0d\x11abcdefgh\x12\x00\x08\x02", 2, true)
	f("", 0, false)
	f("\x01\x00\x00\x00\x02\x08\x01", 0, false) // compressed
	f("\x00\x00\x00\x00\x03\x08\x01", 0, false)
	f("\x00\x00\x00\x00\x02\x08\xff", 0, false)
	f("\x00\x00\x00\x00\x02\x13\x01", 0, false)
}

func TestEachAddressIsChecked(t *testing.T) {
	r := newRig(t)
	one, err := upstream.New(upstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	_, at, _ := strings.Cut(one.URL(), "://")
	gone := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), netip.MustParseAddrPort(at).Port())
	c := r.check(t, false, policy.Active{Type: policy.ActiveTCP}, nil, at, gone.String())
	NewProber(ProberConfig{}).round(t.Context(), c)
	if !c.Health.Admits() || !c.Health.Skip(gone) || c.Health.Skip(netip.MustParseAddrPort(at)) {
		t.Errorf("%+v, want that the address that is gone is skipped", c.Health.State())
	}
	r.dialer.Connections(func(_, _ string, open, _ int64) {
		if open != 0 {
			t.Errorf("%d connections of checks are counted", open)
		}
	})
}

type refusing struct{ asked atomic.Int64 }

func (r *refusing) Address(context.Context, *policy.AddressCheck) *exchange.Refusal {
	r.asked.Add(1)
	return exchange.Refuse(exchange.AddressDenied, "not there")
}

func TestWhatPolicyBarsIsNotChecked(t *testing.T) {
	r := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stage := &refusing{}
	f := func(name string, c *Check) {
		NewProber(ProberConfig{}).round(t.Context(), c)
		if state := c.Health.State(); state.Phase != Healthy || len(state.Addresses) > 0 && state.Addresses[0].Checked {
			t.Errorf("%s: %+v, want that nothing was found", name, state)
		}
	}
	c := r.check(t, false, policy.Active{Type: policy.ActiveTCP}, nil, l.Addr().String())
	c.Barred = func() bool { return true }
	f("barred", c)
	f("address", r.check(t, false, policy.Active{Type: policy.ActiveTCP},
		func(c *dial.TargetConfig) { c.Address = []policy.AddressStage{stage} }, l.Addr().String()))
	if stage.asked.Load() != 1 {
		t.Error("the stage was not asked")
	}
	// The queue of the socket has what came: a connection of our own is the first.
	own, err := net.Dial("tcp", l.Addr().String()) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != own.LocalAddr().String() {
		t.Error("connected to what policy bars")
	}
}

func TestANameThatIsGoneFails(t *testing.T) {
	r := newRig(t)
	up, err := upstream.New(upstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	_, at, _ := strings.Cut(up.URL(), "://")
	c := r.check(t, false, policy.Active{Type: policy.ActiveTCP}, nil, at)
	finds(t, "there", c, true)
	c.Target.Settings.DNS.Hosts["api.test"] = nil
	finds(t, "gone", c, false)
}

func TestProberRuns(t *testing.T) {
	r := newRig(t)
	asked := make(chan struct{})
	over := make(chan struct{})
	up, err := upstream.New(upstream.Config{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case asked <- struct{}{}:
		case <-over:
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	defer close(over)
	_, at, _ := strings.Cut(up.URL(), "://")
	c := r.check(t, false, policy.Active{Type: policy.ActiveHTTP, Path: "/", Interval: time.Millisecond}, nil, at)
	p := NewProber(ProberConfig{})
	p.Set([]Check{*c})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	<-asked
	same := p.rounds[proberKey{c.Gateway, c.Backend}]
	p.Set([]Check{*c})
	if p.rounds[proberKey{c.Gateway, c.Backend}] != same {
		t.Error("a new table changed the rhythm")
	}
	<-asked
	changed := *c
	changed.Active.Interval = 2 * time.Millisecond
	p.Set([]Check{changed})
	<-asked
	p.Set(nil)
	p.work.Wait() // nobody is checked any more
	p.Set([]Check{*c})
	<-asked
	cancel()
	<-ended
}

func TestPause(t *testing.T) {
	f := func(interval time.Duration, at float64, want time.Duration) {
		t.Helper()
		if got := pause(interval, at); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(10*time.Second, 0, 9*time.Second)
	f(10*time.Second, 0.5, 10*time.Second)
	f(0, 0.5, time.Millisecond)
}
