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

// ratio is the result's figure in terms of another proxy's for the same row; NaN where that was not measured.
func (r result) ratio(all []result, proxy string, figure func(result) float64) float64 {
	if other, ok := r.beside(all, proxy); ok && r.proxy != direct {
		return figure(r) / figure(other)
	}
	return math.NaN()
}

// beside is what was measured of another proxy for the same row.
func (r result) beside(all []result, proxy string) (result, bool) {
	i := slices.IndexFunc(all, func(other result) bool { return other.proxy == proxy && other.work.name == r.work.name })
	if i < 0 {
		return result{}, false
	}
	return all[i], true
}

// The figures of the tables.
func (r result) cost() float64 {
	if r.proxy == direct {
		return math.NaN()
	}
	return r.of(sample.cost)
}
func (r result) rate() float64 { return r.of(func(s sample) float64 { return s.rate }) }
func (r result) p50() float64  { return r.of(func(s sample) float64 { return milliseconds(s.p50) }) }
func (r result) p99() float64  { return r.of(func(s sample) float64 { return milliseconds(s.p99) }) }
func (r result) each() float64 { return r.memory.each() }

// added is how much a figure is over that without a proxy.
func (r result) added(all []result, figure func(result) float64) float64 {
	if without, ok := r.beside(all, direct); ok && r.proxy != direct {
		return figure(r) - figure(without)
	}
	return math.NaN()
}

// notes are what a reader of the row must know.
func (r result) notes() string {
	var notes []string
	if r.void > 0 {
		notes = append(notes, fmt.Sprintf("**void**: others used up to %.0f %% of a core", 100*r.void))
	}
	lines, exchanges, profiled := 0, 0, false
	for _, s := range r.samples {
		lines, exchanges, profiled = lines+s.lines, exchanges+s.exchanges, profiled || s.profiled
	}
	// A buffer of 64 KiB holds back 500 lines at most from one measurement to the next; wrk's count ends a moment early or late.
	if r.proxy != direct && float64(lines) < 0.99*float64(exchanges)-500 {
		notes = append(notes, fmt.Sprintf("**logs too little**: %d lines for %d requests", lines, exchanges))
	}
	if profiled {
		notes = append(notes, "profiled in the first round")
	}
	return strings.Join(notes, "; ")
}

// writeReport writes the description and the tables of results, as Markdown.
func writeReport(out io.Writer, description string, results []result) error {
	var b strings.Builder
	b.WriteString(description + "\n")
	table(&b, results, func(w work) bool { return !w.streams() }, "work", "CPU ms per 1,000 requests", "requests/s", "p50 ms", "p99 ms")
	table(&b, results, func(w work) bool { return w.kind == events }, "streams", "CPU ms per 1,000 events", "events/s", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms")
	table(&b, results, func(w work) bool { return w.kind == idle }, "memory", "KiB a stream", "MiB before")
	if err := profiles(&b, results); err != nil {
		return err
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// table writes the rows of one kind, where there are any: what it is, the figure that is compared, and the others.
func table(b *strings.Builder, results []result, is func(work) bool, what, figure string, others ...string) {
	begun := false
	for _, r := range results {
		if !is(r.work) {
			continue
		}
		if !begun {
			begun = true
			fmt.Fprintf(b, "\n| %s | proxy | %s | ÷ HAProxy | ÷ nginx | %s | |\n", what, figure, strings.Join(others, " | "))
			b.WriteString(strings.Repeat("|---", 6+len(others)) + "|\n")
		}
		compared, rest := result.cost, []string{number(r.rate(), 0), number(r.p50(), 2), number(r.p99(), 2)}
		switch r.work.kind {
		case events:
			rest = append(rest, number(r.added(results, result.p50), 2), number(r.added(results, result.p99), 2))
		case idle:
			compared, rest = result.each, []string{number(float64(r.memory.before)/(1<<20), 1)}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.work.title, title(r.proxy), number(compared(r), 1),
			number(r.ratio(results, haproxy, compared), 2), number(r.ratio(results, nginx, compared), 2), strings.Join(rest, " | "), r.notes())
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// number has so many digits after the point, and a dash for what was not measured.
func number(value float64, digits int) string {
	if math.IsNaN(value) {
		return "–"
	}
	text := fmt.Sprintf("%.*f", digits, value)
	if strings.Trim(text, "-0.") == "" { // no zero is below zero
		text = strings.TrimPrefix(text, "-")
	}
	return text
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
		if proxies[i].name == direct {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %.1f", title(proxies[i].name), s.cost()))
	}
	return fmt.Sprintf("%s CPU ms per 1,000; others used up to %.1f %% of a core", strings.Join(parts, ", "), 100*others)
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
