package dataplane

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A report has what was denied since the last one, and the backends of the Gateway that is asked for.
func TestReport(t *testing.T) {
	far := netip.MustParseAddrPort(testkit.Upstream(t, upstream.Config{}).Addr())
	port := testkit.Ports(t, 1)[0]
	leaf := testkit.Loopback(t, testkit.CA(t, "egress"))
	s, err := Open(t.Context(), Config{Logger: slog.New(slog.DiscardHandler), Audit: io.Discard, Reports: true, Drain: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	problems := s.Apply(t.Context(), &plan.Plan{
		Gateways: []*plan.Gateway{{Name: "ai/egress", Class: "ebbgate", Listeners: []*plan.Listener{{Name: "http", Port: port, Protocol: plan.HTTP}}}},
		Rules: []*plan.Rule{{
			Name: "HTTPRoute/ai/chat#0", Route: "HTTPRoute/ai/chat", Parents: []plan.Parent{{Gateway: "ai/egress", Listener: "http"}},
			Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/chat"}}},
			Backends: []plan.RuleBackend{{Backend: "Service/ai/llm:80", Weight: 1}},
		}},
		Backends: []*plan.Backend{{
			Name: "Service/ai/llm:80", Origin: plan.Endpoints, Protocol: plan.HTTP11, Port: int(far.Port()),
			Addresses: []plan.Endpoint{{Address: far.Addr().String(), Port: int(far.Port())}},
		}},
		Secrets: []*plan.Secret{
			{Name: "Secret/ai/key", Data: map[string]plan.Sensitive{"token": plan.NewSensitive([]byte("hunter2"))}},
			{Name: "Secret/ai/none", Data: map[string]plan.Sensitive{"tls.crt": plan.NewSensitive([]byte("no certificate"))}},
			{Name: "Secret/ai/tls", Data: map[string]plan.Sensitive{"tls.crt": plan.NewSensitive(ca.CertificatePEM(leaf))}},
		},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/chat", "/none", "/none"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	want := &report.Report{
		Denials:  []report.Denial{{Cause: report.Cause{Reason: exchange.RouteNotFound}, Count: 2}},
		Backends: []report.Backend{{Name: "Service/ai/llm:80", Share: 1}},
		Expiries: []report.Expiry{{Secret: "Secret/ai/tls", Until: leaf.Leaf.NotAfter.Unix()}},
	}
	got := s.Report("ai/egress")
	for len(got.Denials) == 0 || got.Denials[0].Count < 2 { // an exchange ends a moment after its answer
		got.Denials = append(s.Report("ai/egress").Denials, got.Denials...)
		got.Denials = merged(got.Denials)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if other := s.Report("ai/other"); len(other.Denials)+len(other.Backends) > 0 {
		t.Errorf("of another Gateway: %+v", other)
	}
}

func merged(list []report.Denial) (one []report.Denial) {
	for _, d := range list {
		if len(one) > 0 && one[0].Cause == d.Cause {
			one[0].Count += d.Count
		} else {
			one = append(one, d)
		}
	}
	return one
}
