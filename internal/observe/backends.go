package observe

import "github.com/prometheus/client_golang/prometheus"

// Backend is how a backend of a Gateway stands.
type Backend struct {
	Gateway, Backend string  // plan names
	Share            float64 // of its draws, 0 to 1
	Ejections        uint64  // since the start
	Connections      int64   // open, or being made
	Pending          int64   // requests that wait for one
}

// backends are the states of backends, as Prometheus sees them. Addresses are none of its business.
type backends struct {
	states                                 func(yield func(Backend))
	share, ejections, connections, pending *prometheus.Desc
}

func newBackends(states func(yield func(Backend))) *backends {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("ebbgate_backend_"+name, help, []string{"gateway", "backend"}, nil)
	}
	return &backends{
		states:      states,
		share:       desc("healthy", "Share of its draws that a backend gets: 1 is healthy, 0 ejected, set aside or failing its checks, between them it comes back."),
		ejections:   desc("ejections_total", "Times that a backend was ejected after failed attempts."),
		connections: desc("connections", "Connections to a backend that are open or being made."),
		pending:     desc("pending", "Requests that wait for a connection to a backend."),
	}
}

// Describe implements prometheus.Collector.
func (b *backends) Describe(to chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{b.share, b.ejections, b.connections, b.pending} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (b *backends) Collect(to chan<- prometheus.Metric) {
	b.states(func(s Backend) {
		labels := []string{labelValue(s.Gateway), labelValue(s.Backend)}
		gauge := func(d *prometheus.Desc, value float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
		}
		gauge(b.share, s.Share)
		gauge(b.connections, float64(s.Connections))
		gauge(b.pending, float64(s.Pending))
		to <- prometheus.MustNewConstMetric(b.ejections, prometheus.CounterValue, float64(s.Ejections), labels...)
	})
}
