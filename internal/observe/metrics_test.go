package observe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func get(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil))
	return w
}

func scrape(t testing.TB, o *Observer) string {
	t.Helper()
	w := get(t, o.Health(nil), "/metrics")
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// counted is the sum of a counter's series.
func counted(t testing.TB, o *Observer, name string) int {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(scrape(t, o)) {
		if strings.HasPrefix(line, name+"{") {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return int(sum)
}

func TestMetrics(t *testing.T) {
	o := newObserver(t, Config{Access: io.Discard, Version: "v0.1.0", Connections: func() int64 { return 7 }, Handshakes: func(yield func(string, string, int64)) {
		yield("0.0.0.0:8443", "no_listener", 3)
		yield("0.0.0.0:8443", "timeout", 0)
	}, Backends: func(yield func(Backend)) {
		yield(Backend{Gateway: "ai/egress", Backend: "Backend/ai/openai", Share: 0.25, Ejections: 3, Connections: 7, Pending: 2})
	}})
	o.End(answered())
	o.End(answered())
	o.End(refused())
	o.PlanApplied(12)
	o.PlanRejected()
	page := scrape(t, o)
	const client = `cluster="edge",`
	const rest = `gateway="ai/egress",namespace="payments",`
	const end = `route="HTTPRoute/ai/chat",service_account="invoice"} `
	for _, want := range []string{
		`ebbgate_requests_total{backend="Backend/ai/openai",` + client + `code="200",` + rest + `reason="",` + end + "2",
		`ebbgate_requests_total{backend="",` + client + `code="403",` + rest + `reason="host_denied",` + end + "1",
		`ebbgate_attempts_total{backend="Backend/ai/azure",` + client + rest + `reason="connect_failed",` + end + "2",
		`ebbgate_attempts_total{backend="Backend/ai/openai",` + client + rest + `reason="",` + end + "2",
		`ebbgate_denied_total{backend="",` + client + rest + `policy_kind="GuardRailsPolicy",reason="host_denied",` + end + "1",
		`ebbgate_would_deny_total{backend="",` + client + rest + `policy_kind="EgressPolicy",reason="client_not_allowed",` + end + "1",
		`ebbgate_request_bytes_total{backend="Backend/ai/openai",` + client + rest + end + "1400",
		`ebbgate_response_bytes_total{backend="Backend/ai/openai",` + client + rest + end + "24690",
		`ebbgate_request_duration_seconds_count{backend="Backend/ai/openai",` + client + rest + end + "2",
		`ebbgate_request_first_byte_seconds_count{backend="Backend/ai/openai",` + client + rest + end + "2",
		`ebbgate_reloads_total{result="applied"} 1`,
		`ebbgate_reloads_total{result="rejected"} 1`,
		`ebbgate_handshakes_refused_total{reason="no_listener",socket="0.0.0.0:8443"} 3`,
		`ebbgate_handshakes_refused_total{reason="timeout",socket="0.0.0.0:8443"} 0`,
		`ebbgate_backend_healthy{backend="Backend/ai/openai",gateway="ai/egress"} 0.25`,
		`ebbgate_backend_ejections_total{backend="Backend/ai/openai",gateway="ai/egress"} 3`,
		`ebbgate_backend_connections{backend="Backend/ai/openai",gateway="ai/egress"} 7`,
		`ebbgate_backend_pending{backend="Backend/ai/openai",gateway="ai/egress"} 2`,
		`ebbgate_plan_rules 12`,
		`ebbgate_connections_downstream_active 7`,
		`ebbgate_build_info{version="v0.1.0"} 1`,
		`ebbgate_log_dropped_total{log="access"} 0`,
		`ebbgate_log_dropped_total{log="audit"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(page, name) {
			t.Errorf("no %s", name)
		}
	}
}

func TestLabelSetsAreBounded(t *testing.T) {
	const bound = 40
	o := newObserver(t, Config{MaxSeries: bound})
	const routes, clients = 20, 100
	for route := range routes {
		for client := range clients {
			x := answered()
			x.Route, x.Client.ServiceAccount = fmt.Sprint("HTTPRoute/ai/", route), fmt.Sprint(client)
			x.Attempts = nil
			o.End(x)
		}
	}
	page := scrape(t, o)
	sets := strings.Count(page, "\nebbgate_requests_total{")
	if sets != bound {
		t.Errorf("%d label sets, want %d", sets, bound)
	}
	if n := counted(t, o, "ebbgate_requests_total"); n != routes*clients {
		t.Errorf("%d requests counted, want %d", n, routes*clients)
	}
	for _, want := range []string{
		`namespace="payments",reason="",route="HTTPRoute/ai/0",service_account="0"} 1`,          // before the bound
		`namespace="overflow",reason="",route="HTTPRoute/ai/1",service_account="overflow"} 100`, // clients folded
		`namespace="overflow",reason="",route="overflow",service_account="overflow"} `,          // all folded
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestStatusesAreBounded(t *testing.T) {
	o := newObserver(t, Config{})
	for status := 100; status < 600; status++ {
		x := answered()
		x.Response.Status = status
		o.End(x)
	}
	if n := strings.Count(scrape(t, o), "\nebbgate_requests_total{"); n != maxVariants+1 {
		t.Errorf("%d series, want %d", n, maxVariants+1)
	}
	if n := counted(t, o, "ebbgate_requests_total"); n != 500 {
		t.Errorf("%d requests counted, want 500", n)
	}
}

func TestHostileLabels(t *testing.T) {
	o := newObserver(t, Config{})
	x := answered()
	x.Client.Namespace, x.Client.Cluster = "a\xff\n\"", strings.Repeat("c", 5000)
	x.Refusal = &exchange.Refusal{Reason: "\xfe", Policy: "\xfd/a/b"}
	x.BytesIn, x.Duration = -1, -1
	o.End(x)
	page := scrape(t, o)
	if !strings.Contains(page, `namespace="a`+"\ufffd"+`\n\""`) || strings.Contains(page, strings.Repeat("c", maxName+1)) {
		t.Error("label neither mended nor cut")
	}
}
