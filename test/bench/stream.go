package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of what streams may take.
const (
	maxStreams = 2000
	maxRoutes  = 20000
	opening    = 32 // opened at a time
)

// audience are clients that each read one stream.
type audience struct {
	source  *eventSource
	show    *show
	client  *http.Client
	url     string
	host    string
	bearer  string
	ready   sync.WaitGroup // of streams whose first event has come, or that failed
	left    sync.WaitGroup // of streams that have ended
	turns   chan struct{}
	mu      sync.Mutex
	latency []time.Duration // of all events but each stream's first
	failed  error
	cancel  context.CancelFunc
}

// gather opens all streams of a show at a proxy's address, or without one at the source's, and returns once the first
// event of each has come. After that finish must be called.
func (r *rig) gather(ctx context.Context, p *proxy, w work, count, events int) (*audience, error) {
	a := &audience{
		source: r.events, show: &show{streams: count, events: events, begin: make(chan struct{})},
		url: "http://" + p.entries[clear] + w.path, host: w.host, bearer: "placeholder", turns: make(chan struct{}, opening),
	}
	if p.name == direct {
		a.url, a.bearer = "https://"+p.entries[clear]+w.path, key
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	a.client = &http.Client{Transport: &http.Transport{
		Proxy: nil, Protocols: &protocols, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: r.roots, ServerName: hostname, MinVersion: tls.VersionTLS13},
	}}
	ctx, a.cancel = context.WithTimeoutCause(ctx, time.Duration(events)*period+time.Minute, errors.New("the streams do not end"))
	r.events.show.Store(a.show)
	a.ready.Add(count)
	for range count {
		a.left.Go(func() { a.watch(ctx) })
	}
	a.ready.Wait()
	if err := a.failure(); err != nil {
		_, _ = a.finish()
		return nil, err
	}
	return a, nil
}

// begin has the streams begin.
func (a *audience) begin() {
	a.show.start = time.Now()
	close(a.show.begin)
}

// wait returns once all streams have ended.
func (a *audience) wait() { a.left.Wait() }

// finish closes all connections, and returns how long each event was under way.
func (a *audience) finish() ([]time.Duration, error) {
	a.cancel()
	a.left.Wait()
	a.client.CloseIdleConnections()
	a.source.show.Store(nil)
	return a.latency, a.failure()
}

func (a *audience) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// watch reads one stream to its end. The first that fails ends all.
func (a *audience) watch(ctx context.Context) {
	first := sync.OnceFunc(a.ready.Done)
	defer first()
	took, err := a.read(ctx, first)
	if err == nil && len(took) != a.show.events {
		err = fmt.Errorf("%d events in place of %d", len(took), a.show.events)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency = append(a.latency, took...)
	if err != nil && a.failed == nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		a.failed = fmt.Errorf("read a stream: %w", err)
		a.cancel()
	}
}

// read reads one stream and returns how long its events were under way; it calls first with the first of them, which is
// no part of that.
func (a *audience) read(ctx context.Context, first func()) ([]time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Host = a.host
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+a.bearer)
	a.turns <- struct{}{}
	answer, err := a.client.Do(request)
	<-a.turns
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // for the message alone
		return nil, fmt.Errorf("status %d: %s", answer.StatusCode, text)
	}
	took := make([]time.Duration, 0, a.show.events)
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 1<<10), 4<<10)
	opened := false
	for lines.Scan() {
		now := a.source.now()
		at, ok, err := sentAt(lines.Text())
		switch {
		case err != nil:
			return nil, err
		case !ok:
		case !opened:
			opened = true
			first()
		default:
			took = append(took, now-at)
		}
	}
	return took, lines.Err()
}

// play measures streams that have an event each period, for a time.
func (r *rig) play(ctx context.Context, p *proxy, w work, each time.Duration, m *meter) (load, error) {
	count := max(1, int(each/period))
	a, err := r.gather(ctx, p, w, r.streams, count)
	if err != nil {
		return load{}, err
	}
	err = m.begin()
	a.begin()
	a.wait()
	took := time.Since(a.show.start)
	err = errors.Join(err, m.end())
	latency, failed := a.finish()
	if err := errors.Join(err, failed); err != nil {
		return load{}, err
	}
	slices.Sort(latency)
	return load{
		requests: len(latency), exchanges: r.streams, rate: float64(len(latency)) / took.Seconds(),
		p50: quantile(latency, 50), p99: quantile(latency, 99),
	}, nil
}
