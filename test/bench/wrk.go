package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// connections are what wrk keeps open to the proxy.
const connections = 32

// load is what a load generator says about one run.
type load struct {
	requests  int     // or events
	exchanges int     // requests, or streams: what an access log has a line of
	rate      float64 // requests or events a second
	p50, p99  time.Duration
}

// wrk has wrk repeat a work's request at a proxy's address for a time. An answer that is no success is an error.
func wrk(ctx context.Context, core int, address, scratch string, w work, each time.Duration) (load, error) {
	// wrk takes whole seconds alone. Interrupted, it prints what it has, so that its own bound is only the last resort.
	longest := strconv.Itoa(int(each/time.Second) + 2)
	cmd := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(core), "wrk", "-t1", "-c"+strconv.Itoa(connections), //nolint:gosec // all arguments are this package's own
		"-d"+longest+"s", "--latency", "-s", w.script(scratch), "http://"+address+w.path)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return load{}, fmt.Errorf("start wrk: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := interrupt(cmd.Process, each, ended)
	if ctx.Err() != nil { // the proxies are ending too, and what wrk says of that is no finding
		return load{}, context.Cause(ctx)
	}
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return parseWrk(out.String())
}

// interrupt interrupts a process once it has been ready for that for a time, and returns how it ended. Before it is
// ready an interrupt would end it without a word, and on a busy machine that can last.
func interrupt(process *os.Process, each time.Duration, ended <-chan error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var over <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			status, err := os.ReadFile("/proc/" + strconv.Itoa(process.Pid) + "/status")
			if err == nil && catches(string(status), syscall.SIGINT) {
				over = time.After(each)
				tick.Stop()
			}
		case <-over:
			_ = process.Signal(syscall.SIGINT) // where it has ended meanwhile, ended says so
		}
	}
}

// catches reports whether a process has a handler for a signal, from the text of /proc/PID/status.
func catches(status string, signal syscall.Signal) bool {
	_, rest, _ := strings.Cut(status, "SigCgt:")
	mask, _, _ := strings.Cut(rest, "\n")
	bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
	return err == nil && bits&(1<<(signal-1)) != 0
}

// parseWrk reads what wrk --latency prints.
func parseWrk(text string) (load, error) {
	if m := regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses: .*|Socket errors: .*)$`).FindStringSubmatch(text); m != nil {
		return load{}, fmt.Errorf("wrk: not all requests succeeded: %s", m[1])
	}
	m := regexp.MustCompile(`(?s)\s50%\s+(\S+)\s.*\s99%\s+(\S+)\s.*?(\d+) requests in .*Requests/sec:\s+([\d.]+)`).FindStringSubmatch(text)
	if m == nil {
		return load{}, fmt.Errorf("wrk: output without figures: %q", text)
	}
	var l load
	var errs [4]error
	l.p50, errs[0] = time.ParseDuration(m[1]) // wrk writes us, ms, s, m, as Go does
	l.p99, errs[1] = time.ParseDuration(m[2])
	l.requests, errs[2] = strconv.Atoi(m[3])
	l.rate, errs[3] = strconv.ParseFloat(m[4], 64)
	if err := errors.Join(errs[:]...); err != nil {
		return load{}, fmt.Errorf("wrk: parse figures: %w", err)
	}
	if l.requests == 0 {
		return load{}, errors.New("wrk: no request was answered")
	}
	l.exchanges = l.requests
	return l, nil
}
