package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// median of values; the mean of the middle two where there is an even number of them, and NaN where there is none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// of is the median of one figure of all samples.
func (r result) of(figure func(sample) float64) float64 {
	var values []float64
	for _, s := range r.samples {
		values = append(values, figure(s))
	}
	return median(values)
}

// ratio is the result's cost in terms of another proxy's for the same row; NaN where that was not measured.
func (r result) ratio(all []result, proxy string) float64 {
	for _, other := range all {
		if other.proxy == proxy && other.work.name == r.work.name {
			return r.of(sample.cost) / other.of(sample.cost)
		}
	}
	return math.NaN()
}

// notes are what a reader of the row must know.
func (r result) notes() string {
	var notes []string
	if r.void > 0 {
		notes = append(notes, fmt.Sprintf("**void**: others used up to %.0f %% of a core", 100*r.void))
	}
	lines, requests, profiled := 0, 0, false
	for _, s := range r.samples {
		lines, requests, profiled = lines+s.lines, requests+s.requests, profiled || s.profiled
	}
	// A buffer of 64 KiB holds back 500 lines at most from one measurement to the next; wrk's count ends a moment early or late.
	if float64(lines) < 0.99*float64(requests)-500 {
		notes = append(notes, fmt.Sprintf("**logs too little**: %d lines for %d requests", lines, requests))
	}
	if profiled {
		notes = append(notes, "profiled in the first round")
	}
	return strings.Join(notes, "; ")
}

// writeReport writes the description and the table of results, as Markdown.
func writeReport(out io.Writer, description string, results []result) error {
	var b strings.Builder
	b.WriteString(description)
	b.WriteString("\n\n| work | proxy | CPU ms per 1,000 requests | ÷ HAProxy | ÷ nginx | requests/s | p50 ms | p99 ms | |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.work.title, title(r.proxy),
			number(r.of(sample.cost), 1), number(r.ratio(results, haproxy), 2), number(r.ratio(results, nginx), 2),
			number(r.of(func(s sample) float64 { return s.rate }), 0),
			number(r.of(func(s sample) float64 { return milliseconds(s.p50) }), 2),
			number(r.of(func(s sample) float64 { return milliseconds(s.p99) }), 2), r.notes())
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func number(value float64, digits int) string {
	if math.IsNaN(value) {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, value)
}

func title(proxy string) string {
	switch proxy {
	case ebbgate:
		return "Ebbgate"
	case haproxy:
		return "HAProxy"
	}
	return proxy
}

// summary is one round on one line.
func summary(proxies []*proxy, round []sample, others float64) string {
	var parts []string
	for i, s := range round {
		parts = append(parts, fmt.Sprintf("%s %.1f", title(proxies[i].name), s.cost()))
	}
	return fmt.Sprintf("%s CPU ms per 1,000 requests; others used up to %.1f %% of a core", strings.Join(parts, ", "), 100*others)
}

// describe says what was measured, and on what.
func (r *rig) describe(o options) string {
	var names []string
	for _, p := range r.proxies {
		names = append(names, strings.TrimSpace(title(p.name)+" "+p.version))
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease") // a report without them is a report
	information, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(information); m != nil {
		model = string(m[1])
	}
	return fmt.Sprintf("%s: medians of %d rounds of %v each, %d connections. %s, Linux %s, %s.", strings.Join(names, ", "), o.rounds, o.each,
		connections, model, strings.TrimSpace(string(release)), runtime.Version())
}
