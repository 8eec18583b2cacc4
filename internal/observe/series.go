package observe

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// overflow is the label value of what came when the bound was reached.
const overflow = "overflow"

// maxVariants bounds, within a label set, the combinations of status and reason and the like: a backend chooses its
// status codes freely.
const maxVariants = 64

// labels is one label set.
type labels struct{ gateway, route, backend, cluster, namespace, account string }

// outcome is how a request ended.
type outcome struct {
	status int
	reason exchange.Reason
}

// judgement is who denied, and why.
type judgement struct {
	kind   string // of the policy; empty for the engine itself
	reason exchange.Reason
}

// series are the counters of one label set.
type series struct {
	duration, firstByte prometheus.Observer
	bytesIn, bytesOut   prometheus.Counter

	requests variants[outcome]
	attempts variants[exchange.Reason]
	denials  variants[judgement]
	reports  variants[judgement]
}

// variants are the counters of one label set and one metric by the metric's further labels.
type variants[K comparable] struct {
	known *cache[K, prometheus.Counter]
	rest  func() prometheus.Counter
}

func (v *variants[K]) inc(k K) {
	if c, ok := v.known.get(k); ok {
		c.Inc()
		return
	}
	v.rest().Inc()
}

// bound splits the allowed number of label sets: three quarters as they are, then those with no client, then one for all.
func (m *metrics) bound(maxSeries int) {
	anonymous := max(maxSeries/4, 1)
	m.known = newCache(maxSeries-anonymous-1, m.build)
	m.anonymous = newCache(anonymous, m.build)
	m.rest = sync.OnceValue(func() *series {
		_, s := m.build(labels{overflow, overflow, overflow, overflow, overflow, overflow})
		return s
	})
}

// series are the counters of the exchange at the backend.
func (m *metrics) series(x *exchange.Exchange, backend string) *series {
	c := &x.Client
	l := labels{x.Gateway, x.Route, backend, c.Cluster, c.Namespace, c.ServiceAccount}
	if s, ok := m.known.get(l); ok {
		return s
	}
	l.cluster, l.namespace, l.account = overflow, overflow, overflow
	if s, ok := m.anonymous.get(l); ok {
		return s
	}
	return m.rest()
}

func (m *metrics) build(l labels) (labels, *series) {
	l = labels{
		strings.Clone(l.gateway), strings.Clone(l.route), strings.Clone(l.backend),
		strings.Clone(l.cluster), strings.Clone(l.namespace), strings.Clone(l.account),
	}
	values := []string{
		labelValue(l.gateway), labelValue(l.route), labelValue(l.backend),
		labelValue(l.cluster), labelValue(l.namespace), labelValue(l.account),
	}
	return l, &series{
		duration:  m.duration.WithLabelValues(values...),
		firstByte: m.firstByte.WithLabelValues(values...),
		bytesIn:   m.bytesIn.WithLabelValues(values...),
		bytesOut:  m.bytesOut.WithLabelValues(values...),
		requests: newVariants(m.requests, values, func(o outcome) (outcome, []string) {
			o.reason = exchange.Reason(strings.Clone(string(o.reason)))
			return o, []string{strconv.Itoa(o.status), string(o.reason)}
		}),
		attempts: newVariants(m.attempts, values, func(r exchange.Reason) (exchange.Reason, []string) {
			r = exchange.Reason(strings.Clone(string(r)))
			return r, []string{string(r)}
		}),
		denials: newVariants(m.denials, values, judged),
		reports: newVariants(m.reports, values, judged),
	}
}

func judged(j judgement) (judgement, []string) {
	j = judgement{strings.Clone(j.kind), exchange.Reason(strings.Clone(string(j.reason)))}
	return j, []string{j.kind, string(j.reason)}
}

// newVariants makes the counters of a metric under the label set's values; of returns a key that may be kept, and the
// values of its further labels.
func newVariants[K comparable](metric *prometheus.CounterVec, values []string, of func(K) (K, []string)) variants[K] {
	values = slices.Clip(values)
	return variants[K]{
		known: newCache(maxVariants, func(k K) (K, prometheus.Counter) {
			k, further := of(k)
			for i := range further {
				further[i] = labelValue(further[i])
			}
			return k, metric.WithLabelValues(append(values, further...)...)
		}),
		rest: sync.OnceValue(func() prometheus.Counter {
			var zero K
			_, further := of(zero)
			for i := range further {
				further[i] = overflow
			}
			return metric.WithLabelValues(append(values, further...)...)
		}),
	}
}

// policyKind is the Kind of "Kind/namespace/name".
func policyKind(policy string) string {
	kind, _, _ := strings.Cut(policy, "/")
	return kind
}

// labelValue is s as a label may hold it: client_golang panics at what is no UTF-8.
func labelValue(s string) string {
	if len(s) > maxName {
		s = s[:runeStart(s, maxName)]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
