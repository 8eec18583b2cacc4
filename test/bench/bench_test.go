package main

import (
	"bytes"
	"math"
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
	want := load{requests: 51300, rate: 12825.33, p50: 990 * time.Microsecond, p99: 1030 * time.Millisecond}
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
	const line = "4242 (a (b) c) S 17 4242 4242 0 -1 4194560 813 90 0 0 150 50 7 3 20 0 9 0 12345 0 0\n"
	got, err := parseStat(line)
	want := spent{parent: 17, own: 2 * time.Second, reaped: 100 * time.Millisecond}
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
		"20": "20 (master) S 1 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 0 0 0",
		"21": "21 (worker) R 20 1 1 0 -1 0 0 0 0 0 100 200 0 0 20 0 1 0 0 0 0",
		"22": "22 (worker's) R 21 1 1 0 -1 0 0 0 0 0 0 90 0 0 20 0 1 0 0 0 0",
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
			s := sample{load: load{requests: 1000, rate: 500, p50: 1500 * time.Microsecond, p99: 3 * time.Millisecond}, lines: lines}
			s.cpu = time.Duration(cost * float64(time.Millisecond))
			list = append(list, s)
		}
		return list
	}
	get, post := works()[0], works()[1]
	var out bytes.Buffer
	err := writeReport(&out, "Measured.", []result{
		{work: get, proxy: ebbgate, samples: samples(1000, 30, 10, 20)},
		{work: get, proxy: haproxy, samples: samples(500, 40, 39, 900)},
		{work: get, proxy: nginx, samples: samples(1000, 16, 16, 16)},
		{work: post, proxy: ebbgate, samples: samples(1000, 50), void: 0.42},
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
	for _, args := range []string{"-rounds 0", "-tries 2", "-tries 101", "-rounds 21", "-seconds 61", "-seconds 0.1", "-seconds NaN", "-rows nothing", "-only squid", "-only nginx -profile x", "more"} {
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
	if err := run(t.Context(), []string{"-rounds", "1", "-seconds", "0.2"}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for _, w := range works() {
		for _, name := range proxyNames() {
			row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(w.title) + ` \| ` + title(name) + ` \| \d+\.\d \| \d+\.\d\d \| \d+\.\d\d \| [1-9]\d* \|`)
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
