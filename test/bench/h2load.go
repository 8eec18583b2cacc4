package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// multiplexed is over how many connections h2load spreads as many requests as wrk has under way.
const multiplexed = 4

// h2load has h2load repeat a work's request at a proxy's address for a time. An answer that is no success is an error.
func h2load(ctx context.Context, core int, address, scratch string, w work, each time.Duration) (load, error) {
	times := filepath.Join(scratch, "h2load.times")
	if err := os.RemoveAll(times); err != nil { //nolint:gosec // a file in our own scratch folder, which h2load would add to
		return load{}, fmt.Errorf("remove h2load's times: %w", err)
	}
	args := []string{
		"-c", strconv.Itoa(core), "h2load", "-t1", "-c" + strconv.Itoa(multiplexed), "-m" + strconv.Itoa(connections/multiplexed),
		"-D", strconv.Itoa(int(each/time.Millisecond)) + "ms", "--log-file=" + times, "-H", ":authority: " + w.host,
	}
	for _, f := range w.fields() {
		args = append(args, "-H", strings.ToLower(f.Name)+": "+f.Value)
	}
	if w.body > 0 {
		args = append(args, "-d", w.upload(scratch))
	}
	scheme := "http://"
	if w.entry == secure {
		scheme = "https://"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, each+30*time.Second, errors.New("h2load does not end"))
	defer cancel()
	cmd := exec.CommandContext(ctx, "taskset", append(args, scheme+address+w.path)...) //nolint:gosec // all arguments are this package's own
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = grace
	err := cmd.Run()
	if ctx.Err() != nil { // the proxies are ending too, and what h2load says of that is no finding
		return load{}, context.Cause(ctx)
	}
	if err != nil {
		return load{}, fmt.Errorf("h2load: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	l, err := parseH2load(out.String(), w.answer)
	if err != nil {
		return load{}, err
	}
	text, err := os.ReadFile(times) //nolint:gosec // as above
	if err != nil {
		return load{}, fmt.Errorf("read h2load's times: %w", err)
	}
	l.p50, l.p99, err = parseTimes(string(text))
	return l, err
}

var (
	h2loadRate     = regexp.MustCompile(`(?m)^finished in \S+, ([\d.]+) req/s,`)
	h2loadRequests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$`)
	h2loadStatus   = regexp.MustCompile(`(?m)^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx$`)
	h2loadData     = regexp.MustCompile(`(?m)^traffic: .* \((\d+)\) data$`)
)

// parseH2load reads what h2load prints. It looks at statuses alone, and a gRPC call that failed has 200 too, but no
// message: so the bytes of the answers must be there.
func parseH2load(text string, answer int) (load, error) {
	rate, counts := h2loadRate.FindStringSubmatch(text), h2loadRequests.FindStringSubmatch(text)
	status, data := h2loadStatus.FindStringSubmatch(text), h2loadData.FindStringSubmatch(text)
	if rate == nil || counts == nil || data == nil {
		return load{}, fmt.Errorf("h2load: output without figures: %q", text)
	}
	if status == nil || counts[2] != "0" || counts[3] != "0" || counts[4] != "0" {
		return load{}, fmt.Errorf("h2load: not all requests succeeded: %s", strings.TrimSpace(counts[0]))
	}
	var l load
	var errs [3]error
	var bytes int
	l.rate, errs[0] = strconv.ParseFloat(rate[1], 64)
	l.requests, errs[1] = strconv.Atoi(counts[1])
	bytes, errs[2] = strconv.Atoi(data[1])
	if err := errors.Join(errs[:]...); err != nil {
		return load{}, fmt.Errorf("h2load: parse figures: %w", err)
	}
	if l.requests == 0 {
		return load{}, errors.New("h2load: no request was answered")
	}
	if bytes < l.requests*answer {
		return load{}, fmt.Errorf("h2load: %d answers of %d bytes have %d bytes", l.requests, answer, bytes)
	}
	l.exchanges = l.requests
	return l, nil
}

// parseTimes reads h2load's log: a request's start, its status, and how long its answer took in microseconds.
func parseTimes(text string) (p50, p99 time.Duration, err error) {
	var took []time.Duration
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return 0, 0, fmt.Errorf("h2load: line of %d columns in its log", len(fields))
		}
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			return 0, 0, fmt.Errorf("h2load: parse its log: %w", err)
		}
		took = append(took, time.Duration(n)*time.Microsecond)
	}
	if len(took) == 0 {
		return 0, 0, errors.New("h2load: its log is empty")
	}
	slices.Sort(took)
	return quantile(took, 50), quantile(took, 99), nil
}

// quantile is the value of a sorted list that so many of a hundred do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}
