package observe

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// seconds are the histograms' buckets: from a cached answer to the longest a model thinks.
var seconds = []float64{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

// labelNames are the labels of everything that is counted of traffic.
var labelNames = []string{"gateway", "route", "backend", "cluster", "namespace", "service_account"}

// metrics counts. An exchange is counted under its last backend, an attempt under its own.
type metrics struct {
	requests, attempts, denials, reports *prometheus.CounterVec
	bytesIn, bytesOut                    *prometheus.CounterVec
	duration, firstByte                  *prometheus.HistogramVec
	applied, rejected                    prometheus.Counter
	rules                                prometheus.Gauge

	known     *cache[labels, *series] // label sets as they are
	anonymous *cache[labels, *series] // once known is full: those without the client
	rest      func() *series          // once anonymous is full
}

func newMetrics(r prometheus.Registerer, maxSeries int, version string, connections func() int64) (*metrics, error) {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ebbgate_reloads_total", Help: "Reloads of configuration, by whether they are in force.",
	}, []string{"result"})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ebbgate_build_info", Help: "1; the version is a label.",
	}, []string{"version"})
	m := &metrics{
		requests:  counter("requests_total", "Requests, by status and by the reason of our own answers.", "code", "reason"),
		attempts:  counter("attempts_total", "Attempts at backends, by why they failed.", "reason"),
		denials:   counter("denied_total", "Denials: as many as the audit log has lines of event denied.", "policy_kind", "reason"),
		reports:   counter("would_deny_total", "What policies in mode Report would have denied.", "policy_kind", "reason"),
		bytesIn:   counter("request_bytes_total", "Bytes of request bodies read from clients."),
		bytesOut:  counter("response_bytes_total", "Bytes of response bodies written to clients."),
		duration:  histogram("request_duration_seconds", "From a request's start to its end."),
		firstByte: histogram("request_first_byte_seconds", "From a request's start to the end of its response's head."),
		applied:   reloads.WithLabelValues("applied"),
		rejected:  reloads.WithLabelValues("rejected"),
		rules: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ebbgate_plan_rules", Help: "Rules of the plan that is served.",
		}),
	}
	build.WithLabelValues(labelValue(version)).Set(1)
	all := []prometheus.Collector{
		m.requests, m.attempts, m.denials, m.reports, m.bytesIn, m.bytesOut, m.duration, m.firstByte, m.rules, reloads, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if connections != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ebbgate_connections_downstream_active", Help: "Open connections of clients.",
		}, func() float64 { return float64(connections()) }))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metric: %w", err)
		}
	}
	m.bound(maxSeries)
	return m, nil
}

func counter(name, help string, more ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ebbgate", Name: name, Help: help}, withLabels(more))
}

func histogram(name, help string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "ebbgate", Name: name, Help: help, Buckets: seconds,
	}, labelNames)
}

func withLabels(more []string) []string {
	return append(labelNames[:len(labelNames):len(labelNames)], more...)
}

func droppedCounter(s *stream) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ebbgate_log_dropped_total", Help: "Lines that a log's writer did not take in time, or failed to.",
		ConstLabels: prometheus.Labels{"log": s.name},
	}, func() float64 { return float64(s.dropped.Load()) })
}

// count counts an exchange that is over.
func (m *metrics) count(x *exchange.Exchange) {
	s := m.series(x, x.Backend)
	var reason exchange.Reason
	if x.Refusal != nil {
		reason = x.Refusal.Reason
	}
	s.requests.inc(outcome{status(x), reason})
	s.duration.Observe(max(x.Duration, 0).Seconds())
	if x.FirstByte > 0 {
		s.firstByte.Observe(x.FirstByte.Seconds())
	}
	s.bytesIn.Add(float64(max(x.BytesIn, 0)))
	s.bytesOut.Add(float64(max(x.BytesOut, 0)))
	for i := range x.Reported {
		s.reports.inc(judgement{policyKind(x.Reported[i].Policy), x.Reported[i].Reason})
	}
	for i := range x.Attempts {
		a := &x.Attempts[i]
		of := s
		if a.Backend != x.Backend {
			of = m.series(x, a.Backend)
		}
		of.attempts.inc(a.Reason)
		if attemptDenied(x, i) {
			of.denials.inc(judgement{"", a.Reason})
		}
	}
	if refusalDenied(x) {
		s.denials.inc(judgement{policyKind(x.Refusal.Policy), reason})
	}
}
