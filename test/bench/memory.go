package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// idleTimes is how many streams are measured idle for each of those that have events.
const idleTimes = 9

// settled is how long streams are idle before their memory is looked at: a proxy may take a moment to give some back.
const settled = 3 * time.Second

// memory is what a proxy's processes held.
type memory struct {
	before, during int // bytes, without streams and with them
	streams        int
}

// each is what a stream takes, in KiB.
func (m memory) each() float64 { return float64(m.during-m.before) / float64(m.streams) / 1024 }

// weigh measures the memory of idle streams, of each proxy once: before any other load, because memory that once was
// used may be kept, and would not be counted.
func (r *rig) weigh(ctx context.Context, o options, w work, progress io.Writer) ([]result, error) {
	var results []result
	for _, p := range r.proxies {
		m, err := r.weighOne(ctx, o, p, w)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", w.title, p.name, err)
		}
		fmt.Fprintf(progress, "%s: %s %.1f KiB each\n", w.title, title(p.name), m.each())
		results = append(results, result{work: w, proxy: p.name, memory: m})
	}
	return results, nil
}

func (r *rig) weighOne(ctx context.Context, o options, p *proxy, w work) (memory, error) {
	m := memory{streams: idleTimes * r.streams}
	before, err := readProcesses("/proc")
	if err != nil {
		return memory{}, err
	}
	a, err := r.gather(ctx, p, w, m.streams, 0)
	if err != nil {
		return memory{}, err
	}
	select {
	case <-time.After(settled):
	case <-ctx.Done():
	}
	during, err := readProcesses("/proc")
	if p.name == ebbgate && o.profile != "" {
		err = errors.Join(err, fetchProfile(ctx, p.admin, heapProfile, profileOf(o, w), o.each))
	}
	a.begin() // which ends them
	a.wait()
	_, failed := a.finish()
	if err := errors.Join(err, failed); err != nil {
		return memory{}, err
	}
	id := p.process.cmd.Process.Pid
	m.before, m.during = before.resident(id), during.resident(id)
	return m, nil
}
