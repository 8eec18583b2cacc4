package observe

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// client is an exchange of the numbered client on the numbered route.
func client(route, account int) *exchange.Exchange {
	x := served()
	x.Route, x.Client.ServiceAccount = fmt.Sprint("HTTPRoute/ai/", route), fmt.Sprint("invoice-", account)
	return x
}

// TestLabelSetsAreSmall holds what a client costs that was answered, limited, refused and failed over.
func TestLabelSetsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const sets, bound = 1400, 1536
	o := newObserver(t, Config{})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one took from pools
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range sets {
		for _, status := range []int{200, 429} {
			x := client(i%10, i)
			x.Response.Status = status
			o.End(x)
		}
		x := client(i%10, i)
		x.Attempts[0].Reason, x.Refusal, x.Response.Status = exchange.ConnectFailed, exchange.Refuse(exchange.ConnectFailed, ""), 502
		o.End(x)
		x = client(i%10, i)
		x.Attempts, x.Refusal, x.Response.Status = nil, exchange.Refuse(exchange.HostDenied, ""), 403
		o.End(x)
	}
	size := (heap() - before) / sets
	t.Logf("%d bytes a label set", size)
	if size > bound {
		t.Errorf("a label set takes %d bytes, want %d at most", size, bound)
	}
	if n := counted(t, o, "ebbgate_requests_total"); n != 4*sets {
		t.Errorf("%d requests counted, want %d", n, 4*sets)
	}
	runtime.KeepAlive(o)
}

func TestTableFindsEverySet(t *testing.T) {
	table := newTable(10_000)
	set := func(i int) labels { return labels{route: fmt.Sprint(i), backend: "b"} }
	found := map[*series]bool{}
	for range 3 {
		for i := range 5000 {
			s := table.get(set(i))
			if s.labels != set(i) {
				t.Fatalf("set %d: %v", i, s.labels)
			}
			found[s] = true
		}
	}
	if len(found) != 5000 || table.len() != 5000 {
		t.Errorf("%d sets made and %d held, want 5000", len(found), table.len())
	}
}

// TestLookalikes has labels that are the same once they are shown, or that look like the overflow: a series that shows
// up twice would spoil the whole scrape.
func TestLookalikes(t *testing.T) {
	o := newObserver(t, Config{MaxSeries: 12})
	for _, name := range []string{"\xff", "\xfe", "\ufffd", overflow} {
		for _, reason := range []exchange.Reason{"\xff", "\xfe", "\ufffd", overflow} {
			x := answered()
			x.Client.Cluster, x.Client.Namespace, x.Client.ServiceAccount = name, name, name
			x.Refusal = &exchange.Refusal{Reason: reason, Policy: name}
			x.Attempts[0].Reason = reason
			o.End(x)
		}
	}
	for i := range 20 {
		o.End(client(i, i))
	}
	for i := range 2 * maxVariants {
		x := answered()
		x.Refusal = &exchange.Refusal{Reason: exchange.Reason(fmt.Sprint(i)), Policy: "p"}
		x.Attempts[0].Reason = x.Refusal.Reason
		o.End(x)
	}
	const all = 16 + 20 + 2*maxVariants
	if n := counted(t, o, "ebbgate_requests_total"); n != all { // counted fails where the scrape does
		t.Errorf("%d requests counted, want %d", n, all)
	}
	if n := counted(t, o, "ebbgate_denied_total"); n != all-20 {
		t.Errorf("%d denials counted, want %d", n, all-20)
	}
}

func TestHistogram(t *testing.T) {
	o := newObserver(t, Config{})
	for _, d := range []time.Duration{-1, 0, 5 * time.Millisecond, 5*time.Millisecond + 1, 600 * time.Second, 601 * time.Second} {
		x := served()
		x.Duration = d
		o.End(x)
	}
	page := scrape(t, o)
	const name = `ebbgate_request_duration_seconds`
	const set = `{backend="Backend/ai/openai",cluster="edge",gateway="ai/egress",namespace="payments",route="HTTPRoute/ai/chat",service_account="invoice"`
	for _, want := range []string{
		`_bucket` + set + `,le="0.005"} 3`, `_bucket` + set + `,le="0.025"} 4`, `_bucket` + set + `,le="300"} 4`,
		`_bucket` + set + `,le="600"} 5`, `_bucket` + set + `,le="+Inf"} 6`, `_sum` + set + `} 1201.01`, `_count` + set + `} 6`,
	} {
		if !strings.Contains(page, name+want+"\n") {
			t.Errorf("no %s%s", name, want)
		}
	}
	if n := strings.Count(page, name+"_bucket{"); n != 15 {
		t.Errorf("%d buckets, want 15", n)
	}
}

func TestRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObserver(t, Config{MaxSeries: 12})
		requests := func(route, account, want int) {
			t.Helper()
			line := fmt.Sprintf(`route="HTTPRoute/ai/%d",service_account="invoice-%d"} %d`, route, account, want)
			page := scrape(t, o)
			if want == 0 {
				line = fmt.Sprintf(`route="HTTPRoute/ai/%d",service_account="invoice-%d"`, route, account)
			}
			if strings.Contains(page, line) != (want > 0) {
				t.Errorf("route %d, client %d: not %d requests", route, account, want)
			}
		}
		without := func(gone ...int) {
			o.Retain(func(gateway, route, backend string) bool {
				if gateway != "ai/egress" || backend != "Backend/ai/openai" {
					t.Errorf("asked for %q, %q, %q", gateway, route, backend)
				}
				for _, r := range gone {
					if route == fmt.Sprint("HTTPRoute/ai/", r) {
						return false
					}
				}
				return true
			})
		}
		for i := range 8 { // as many as have room
			o.End(client(i%4, i))
		}
		without(1, 2, 3)
		requests(1, 1, 1) // to be seen by a last scrape
		time.Sleep(grace / 2)
		o.End(client(2, 2)) // a long stream ends
		without(1, 2)       // and route 3 is back
		time.Sleep(grace / 2)
		requests(1, 1, 1) // the scrape that forgets it
		requests(1, 1, 0)
		requests(1, 5, 0)
		requests(2, 2, 2)
		requests(3, 3, 1)
		o.End(client(3, 3))
		requests(3, 3, 2)
		time.Sleep(grace)
		without(1, 2)
		requests(2, 2, 0)
		o.End(client(0, 0))
		requests(0, 0, 2)
		for i := 8; i < 12; i++ { // into the room that was made
			o.End(client(0, i))
			requests(0, i, 1)
		}
		o.End(client(0, 13))
		requests(0, 13, 0)
		for route := range 6 { // more routes than have room without clients
			o.End(client(route, 14))
		}
		o.Retain(func(gateway, _, _ string) bool {
			if gateway == overflow {
				t.Error("asked for the overflow")
			}
			return false
		})
		time.Sleep(grace)
		_ = scrape(t, o)
		if page := scrape(t, o); strings.Count(page, "\nebbgate_requests_total{") != 1 || !strings.Contains(page, `route="overflow"`) {
			t.Errorf("the overflow alone is to be left:\n%s", page)
		}
	})
}

// TestRetainLosesNothing forgets and makes sets while others are counted.
func TestRetainLosesNothing(t *testing.T) {
	table := newTable(4000)
	const each = 2000
	keep := func(_, route, _ string) bool { return route == "live" }
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range each {
				table.count(&table.get(labels{route: "live", account: fmt.Sprint(i % 50)}).requests, variant{status: i % 5})
				table.get(labels{route: "gone", account: fmt.Sprint(worker, i)})
			}
		})
	}
	for now, i := time.Now(), time.Duration(0); i < 200; i++ {
		table.retain(keep, now.Add(i*grace))
	}
	wg.Wait()
	end := time.Now().Add(1000 * grace)
	table.retain(keep, end)
	table.retain(keep, end.Add(grace))
	sum := uint64(0)
	for s := range table.all {
		sum += s.requests.sum()
	}
	if sum != 4*each || table.len() != 50 || table.leaving != 0 {
		t.Errorf("%d counted in %d sets, %d leaving; want %d in 50, none leaving", sum, table.len(), table.leaving, 4*each)
	}
}
