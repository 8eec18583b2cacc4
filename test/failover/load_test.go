package failover

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const workers = 32

// sample is one request as its client saw it.
type sample struct {
	at     time.Duration // its end, since the beginning
	took   time.Duration
	status int
	from   string
	reason string
}

// load is clients that each send one request after the other.
type load struct {
	begun   time.Time
	over    atomic.Bool
	all     sync.WaitGroup
	mu      sync.Mutex
	samples []sample
}

func startLoad(t *testing.T, address, method string) *load {
	t.Helper()
	l := &load{begun: time.Now()}
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	t.Cleanup(transport.CloseIdleConnections)
	for range workers {
		l.all.Go(func() {
			var own []sample
			for !l.over.Load() {
				own = append(own, l.one(t, transport, method, "http://"+address+"/"))
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.samples = append(l.samples, own...)
		})
	}
	return l
}

func (l *load) one(t *testing.T, transport *http.Transport, method, url string) sample {
	began := time.Now()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Error(err)
		return sample{}
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Errorf("the gateway gave no answer: %v", err)
		l.over.Store(true)
		return sample{at: time.Since(l.begun)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("the gateway's answer is cut: %v", err)
	}
	s := sample{at: time.Since(l.begun), took: time.Since(began), status: res.StatusCode, from: res.Header.Get("X-From")}
	if strings.Contains(string(body), `"outcome_unknown"`) {
		s.reason = "outcome_unknown"
	}
	return s
}

// stop ends it, and gives what was seen in the order of time.
func (l *load) stop() []sample {
	l.over.Store(true)
	l.all.Wait()
	slices.SortFunc(l.samples, func(a, b sample) int { return int(a.at - b.at) })
	return l.samples
}

// within are the samples of a time.
func within(all []sample, from, to time.Duration) []sample {
	at := func(d time.Duration) int {
		i, _ := slices.BinarySearchFunc(all, d, func(s sample, d time.Duration) int { return int(s.at - d) })
		return i
	}
	return all[at(from):at(max(from, to))]
}

// percentile is of how long requests took.
func percentile(all []sample, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	took := make([]time.Duration, len(all))
	for i, s := range all {
		took[i] = s.took
	}
	slices.Sort(took)
	return took[min(int(p*float64(len(took))), len(took)-1)]
}

// share is how many of the samples a destination served, as a part of them.
func share(all []sample, from string) float64 {
	n := 0
	for _, s := range all {
		if s.from == from && s.status == http.StatusOK {
			n++
		}
	}
	return float64(n) / float64(max(len(all), 1))
}
