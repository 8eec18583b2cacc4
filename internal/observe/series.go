package observe

import (
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// overflow is the label value of what came when a bound was reached.
const overflow = "overflow"

// maxVariants bounds, within a label set and a metric, the combinations of status and reason and the like: a backend
// chooses its status codes freely.
const maxVariants = 64

// labels is one label set.
type labels struct{ gateway, route, backend, cluster, namespace, account string }

// values are in the order of labelNames, with room for further ones.
func (l *labels) values() []string {
	return append(make([]string, 0, len(labelNames)+2), l.gateway, l.route, l.backend, l.cluster, l.namespace, l.account)
}

// clean is the label set as it may be shown.
func (l labels) clean() labels {
	for _, s := range [...]*string{&l.gateway, &l.route, &l.backend, &l.cluster, &l.namespace, &l.account} {
		*s = labelValue(*s)
	}
	return l
}

// clone is a copy in memory of its own, all in one piece: the original may point into a connection's buffer.
func (l labels) clone() labels {
	// Not by +, which copies nothing where all but one are empty.
	text := strings.Join([]string{l.gateway, l.route, l.backend, l.cluster, l.namespace, l.account}, "")
	for _, s := range [...]*string{&l.gateway, &l.route, &l.backend, &l.cluster, &l.namespace, &l.account} {
		n := len(*s)
		*s, text = text[:n], text[n:]
	}
	return l
}

// coarser is what a label set is counted under where there is no room for it: without the client, then without anything.
func (l labels) coarser() labels {
	if l.kind() != named {
		return labels{overflow, overflow, overflow, overflow, overflow, overflow}
	}
	l.cluster, l.namespace, l.account = overflow, overflow, overflow
	return l
}

// kind is what a label set names; each kind has a bound of its own.
type kind int

const (
	named     kind = iota // the client
	anonymous             // no client
	nothing
	kinds
)

func (l *labels) kind() kind {
	switch {
	case l.cluster != overflow || l.namespace != overflow || l.account != overflow:
		return named
	case l.gateway != overflow || l.route != overflow || l.backend != overflow:
		return anonymous
	}
	return nothing
}

// series are the counters of one label set.
type series struct {
	labels labels
	hash   uint64

	duration, firstByte histogram
	bytesIn, bytesOut   atomic.Int64

	requests, attempts, denials, reports variants

	// Since when the plan lacks it, and its uses until then; the table's lock guards them.
	left     time.Time
	leftWith uint64
}

// uses grows with whatever is counted.
func (s *series) uses() uint64 {
	return s.requests.sum() + s.attempts.sum() + s.denials.sum() + s.reports.sum()
}

// bounds are the histograms' buckets: from a cached answer to the longest a model thinks.
var bounds = [...]time.Duration{
	5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	1 * time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
}

// histogram counts each duration in one bucket; the scrape adds them up. Its count is their sum, so that the two agree
// whenever they are read.
type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64 // the last is of what is beyond all bounds
	micros atomic.Int64                   // a sum in nanoseconds would overflow within days of many long streams
}

// observe counts d, which is not negative.
func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.micros.Add(d.Round(time.Microsecond).Microseconds())
}

// variant is a counter of a label set and a metric by the metric's further labels, of which each metric shows its own.
type variant struct {
	status int
	kind   string // of the policy that denied; empty for the engine itself
	reason exchange.Reason
}

// rest is what is counted of variants for which there is no room.
var rest = variant{-1, overflow, overflow}

// clean is the variant as it may be shown. What already looks like the rest is part of it, lest a series show up twice.
func (v variant) clean() variant {
	if v.reason == overflow {
		return rest
	}
	return variant{v.status, labelValue(v.kind), exchange.Reason(labelValue(string(v.reason)))}
}

func (v variant) clone() variant {
	return variant{v.status, strings.Clone(v.kind), exchange.Reason(strings.Clone(string(v.reason)))}
}

// count is an entry of variants.
type count struct {
	of   variant
	n    atomic.Uint64
	next atomic.Pointer[count]
}

// variants is a list that only grows, at its end: it is read without a lock, and what came first, and so probably comes
// most, is found first.
type variants struct{ first atomic.Pointer[count] }

func (v *variants) find(of variant) *count {
	for c := v.first.Load(); c != nil; c = c.next.Load() {
		if c.of == of {
			return c
		}
	}
	return nil
}

// add appends an entry for the variant, or for the rest where there is no room. The table's lock is held.
func (v *variants) add(of variant) *count {
	if c := v.find(of); c != nil { // another was quicker
		return c
	}
	end, n := &v.first, 0
	for c := end.Load(); c != nil; c = end.Load() {
		end = &c.next
		n++
	}
	if n >= maxVariants {
		of = rest
	}
	c := &count{of: of.clone()}
	end.Store(c)
	return c
}

func (v *variants) sum() uint64 {
	sum := uint64(0)
	for c := v.first.Load(); c != nil; c = c.next.Load() {
		sum += c.n.Load()
	}
	return sum
}

// policyKind is the Kind of "Kind/namespace/name".
func policyKind(policy string) string {
	kind, _, _ := strings.Cut(policy, "/")
	return kind
}

// labelValue is s as a label may hold it: client_golang refuses what is no UTF-8.
func labelValue(s string) string {
	if len(s) > maxName {
		s = s[:runeStart(s, maxName)]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
