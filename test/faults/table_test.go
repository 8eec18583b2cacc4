package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// setups are rules that may send again.
var setups = []struct {
	name  string
	two   bool // a second backend, which is healthy
	retry bool // a `retry` of the route
}{
	{name: "one backend"},
	{name: "one backend, `retry`", retry: true},
	{name: "two backends", two: true},
	{name: "two backends, `retry`", two: true, retry: true},
}

// cell is one exchange of the table.
type cell struct {
	fault   int
	version version
	client  int
	request int
	setup   int
}

func (c cell) path() string {
	return fmt.Sprintf("/%d-%d-%d-%d-%d/", c.fault, c.version, c.client, c.request, c.setup)
}

func (c cell) name(backend string) string { return strings.Trim(c.path(), "/") + "-" + backend }

func (c cell) String() string {
	return fmt.Sprintf("%s: %s over %s to %s, %s", faults[c.fault].name, requests[c.request].name, clients[c.client].name, c.version, setups[c.setup].name)
}

// outcome is what one exchange came to.
type outcome struct {
	view
	ended
	first, second int  // requests that arrived there
	partial       bool // the second got a body that is not the client's
}

// results are collected from rigs that run beside each other.
type results struct {
	mu  sync.Mutex
	all map[cell]outcome
}

// TestFaults runs the table, a rig for each fault and version of the far side.
func TestFaults(t *testing.T) {
	got := &results{all: map[cell]outcome{}}
	var made [][]seenCall
	var streams *sync.Map
	t.Run("rig", func(t *testing.T) {
		made = runCalls(t)
		streams = runStreams(t)
		for i := range faults {
			for _, v := range versions {
				if faults[i].only != "" && faults[i].only != v.String() {
					continue
				}
				t.Run(fmt.Sprintf("%d/%s", i, v), func(t *testing.T) {
					t.Parallel()
					runFault(t, i, v, got)
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	for c, o := range got.all {
		for _, broken := range broken(c, o) {
			t.Errorf("%s: %s\n\t%+v", c, broken, o)
		}
	}
	checkPage(t, render(got.all)+grpcIntro+grpcTable(t, made)+streamIntro+streamTable(t, streams))
}

// runFault asks all that there is to ask of one far side, at once.
func runFault(t *testing.T, index int, v version, got *results) {
	f := &faults[index]
	s := &site{root: testkit.CA(t, "root")}
	failing := f.start(t, v, s)
	other := testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(healthy), Protocols: v.protocols(false)})
	var cells []cell
	var backends []*plan.Backend
	var rules []*plan.Rule
	for client := range clients {
		for request := range requests {
			for setup, u := range setups {
				c := cell{index, v, client, request, setup}
				targets := []plan.RuleBackend{{Backend: "Backend/t/" + c.name("a"), Weight: exclusively}}
				backends = append(backends, backend(c.name("a"), failing))
				if u.two {
					targets = append(targets, plan.RuleBackend{Backend: "Backend/t/" + c.name("b"), Weight: 1})
					backends = append(backends, backend(c.name("b"), far{address: other.Addr(), protocol: v.protocol()}))
				}
				one := rule(len(rules), c.path(), targets...)
				one.Timeouts = f.timeouts
				if u.retry {
					one.Retry = &plan.Retry{Attempts: 1, Backoff: time.Millisecond}
				}
				rules, cells = append(rules, one), append(cells, c)
			}
		}
	}
	r := newRig(t, f.settings, s.root.PEM(), backends, rules)
	var running sync.WaitGroup
	for _, c := range cells {
		running.Go(func() {
			o, err := r.run(t.Context(), c, s.record, other.Record)
			if err != nil {
				t.Errorf("%s: %v\n\t%+v", c, err, o)
			}
			got.mu.Lock()
			defer got.mu.Unlock()
			got.all[c] = o
		})
	}
	running.Wait()
}

// run is one exchange.
func (r *rig) run(parent context.Context, c cell, first, second *upstream.Record) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	if faults[c.fault].pooled {
		if o.view, err = overHTTP1(ctx, r.address, c.path()+warm, requests[0], func() {}, closed()); err != nil {
			return o, fmt.Errorf("warm up: %w", err)
		}
		if _, err := r.seen.wait(ctx, c.path()+warm); err != nil {
			return o, err
		}
	}
	begun := make(chan struct{})
	more := make(chan struct{})
	go func() { // the second half goes out once somebody waits for it
		defer close(more)
		asked := func() bool {
			return count(second, c.path()) > 0 || count(first, c.path()) > faults[c.fault].fails()
		}
		waiting, stop := context.WithCancel(ctx)
		defer stop()
		var both sync.WaitGroup
		for _, record := range []*upstream.Record{first, second} {
			if record != nil {
				both.Go(func() {
					_ = record.Wait(waiting, asked)
					if asked() {
						stop()
					}
				})
			}
		}
		select {
		case <-begun:
			stop()
		case <-waiting.Done():
		}
		both.Wait()
	}()
	began := sync.OnceFunc(func() { close(begun) })
	o.view, err = clients[c.client].do(ctx, r.address, c.path(), requests[c.request], began, more)
	began()
	<-more
	if err != nil {
		return o, fmt.Errorf("the client: %w", err)
	}
	if o.ended, err = r.seen.wait(ctx, c.path()); err != nil {
		return o, err
	}
	o.first, o.second = count(first, c.path()), count(second, c.path())
	for _, got := range arrived(second, c.path()) {
		want := ""
		if requests[c.request].body {
			want = wholeBody
		}
		o.partial = o.partial || !got.Complete || string(got.Body) != want
	}
	return o, nil
}

func count(r *upstream.Record, path string) int { return len(arrived(r, path)) }

// arrived are the requests of a path.
func arrived(r *upstream.Record, path string) (list []upstream.Request) {
	if r == nil {
		return nil
	}
	for _, request := range r.Requests() {
		if request.Target == path {
			list = append(list, request)
		}
	}
	return list
}
