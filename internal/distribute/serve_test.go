package distribute

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	servingproxy "github.com/ebbgate/ebbgate/internal/proxy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// blind is an Observer that looks at nothing.
type blind struct{}

func (blind) End(*exchange.Exchange)                                    {}
func (blind) AuditBody(*exchange.Exchange, []byte, func([]byte) []byte) {}

// TestAProxyServesWhatItIsSent is the data path behind a Client: what is sent is served, through the controller's absence,
// and what cannot be read is refused to clients.
func TestAProxyServesWhatItIsSent(t *testing.T) {
	r := newRig(t)
	far := netip.MustParseAddrPort(testkit.Upstream(t, upstream.Config{}).Addr())
	port := testkit.Ports(t, 1)[0]
	serving, err := servingproxy.New(servingproxy.Config{Kinds: order.Kinds(), Observer: blind{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), hang)
		defer cancel()
		if err := serving.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	p := r.proxy("token-of-a/gw", func(p *plan.Plan) error { return serving.Update(context.Background(), p) })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	f := func(path string, want int) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
	backend := func(name string) *plan.Backend {
		return &plan.Backend{
			Name: "Service/a/" + name + ":80", Origin: plan.Endpoints, Protocol: plan.HTTP11, Port: int(far.Port()),
			Addresses: []plan.Endpoint{{Address: far.Addr().String(), Port: int(far.Port())}},
		}
	}
	rule := func(name string) *plan.Rule {
		return &plan.Rule{
			Name: "HTTPRoute/a/" + name + "#0", Route: "HTTPRoute/a/" + name, Parents: []plan.Parent{{Gateway: "a/gw", Listener: "http"}},
			Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/" + name}}},
			Backends: []plan.RuleBackend{{Backend: "Service/a/" + name + ":80", Weight: 1}},
		}
	}
	base := &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "a/gw", Class: "ebbgate", Listeners: []*plan.Listener{{Name: "http", Port: port, Protocol: plan.HTTP}}}},
		Rules:    []*plan.Rule{rule("one"), rule("three"), rule("two")},
		Backends: []*plan.Backend{backend("one"), backend("three"), backend("two")},
	}
	put := func(p *plan.Plan) {
		t.Helper()
		r.publish(p)
		r.until("a/gw", func(a Acknowledgement) bool { return a.Acknowledged == 1 || len(a.Rejections) > 0 })
	}
	put(base)
	f("/one", 200)
	f("/two", 200)
	f("/none", 404)

	unknown := func(target plan.Target) *plan.Plan {
		return changed(base, func(p *plan.Plan) {
			p.Policies = []*plan.Policy{{Name: "OfANewerController/a/p", Kind: "OfANewerController", Targets: []plan.Target{target}, Config: map[string]any{}}}
		})
	}
	put(unknown(plan.Target{Kind: plan.TargetRoute, Name: "HTTPRoute/a/one"}))
	f("/one", 500)
	f("/two", 200)
	put(unknown(plan.Target{Kind: plan.TargetBackend, Name: "Service/a/two"}))
	f("/one", 200)
	f("/two", 500)
	put(unknown(plan.Target{Kind: plan.TargetListener, Name: "a/gw#http"}))
	f("/one", 500)
	f("/three", 500)
	put(base)
	r.stop()
	f("/one", 200)
	f("/two", 200)
	if !p.client.Ready() {
		t.Error("not ready while the controller is away")
	}
}
