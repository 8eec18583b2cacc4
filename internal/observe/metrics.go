package observe

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// metrics counts. An exchange is counted under its last backend, an attempt under its own.
type metrics struct {
	traffic           *traffic
	applied, rejected prometheus.Counter
	rules             prometheus.Gauge

	mirrored, unmirrored, dropped prometheus.Counter
}

func newMetrics(r prometheus.Registerer, maxSeries int, c Config) (*metrics, error) {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ebbgate_reloads_total", Help: "Reloads of configuration, by whether they are in force.",
	}, []string{"result"})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ebbgate_build_info", Help: "1; the version is a label.",
	}, []string{"version"})
	mirrors := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ebbgate_mirrors_total", Help: "Copies of requests for RequestMirror filters: answered, failed, or dropped unsent.",
	}, []string{"result"})
	m := &metrics{
		mirrored: mirrors.WithLabelValues("answered"), unmirrored: mirrors.WithLabelValues("failed"), dropped: mirrors.WithLabelValues("dropped"),
		traffic:  newTraffic(maxSeries),
		applied:  reloads.WithLabelValues("applied"),
		rejected: reloads.WithLabelValues("rejected"),
		rules: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ebbgate_plan_rules", Help: "Rules of the plan that is served.",
		}),
	}
	build.WithLabelValues(labelValue(c.Version)).Set(1)
	all := []prometheus.Collector{
		m.traffic, m.rules, reloads, build, mirrors,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if c.Connections != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ebbgate_connections_downstream_active", Help: "Open connections of clients.",
		}, func() float64 { return float64(c.Connections()) }))
	}
	if c.Handshakes != nil {
		all = append(all, &bySocket{c.Handshakes, prometheus.NewDesc("ebbgate_handshakes_refused_total",
			"TLS handshakes of clients that failed, by the address that is listened on.", []string{"socket", "reason"}, nil)})
	}
	if c.Limits != nil {
		all = append(all, &bySocket{c.Limits, prometheus.NewDesc("ebbgate_limits_reached_total",
			"Connections of clients that were refused, or ended, because they reached a limit, by the address that is listened on.", []string{"socket", "limit"}, nil)})
	}
	if c.Pressure != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ebbgate_memory_pressure", Help: "How little memory is left: 0 enough, 1 nothing is kept, 2 no further connections, 3 no further requests.",
		}, func() float64 { return float64(c.Pressure()) }))
	}
	if c.Backends != nil {
		all = append(all, newBackends(c.Backends))
	}
	for _, collector := range all {
		if err := r.Register(collector); err != nil {
			return nil, fmt.Errorf("register metric: %w", err)
		}
	}
	return m, nil
}

// bySocket is a counter of what befell clients, by why and by the address that they came to, as Prometheus sees it.
type bySocket struct {
	counts func(yield func(socket, why string, n int64))
	desc   *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (h *bySocket) Describe(to chan<- *prometheus.Desc) { to <- h.desc }

// Collect implements prometheus.Collector.
func (h *bySocket) Collect(to chan<- prometheus.Metric) {
	h.counts(func(socket, why string, n int64) { send(to, h.desc, float64(n), []string{socket, why}) })
}

func droppedCounter(s *stream) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ebbgate_log_dropped_total", Help: "Lines that a log's writer did not take in time, or failed to.",
		ConstLabels: prometheus.Labels{"log": s.name},
	}, func() float64 { return float64(s.dropped.Load()) })
}

// mirror counts a copy: its attempts are the backend's, but it is no request of a client's.
func (m *metrics) mirror(x *exchange.Exchange) {
	switch {
	case len(x.Attempts) == 0:
		m.dropped.Inc()
		return
	case x.Refusal != nil:
		m.unmirrored.Inc()
	default:
		m.mirrored.Inc()
	}
	for i := range x.Attempts {
		m.traffic.table.count(&m.series(x, x.Attempts[i].Backend).attempts, variant{reason: x.Attempts[i].Reason})
	}
}

// count counts an exchange that is over.
func (m *metrics) count(x *exchange.Exchange) {
	if x.Mirrored {
		m.mirror(x)
		return
	}
	t := m.traffic.table
	s := m.series(x, x.Backend)
	var reason exchange.Reason
	if x.Refusal != nil {
		reason = x.Refusal.Reason
	}
	t.count(&s.requests, variant{status: status(x), reason: reason})
	s.duration.observe(max(x.Duration, 0))
	if x.FirstByte > 0 {
		s.firstByte.observe(x.FirstByte)
	}
	if x.BytesIn > 0 {
		s.bytesIn.Add(x.BytesIn)
	}
	if x.BytesOut > 0 {
		s.bytesOut.Add(x.BytesOut)
	}
	for i := range x.Reported {
		r := &x.Reported[i]
		t.count(&s.reports, variant{kind: policyKind(r.Policy), reason: r.Reason})
	}
	for i := range x.Attempts {
		a := &x.Attempts[i]
		of := s
		if a.Backend != x.Backend {
			of = m.series(x, a.Backend)
		}
		t.count(&of.attempts, variant{reason: a.Reason})
		if attemptDenied(x, i) {
			t.count(&of.denials, variant{reason: a.Reason})
		}
	}
	if refusalDenied(x) {
		t.count(&s.denials, variant{kind: policyKind(x.Refusal.Policy), reason: reason})
	}
}

// series are the counters of the exchange at the backend.
func (m *metrics) series(x *exchange.Exchange, backend string) *series {
	c := &x.Client
	return m.traffic.get(labels{x.Gateway, x.Route, backend, c.Cluster, c.Namespace, c.ServiceAccount})
}
