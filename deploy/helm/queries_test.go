package helm_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/controller"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/observe"
)

// metric is what a scrape shows of a metric: its labels, and their values.
type metric map[string][]string

// controls adds what a controller shows, by what its collector describes: of a Gateway it shows nothing before there is one.
func controls(t *testing.T, metrics map[string]metric) {
	t.Helper()
	c, err := controller.New(controller.Config{REST: &rest.Config{Host: "https://127.0.0.1:1"}, Listen: ":9443", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan *prometheus.Desc)
	go func() {
		c.Metrics().Describe(all)
		close(all)
	}()
	for desc := range all {
		text := desc.String()
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(text)[1]
		made := metric{}
		for _, label := range strings.FieldsFunc(regexp.MustCompile(`variableLabels: {(.*)}}`).FindStringSubmatch(text)[1], func(r rune) bool { return r == ',' }) {
			made[label] = []string{}
		}
		if strings.HasSuffix(name, "_seconds") { // a histogram
			metrics[name+"_sum"], metrics[name+"_count"] = made, made
			name, made = name+"_bucket", maps.Clone(made)
			made["le"] = []string{}
		}
		metrics[name] = made
	}
}

// given are labels that Prometheus adds to every series.
var given = []string{"job", "instance"}

// scraped are the metrics that a proxy shows once it has counted something of everything, and the one that Prometheus itself adds.
func scraped(t *testing.T) map[string]metric {
	t.Helper()
	o, err := observe.New(observe.Config{
		Access: io.Discard, Audit: io.Discard, Version: "v0",
		Connections: func() int64 { return 1 },
		Handshakes:  func(yield func(socket, reason string, n int64)) { yield("0.0.0.0:8443", "timeout", 1) },
		Backends: func(yield func(observe.Backend)) {
			yield(observe.Backend{Gateway: "ai/egress", Backend: "Backend/ai/openai"})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	refusal := exchange.Refuse(exchange.HostDenied, "denied")
	o.End(&exchange.Exchange{
		Gateway: "ai/egress", Backend: "Backend/ai/openai", Response: exchange.Response{Status: 403}, Refusal: refusal, Reported: []exchange.Refusal{*refusal},
		Attempts: []exchange.Attempt{{Backend: "Backend/ai/openai", Reason: exchange.ConnectFailed}}, BytesIn: 1, BytesOut: 1, FirstByte: time.Millisecond, Duration: time.Second,
	})
	page := httptest.NewRecorder()
	o.Health(nil).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	metrics := map[string]metric{"up": {}}
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series := line[:strings.LastIndexByte(line, ' ')]
		name, labels, _ := strings.Cut(series, "{")
		if metrics[name] == nil {
			metrics[name] = metric{}
		}
		for _, pair := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(labels, -1) {
			metrics[name][pair[1]] = append(metrics[name][pair[1]], pair[2])
		}
	}
	return metrics
}

// queries are the queries of the rules and of the dashboard, by what they are for.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	data, err := os.ReadFile("ebbgate/files/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(data, &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			all["alert "+rule.Alert] = rule.Expr
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: it needs a severity, a summary and a description", rule.Alert)
			}
			labels := grouped(t, rule.Expr)
			for _, used := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(rule.Annotations["description"], -1) {
				if labels != nil && !slices.Contains(labels, used[1]) {
					t.Errorf("%s: its description names the label %s, which its query leaves none of", rule.Alert, used[1])
				}
			}
		}
	}
	data, err = os.ReadFile("ebbgate/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+" "+target.Expr] = strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Type != "query" {
			continue
		}
		asks := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(variable.Definition)
		if asks == nil {
			t.Errorf("variable %s asks %q", variable.Name, variable.Definition)
			continue
		}
		all["variable "+variable.Name] = "sum by (" + asks[2] + ") (" + asks[1] + ")"
	}
	return all
}

// grouped are the labels that a query's outermost grouping leaves; nil where there is none, and all are left.
func grouped(t *testing.T, query string) []string {
	t.Helper()
	e, err := metricsql.Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	for {
		switch of := e.(type) {
		case *metricsql.BinaryOpExpr:
			e = of.Left
		case *metricsql.AggrFuncExpr:
			return append([]string{}, of.Modifier.Args...)
		default:
			return nil
		}
	}
}

// TestQueries holds that what alerts and dashboard ask for is what proxies show: the names of metrics and labels, and the
// values that are written out.
func TestQueries(t *testing.T) {
	metrics := scraped(t)
	controls(t, metrics)
	asked := map[string]bool{}
	all := queries(t)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		e, err := metricsql.Parse(all[what])
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, name := range check(t, what, e, metrics) {
			asked[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		if strings.HasPrefix(name, "ebbgate_") && !asked[name] && !asked[strings.TrimSuffix(name, "_sum")+"_bucket"] && !asked[strings.TrimSuffix(name, "_count")+"_bucket"] && name != "ebbgate_build_info" {
			t.Errorf("neither an alert nor the dashboard asks for %s", name)
		}
	}
}

// check holds a query to what there is, and returns the metrics that it asks for.
func check(t *testing.T, what string, e metricsql.Expr, metrics map[string]metric) (asked []string) {
	t.Helper()
	metricsql.VisitAll(e, func(part metricsql.Expr) {
		switch part := part.(type) {
		case *metricsql.MetricExpr:
			name := part.LabelFilterss[0][0].Value
			if metrics[name] == nil {
				t.Errorf("%s: no proxy shows %s", what, name)
				return
			}
			asked = append(asked, name)
			for _, filter := range part.LabelFilterss[0][1:] {
				values, known := metrics[name][filter.Label]
				switch {
				case !known && !slices.Contains(given, filter.Label):
					t.Errorf("%s: %s has no label %s", what, name, filter.Label)
				case filter.IsRegexp || filter.Value == "" || filter.Value == "overflow" || !known:
				case filter.Label == "reason":
					if !slices.Contains(exchange.Reasons(), exchange.Reason(filter.Value)) {
						t.Errorf("%s: there is no reason %s", what, filter.Value)
					}
				case !slices.Contains(values, filter.Value):
					t.Errorf("%s: %s never has %s=%q", what, name, filter.Label, filter.Value)
				}
			}
		case *metricsql.AggrFuncExpr:
			for _, inner := range part.Args {
				metricsql.VisitAll(inner, func(of metricsql.Expr) {
					m, ok := of.(*metricsql.MetricExpr)
					if !ok {
						return
					}
					for _, label := range part.Modifier.Args {
						name := m.LabelFilterss[0][0].Value
						if _, known := metrics[name][label]; !known && !slices.Contains(given, label) {
							t.Errorf("%s: %s has no label %s to group by", what, name, label)
						}
					}
				})
			}
		}
	})
	return asked
}

// monitor is a ServiceMonitor or a PodMonitor, as far as the chart writes it.
type monitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel          string               `json:"jobLabel"`
		Selector          metav1.LabelSelector `json:"selector"`
		NamespaceSelector struct {
			Any bool `json:"any"`
		} `json:"namespaceSelector"`
		Endpoints []map[string]any `json:"endpoints"`
		Pods      []map[string]any `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// TestMonitorsFindPods holds the monitors' selectors and ports to what they are to find.
func TestMonitorsFindPods(t *testing.T) {
	objects := render(t, "--values", "testdata/values/all.yaml")
	proxies := find[monitor](t, objects, "PodMonitor", "ebbgate-proxy")
	proxy := provisioned(t)
	if !proxies.Spec.NamespaceSelector.Any || !matches(t, &proxies.Spec.Selector, proxy.Spec.Template.Labels) {
		t.Errorf("%v does not find Pods with %v", proxies.Spec.Selector, proxy.Spec.Template.Labels)
	}
	if ports := proxy.Spec.Template.Spec.Containers[0].Ports; proxies.Spec.Pods[0]["port"] != ports[0].Name {
		t.Errorf("port %v of %v", proxies.Spec.Pods[0]["port"], ports)
	}
	if job := proxy.Spec.Template.Labels[proxies.Spec.JobLabel]; job != "ebbgate-proxy" {
		t.Errorf("the proxies' job is %q", job)
	}
	controller := find[monitor](t, objects, "ServiceMonitor", "ebbgate-controller")
	service := find[corev1.Service](t, objects, "Service", "ebbgate-controller-metrics")
	if !matches(t, &controller.Spec.Selector, service.Labels) || controller.Spec.Endpoints[0]["port"] != service.Spec.Ports[0].Name {
		t.Errorf("%v does not find %v", controller.Spec, service)
	}
	if job := service.Labels[controller.Spec.JobLabel]; job != "ebbgate-controller" {
		t.Errorf("the controller's job is %q", job)
	}
}
