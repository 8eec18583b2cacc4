package observe

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// labelNames are the labels of everything that is counted of traffic.
var labelNames = []string{"gateway", "route", "backend", "cluster", "namespace", "service_account"}

// traffic is what is counted of traffic, as Prometheus sees it. client_golang's own counters cost ten times the memory
// a label set, and a hash and a lock each a request; here a label set is one struct of atomics, out of which the metrics
// are made at the scrape.
type traffic struct {
	*table
	requests, attempts, denials, reports *prometheus.Desc
	bytesIn, bytesOut                    *prometheus.Desc
	duration, firstByte                  *prometheus.Desc
}

func newTraffic(maxSeries int) *traffic {
	return &traffic{
		table:     newTable(maxSeries),
		requests:  describe("requests_total", "Requests, by status and by the reason of our own answers.", "code", "reason"),
		attempts:  describe("attempts_total", "Attempts at backends, by why they failed.", "reason"),
		denials:   describe("denied_total", "Denials: as many as the audit log has lines of event denied.", "policy_kind", "reason"),
		reports:   describe("would_deny_total", "What policies in mode Report would have denied.", "policy_kind", "reason"),
		bytesIn:   describe("request_bytes_total", "Bytes of request bodies read from clients."),
		bytesOut:  describe("response_bytes_total", "Bytes of response bodies written to clients."),
		duration:  describe("request_duration_seconds", "From a request's start to its end."),
		firstByte: describe("request_first_byte_seconds", "From a request's start to the end of its response's head."),
	}
}

func describe(name, help string, more ...string) *prometheus.Desc {
	names := append(labelNames[:len(labelNames):len(labelNames)], more...)
	return prometheus.NewDesc("ebbgate_"+name, help, names, nil)
}

// Describe implements prometheus.Collector.
func (t *traffic) Describe(to chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{
		t.requests, t.attempts, t.denials, t.reports, t.bytesIn, t.bytesOut, t.duration, t.firstByte,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector. Each value is read once; values of one request may be a scrape apart.
func (t *traffic) Collect(to chan<- prometheus.Metric) {
	for s := range t.all {
		values := s.labels.values()
		sendVariants(to, t.attempts, &s.attempts, values, reasonOf)
		sendVariants(to, t.denials, &s.denials, values, kindAndReasonOf)
		sendVariants(to, t.reports, &s.reports, values, kindAndReasonOf)
		if s.requests.first.Load() == nil { // a backend whose attempts all failed and were followed by others
			continue
		}
		sendVariants(to, t.requests, &s.requests, values, codeAndReasonOf)
		send(to, t.bytesIn, float64(s.bytesIn.Load()), values)
		send(to, t.bytesOut, float64(s.bytesOut.Load()), values)
		sendHistogram(to, t.duration, &s.duration, values)
		sendHistogram(to, t.firstByte, &s.firstByte, values)
	}
	t.prune(time.Now())
}

// sendVariants sends the counters of a metric; further gives the values of its further labels.
func sendVariants(
	to chan<- prometheus.Metric, d *prometheus.Desc, v *variants, values []string, further func([]string, *variant) []string,
) {
	for c := v.first.Load(); c != nil; c = c.next.Load() {
		send(to, d, float64(c.n.Load()), further(values, &c.of))
	}
}

func reasonOf(values []string, v *variant) []string { return append(values, string(v.reason)) }

func kindAndReasonOf(values []string, v *variant) []string {
	return append(values, v.kind, string(v.reason))
}

func codeAndReasonOf(values []string, v *variant) []string {
	if *v == rest {
		return append(values, overflow, overflow)
	}
	return append(values, strconv.Itoa(v.status), string(v.reason))
}

func send(to chan<- prometheus.Metric, d *prometheus.Desc, n float64, values []string) {
	metric, err := prometheus.NewConstMetric(d, prometheus.CounterValue, n, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	to <- metric
}

func sendHistogram(to chan<- prometheus.Metric, d *prometheus.Desc, h *histogram, values []string) {
	sum := float64(h.micros.Load()) / 1e6
	buckets, count := make(map[float64]uint64, len(bounds)), uint64(0)
	for i := range h.counts {
		count += h.counts[i].Load()
		if i < len(bounds) {
			buckets[bounds[i].Seconds()] = count
		}
	}
	metric, err := prometheus.NewConstHistogram(d, count, sum, buckets, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	to <- metric
}
