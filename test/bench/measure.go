package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tolerated is the part of a core that other processes may use before a measurement does not count.
const tolerated = 0.05

// sample is one measurement of one proxy.
type sample struct {
	load
	cpu      time.Duration // of the proxy
	others   float64       // cores that everything else used
	lines    int           // written to the access log
	profiled bool
}

// cost is the proxy's CPU time for 1,000 requests, or events, in milliseconds.
func (s sample) cost() float64 {
	return s.cpu.Seconds() * 1e6 / float64(s.requests)
}

// result is what was measured of one proxy for one row.
type result struct {
	work    work
	proxy   string
	samples []sample // of rounds that nothing disturbed, or of all where void
	void    float64  // cores that others used where too few rounds were undisturbed; otherwise 0
	memory  memory   // of idle streams, which have no samples
	profile string   // file with the profile of the first round; empty: there is none
}

// measure measures all rows.
func (r *rig) measure(ctx context.Context, o options, progress io.Writer) ([]result, error) {
	var results, weighed []result
	for _, w := range o.works {
		if w.kind == idle {
			var err error
			if weighed, err = r.weigh(ctx, o, w, progress); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range r.proxies { // connections, pools and caches
		for _, w := range o.works {
			if w.streams() { // each opens its own
				continue
			}
			if _, err := r.generate(ctx, p, w, min(o.each, time.Second/2), &meter{r: r, p: p}); err != nil {
				return nil, fmt.Errorf("warm up %s: %w", p.name, err)
			}
		}
	}
	for _, w := range o.works {
		if w.kind == idle {
			continue
		}
		row, err := r.measureRow(ctx, o, w, progress)
		if err != nil {
			return nil, err
		}
		results = append(results, row...)
	}
	return append(results, weighed...), nil
}

// generate puts load on a proxy for a time, between the two looks of a meter.
func (r *rig) generate(ctx context.Context, p *proxy, w work, each time.Duration, m *meter) (load, error) {
	if w.kind == events {
		return r.play(ctx, p, w, each, m)
	}
	run := wrk
	if w.kind == calls {
		run = h2load
	}
	if err := m.begin(); err != nil {
		return load{}, err
	}
	l, err := run(ctx, r.loadCore, p.entries[w.entry], r.scratch, w, each)
	if err != nil {
		return load{}, err
	}
	return l, m.end()
}

// targets are what a row measures, in turn.
func (r *rig) targets(w work) []*proxy {
	if w.kind == events {
		return append([]*proxy{r.direct}, r.proxies...)
	}
	return r.proxies
}

// measureRow measures rounds of all proxies in turn until enough of them were undisturbed, or o.tries are through: a
// machine that is never quiet gets a row that says so.
func (r *rig) measureRow(ctx context.Context, o options, w work, progress io.Writer) ([]result, error) {
	var quiet, all [][]sample
	worst := 0.0
	for len(quiet) < o.rounds && len(all) < o.tries {
		profile := ""
		if len(all) == 0 && o.profile != "" {
			profile = profileOf(o, w)
		}
		round, err := r.measureRound(ctx, o, w, profile)
		if err != nil {
			return nil, err
		}
		others := 0.0
		for _, s := range round {
			others = max(others, s.others)
		}
		fmt.Fprintf(progress, "%s, round %d: %s\n", w.title, len(all)+1, summary(r.targets(w), round, others))
		all = append(all, round)
		if others <= tolerated {
			quiet = append(quiet, round)
		}
		worst = max(worst, others)
	}
	rounds, void := quiet, 0.0
	if len(quiet) < o.rounds {
		rounds, void = all, worst
	}
	var row []result
	for i, p := range r.targets(w) {
		one := result{work: w, proxy: p.name, void: void}
		if p.name == ebbgate && o.profile != "" {
			one.profile = profileOf(o, w)
		}
		for _, round := range rounds {
			one.samples = append(one.samples, round[i])
		}
		row = append(row, one)
	}
	return row, nil
}

// measureRound measures each proxy once, one after the other. A profile is taken where a file is named for it.
func (r *rig) measureRound(ctx context.Context, o options, w work, profile string) ([]sample, error) {
	var round []sample
	for _, p := range r.targets(w) {
		file := profile
		if p.name != ebbgate {
			file = ""
		}
		s, err := r.measureOne(ctx, p, w, o.each, file)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", w.title, p.name, err)
		}
		round = append(round, s)
	}
	return round, nil
}

func (r *rig) measureOne(ctx context.Context, p *proxy, w work, each time.Duration, profile string) (sample, error) {
	if p.process != nil {
		if err := p.process.ended(); err != nil {
			return sample{}, err
		}
	}
	profiled := make(chan error, 1)
	if profile != "" {
		go func() { profiled <- fetchProfile(ctx, p.admin, cpuProfile(each), profile, each) }()
	} else {
		profiled <- nil
	}
	m := meter{r: r, p: p}
	l, err := r.generate(ctx, p, w, each, &m)
	if err != nil {
		return sample{}, err
	}
	if err := <-profiled; err != nil {
		return sample{}, err
	}
	lines, err := p.cutLogs()
	if err != nil {
		return sample{}, err
	}
	others := float64(m.after.others-m.before.others) / float64(m.after.at.Sub(m.before.at))
	return sample{load: l, cpu: m.after.proxy - m.before.proxy, others: max(0, others), lines: lines, profiled: profile != ""}, nil
}

// meter looks at a proxy's CPU time when a load begins and when it ends.
type meter struct {
	r             *rig
	p             *proxy
	before, after moment
}

func (m *meter) begin() (err error) { m.before, err = m.r.look(m.p); return err }
func (m *meter) end() (err error)   { m.after, err = m.r.look(m.p); return err }

// moment is how much CPU time had been used up to a time.
type moment struct {
	at     time.Time
	proxy  time.Duration
	others time.Duration // by all that is not this run, and by what the host took
}

func (r *rig) look(p *proxy) (moment, error) {
	at := time.Now()
	all, err := readProcesses("/proc")
	if err != nil {
		return moment{}, err
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return moment{}, fmt.Errorf("read stolen time: %w", err)
	}
	steal, err := stolen(string(text), r.loadCore, r.proxyCore)
	if err != nil {
		return moment{}, err
	}
	// The load generators, the upstream and the proxies are this process and its children.
	m := moment{at: at, others: all.total() - all.tree(os.Getpid()) + steal}
	if p.process != nil {
		m.proxy = all.tree(p.process.cmd.Process.Pid)
	}
	return m, nil
}

// cutLogs empties a proxy's logs, so that a run takes no more room than a measurement, and counts the access log's lines.
func (p *proxy) cutLogs() (int, error) {
	if p.log == "" {
		return 0, nil
	}
	if p.audit != "" {
		if _, err := cutLog(p.audit); err != nil {
			return 0, err
		}
	}
	return cutLog(p.log)
}

// cutLog empties a log and counts the lines that it had.
func cutLog(name string) (int, error) {
	file, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // a file in our own scratch folder
	if err != nil {
		return 0, fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	lines := 0
	buffer := make([]byte, 256<<10)
	for {
		n, err := file.Read(buffer)
		lines += bytes.Count(buffer[:n], []byte("\n"))
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("read log: %w", err)
		}
	}
	if err := file.Truncate(0); err != nil {
		return 0, fmt.Errorf("empty log: %w", err)
	}
	return lines, nil
}

// profileOf is the file of a row's profile.
func profileOf(o options, w work) string { return filepath.Join(o.profile, w.name+".pprof") }

// cpuProfile has Ebbgate profile itself for about as long as a measurement takes.
func cpuProfile(each time.Duration) string {
	return "profile?seconds=" + strconv.Itoa(max(1, int(each/time.Second)))
}

// heapProfile is what is in memory, by who took it; what stacks take besides is in the metrics.
const heapProfile = "heap?gc=1"

// fetchProfile writes a profile that Ebbgate makes of itself to a file.
func fetchProfile(ctx context.Context, admin, kind, file string, each time.Duration) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/debug/pprof/"+kind, http.NoBody) //nolint:gosec // the address is one that this package chose
	if err != nil {
		return fmt.Errorf("ask for profile: %w", err)
	}
	client := &http.Client{Timeout: each + 30*time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	answer, err := client.Do(request) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch profile: status %d", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a profile holds function names, no data
		return fmt.Errorf("make folder of profiles: %w", err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("write profile: %w", err)
	}
	return nil
}
