package main

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const wrkText = `Running 7s test @ http://127.0.0.1:18999/v1/get.json
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.81ms    1.67ms  10.15ms   84.41%
    Req/Sec     1.28k    49.92     1.35k    75.00%
  Latency Distribution
     50%  990.00us
     75%    2.47ms
     90%    4.38ms
     99%    1.03s 
  51300 requests in 4.00s, 205.40MB read
Requests/sec:  12825.33
Transfer/sec:     51.35MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkText)
	want := load{requests: 51300, exchanges: 51300, rate: 12825.33, p50: 990 * time.Microsecond, p99: 1030 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("parseWrk = %+v, %v, want %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"refused":        strings.Replace(wrkText, "Requests/sec", "  Non-2xx or 3xx responses: 12\nRequests/sec", 1),
		"broken":         strings.Replace(wrkText, "Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec", 1),
		"no request":     strings.Replace(wrkText, "51300 requests", "0 requests", 1),
		"no latency":     strings.Replace(wrkText, "99%", "98%", 1),
		"other duration": strings.Replace(wrkText, "990.00us", "990.00xs", 1),
		"nothing":        "unable to connect to 127.0.0.1:1 Connection refused\n",
	} {
		if got, err := parseWrk(text); err == nil {
			t.Errorf("%s: parseWrk = %+v, want an error", name, got)
		}
	}
}

const h2loadText = `starting benchmark...
spawning thread #0: 4 total client(s). Timing-based test with 0s of warm-up time and 1s of main duration for measurements.
Warm-up started for thread #0.
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 1.00s, 12825.33 req/s, 25.80MB/s
requests: 12800 total, 12832 started, 12800 done, 12800 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 12801 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 13.80MB (14469000) total, 1.25MB (1310720) headers (space savings 92.33%), 12.50MB (13107712) data
                     min         max         mean         sd        +/- sd
time for request:      115us      7.44ms       362us       276us    97.33%
`

func TestParseH2load(t *testing.T) {
	got, err := parseH2load(h2loadText, 1<<10)
	if want := (load{requests: 12800, exchanges: 12800, rate: 12825.33}); err != nil || got != want {
		t.Errorf("parseH2load = %+v, %v, want %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"refused":   strings.Replace(h2loadText, "12801 2xx, 0 3xx, 0 4xx", "12700 2xx, 0 3xx, 101 4xx", 1),
		"failed":    strings.Replace(h2loadText, "0 failed", "3 failed", 1),
		"no answer": strings.Replace(h2loadText, "12800 succeeded", "0 succeeded", 1),
		"no body":   strings.Replace(h2loadText, "(13107712) data", "(13107199) data", 1),
		"nothing":   "could not connect to the host\n",
	} {
		if got, err := parseH2load(text, 1<<10); err == nil {
			t.Errorf("%s: parseH2load = %+v, want an error", name, got)
		}
	}
}

func TestParseTimes(t *testing.T) {
	var log strings.Builder
	for i := range 200 {
		fmt.Fprintf(&log, "1700000000000000\t200\t%d\n", 200-i)
	}
	p50, p99, err := parseTimes(log.String())
	if err != nil || p50 != 100*time.Microsecond || p99 != 198*time.Microsecond {
		t.Errorf("parseTimes = %v, %v, %v, want 100µs and 198µs", p50, p99, err)
	}
	for _, broken := range []string{"", "1700000000000000\t200\n", "1700000000000000\t200\tx\n"} {
		if p50, p99, err := parseTimes(broken); err == nil {
			t.Errorf("parseTimes(%q) = %v, %v, want an error", broken, p50, p99)
		}
	}
}

func TestSentAt(t *testing.T) {
	var w httptest.ResponseRecorder
	out := eventWriter{w: &w, control: http.NewResponseController(&w)}
	w.Body = new(bytes.Buffer)
	if err := out.send(1234567 * time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(w.Body.String(), "\n")
	if at, ok, err := sentAt(line); at != 1234567 || !ok || err != nil || rest != "\n" {
		t.Errorf("sentAt(%q) = %v, %t, %v; after it %q", line, at, ok, err, rest)
	}
	if _, ok, err := sentAt(""); ok || err != nil {
		t.Errorf("an empty line: %t, %v", ok, err)
	}
	if _, _, err := sentAt(eventBefore + "x,"); err == nil {
		t.Error("an event without a time is no error")
	}
}

func TestCatches(t *testing.T) {
	for status, want := range map[string]bool{
		"SigIgn:\t0000000000000002\nSigCgt:\t0000000000000002\n": true,
		"SigIgn:\t0000000000000002\nSigCgt:\t0000000000004005\n": false,
		"State:\tZ (zombie)\n": false,
	} {
		if got := catches(status, syscall.SIGINT); got != want {
			t.Errorf("catches(%q) = %t", status, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	const line = "4242 (a (b) c) S 17 4242 4242 0 -1 4194560 813 90 0 0 150 50 7 3 20 0 9 0 12345 99 3 18\n"
	got, err := parseStat(line)
	want := spent{parent: 17, own: 2 * time.Second, reaped: 100 * time.Millisecond, resident: 3 * os.Getpagesize()}
	if err != nil || got != want {
		t.Errorf("parseStat = %+v, %v, want %+v", got, err, want)
	}
	for _, broken := range []string{"", "4242 a S 17", "4242 (a) S 17 1", strings.Replace(line, " 150 ", " x ", 1)} {
		if got, err := parseStat(broken); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", broken, got)
		}
	}
}

func TestReadProcesses(t *testing.T) {
	root := t.TempDir()
	for id, line := range map[string]string{
		"1":  "1 (init) S 0 1 1 0 -1 0 0 0 0 0 10 10 1000 0 20 0 1 0 0 0 0",
		"20": "20 (master) S 1 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 0 0 2",
		"21": "21 (worker) R 20 1 1 0 -1 0 0 0 0 0 100 200 0 0 20 0 1 0 0 0 0",
		"22": "22 (worker's) R 21 1 1 0 -1 0 0 0 0 0 0 90 0 0 20 0 1 0 0 0 5",
	} {
		folder := filepath.Join(root, id)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "stat"), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := readProcesses(root)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := all.tree(20), 4*time.Second; got != want {
		t.Errorf("the tree of 20 used %v, want %v", got, want)
	}
	if got, want := all.resident(20), 7*os.Getpagesize(); got != want {
		t.Errorf("the tree of 20 holds %d bytes, want %d", got, want)
	}
	if got, want := all.total(), 14200*time.Millisecond; got != want {
		t.Errorf("all used %v, want %v", got, want)
	}
	if _, err := readProcesses(t.TempDir()); err == nil {
		t.Error("a folder without processes is no error")
	}
}

func TestStolen(t *testing.T) {
	const text = "cpu  9 9 9 9 9 9 9 99 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 20 0 0\ncpu10 1 2 3 4 5 6 7 500 0 0\nintr 1\n"
	if got, err := stolen(text, 0, 1); err != nil || got != 280*time.Millisecond {
		t.Errorf("stolen = %v, %v, want 280ms", got, err)
	}
	if _, err := stolen(text, 0, 2); err == nil {
		t.Error("a core that is not there is no error")
	}
}

func TestParseCores(t *testing.T) {
	for list, want := range map[string][]int{"0-1": {0, 1}, "3": {3}, "0,2-4,9": {0, 2, 3, 4, 9}} {
		got, err := parseCores("Cpus_allowed:\t3\nCpus_allowed_list:\t" + list + "\nMems_allowed:\t1\n")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("parseCores(%s) = %v, %v, want %v", list, got, err, want)
		}
	}
	for _, broken := range []string{"", "Cpus_allowed_list:\tx", "Cpus_allowed_list:\t1-"} {
		if _, err := parseCores(broken); err == nil {
			t.Errorf("parseCores(%q) is no error", broken)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestReport(t *testing.T) {
	samples := func(lines int, costs ...float64) []sample {
		var list []sample
		for _, cost := range costs {
			s := sample{load: load{requests: 1000, exchanges: 1000, rate: 500, p50: 1500 * time.Microsecond, p99: 3 * time.Millisecond}, lines: lines}
			s.cpu = time.Duration(cost * float64(time.Millisecond))
			list = append(list, s)
		}
		return list
	}
	list := works(500)
	get, post, sse, idle := list[0], list[1], list[5], list[6]
	streams := samples(1000, 20)
	streams[0].p99 = 4250 * time.Microsecond
	var out bytes.Buffer
	err := writeReport(&out, "Measured.", []result{
		{work: get, proxy: ebbgate, samples: samples(1000, 30, 10, 20)},
		{work: get, proxy: haproxy, samples: samples(500, 40, 39, 900)},
		{work: get, proxy: nginx, samples: samples(1000, 16, 16, 16)},
		{work: post, proxy: ebbgate, samples: samples(1000, 50), void: 0.42},
		{work: sse, proxy: direct, samples: samples(0, 0)},
		{work: sse, proxy: ebbgate, samples: streams},
		{work: idle, proxy: ebbgate, memory: memory{before: 3 << 19, during: 3<<19 + 1000*5120, streams: 1000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `Measured.

| work | proxy | CPU ms per 1,000 requests | ÷ HAProxy | ÷ nginx | requests/s | p50 ms | p99 ms | |
|---|---|---|---|---|---|---|---|---|
| GET 1 KiB | Ebbgate | 20.0 | 0.50 | 1.25 | 500 | 1.50 | 3.00 |  |
| GET 1 KiB | HAProxy | 40.0 | 1.00 | 2.50 | 500 | 1.50 | 3.00 | **logs too little**: 1500 lines for 3000 requests |
| GET 1 KiB | nginx | 16.0 | 0.40 | 1.00 | 500 | 1.50 | 3.00 |  |
| POST 8 KiB → 16 KiB | Ebbgate | 50.0 | – | – | 500 | 1.50 | 3.00 | **void**: others used up to 42 % of a core |

| streams | proxy | CPU ms per 1,000 events | ÷ HAProxy | ÷ nginx | events/s | p50 ms | p99 ms | added p50 ms | added p99 ms | |
|---|---|---|---|---|---|---|---|---|---|---|
| 500 streams of 20 events/s | direct | – | – | – | 500 | 1.50 | 3.00 | – | – |  |
| 500 streams of 20 events/s | Ebbgate | 20.0 | – | – | 500 | 1.50 | 4.25 | 0.00 | 1.25 |  |

| memory | proxy | KiB a stream | ÷ HAProxy | ÷ nginx | MiB before | |
|---|---|---|---|---|---|---|
| 4500 idle streams | Ebbgate | 5.0 | – | – | 1.5 |  |
`
	if out.String() != want {
		t.Errorf("report:\n%s\nwant:\n%s", &out, want)
	}
}

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-rows", "post", "-only", "nginx,ebbgate", "-seconds", "0.5"}, t.Output())
	if err != nil || len(o.works) != 1 || o.works[0].name != "post" || !slices.Equal(o.proxies, []string{ebbgate, nginx}) || o.each != time.Second/2 {
		t.Errorf("options = %+v, %v", o, err)
	}
	for _, args := range []string{"-rounds 0", "-tries 2", "-tries 101", "-rounds 21", "-seconds 61", "-seconds 0.1", "-seconds NaN", "-rows nothing", "-streams 0", "-streams 2001", "-only squid", "-only nginx -profile x", "more"} {
		if _, err := parseOptions(strings.Fields(args), t.Output()); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

// TestRun measures each proxy for a moment, with their real programs. It asserts that all of them did the work, and that
// nothing is left behind; how fast they were is no test's business.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-rounds", "1", "-seconds", "0.5", "-streams", "20"}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for _, w := range works(20) {
		for _, name := range proxyNames() {
			// How few streams' memory, and their CPU time of a moment, compare is noise.
			figures := ` \| \d+\.\d \| \d+\.\d\d \| \d+\.\d\d \| [1-9]\d* \|`
			if w.streams() {
				figures = ` \| -?\d+\.\d \| `
			}
			row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(w.title) + ` \| ` + title(name) + figures)
			if !row.MatchString(out.String()) {
				t.Errorf("no row of %s for %s", w.title, name)
			}
		}
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	all, err := readProcesses("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for id, s := range all {
		if s.parent == os.Getpid() {
			t.Errorf("process %d is left", id)
		}
	}
}
