package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	leaderDesc  = prometheus.NewDesc("ebbgate_controller_leader", "1 where this replica leads.", nil, nil)
	proxiesDesc = prometheus.NewDesc("ebbgate_controller_proxies", "Proxies that are connected to this replica.", []string{"gateway"}, nil)
	currentDesc = prometheus.NewDesc("ebbgate_controller_proxies_current", "Connected proxies that have taken the newest configuration whole.", []string{"gateway"}, nil)
)

// metrics are what a Controller tells of itself.
type metrics struct {
	translations prometheus.Histogram
	controller   *Controller
}

func newMetrics(c *Controller) *metrics {
	return &metrics{controller: c, translations: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ebbgate_controller_translation_seconds", Help: "From what the cluster holds to what proxies are to serve.",
		Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3},
	})}
}

func (m *metrics) translated(begin time.Time) { m.translations.Observe(time.Since(begin).Seconds()) }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	out <- leaderDesc
	out <- proxiesDesc
	out <- currentDesc
	m.translations.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	leads := 0.0
	if m.controller.Leads() {
		leads = 1
	}
	out <- prometheus.MustNewConstMetric(leaderDesc, prometheus.GaugeValue, leads)
	for _, name := range m.controller.serving.gateways() {
		said := m.controller.serving.acknowledged(name)
		out <- prometheus.MustNewConstMetric(proxiesDesc, prometheus.GaugeValue, float64(said.Connected), name)
		out <- prometheus.MustNewConstMetric(currentDesc, prometheus.GaugeValue, float64(said.Acknowledged), name)
	}
	m.translations.Collect(out)
}
