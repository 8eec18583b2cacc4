package proxy

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// since is how many of the moments lie in the last d before now, now included.
func since(moments []time.Time, now time.Time, d time.Duration) int64 {
	n := int64(0)
	for _, m := range moments {
		if now.Sub(m) < d {
			n++
		}
	}
	return n
}

// TestBudgetOverRandomTimes holds random budgets over random histories against exact counts: a window counts at least what
// lies in half of its length and at most what lies in all of it, and by that much alone may a budget be too strict or too lax.
func TestBudgetOverRandomTimes(t *testing.T) {
	granted, denied := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 6))
		s := policy.Budget{
			Percent: r.IntN(101), Interval: time.Duration(1+r.IntN(20)) * time.Second,
			Floor: r.IntN(12), FloorInterval: time.Duration(1+r.IntN(30)) * 100 * time.Millisecond,
		}
		now := time.Unix(1_000_000+r.Int64N(1000), r.Int64N(1e9))
		b := newBudget(s)
		b.now = func() time.Time { return now }
		var requests, retries []time.Time
		for range 400 {
			switch r.IntN(4) {
			case 0:
				now = now.Add(time.Duration(r.Int64N(int64(s.Interval) / 4)))
			case 1:
				if r.IntN(20) == 0 {
					now = now.Add(s.Interval * time.Duration(1+r.IntN(4)))
				}
			case 2:
				for range r.IntN(20) {
					b.request()
					requests = append(requests, now)
				}
			default:
				asked := b.requests.sum(now)
				if least, most := since(requests, now, s.Interval/2), since(requests, now, s.Interval); asked < least || asked > most {
					t.Fatalf("seed %d: %d requests in the window, of %d to %d", seed, asked, least, most)
				}
				share := func(d time.Duration) bool { return (since(retries, now, d)+1)*100 <= asked*int64(s.Percent) }
				floor := func(d time.Duration) bool { return since(retries, now, d) < int64(s.Floor) }
				may, must := share(s.Interval/2) || floor(s.FloorInterval/2), share(s.Interval) || floor(s.FloorInterval)
				got := b.take(asked)
				if got && !may || !got && must {
					t.Fatalf("seed %d: %+v granted %t with %d requests, %d retries within the interval and %d within the floor's", seed, s, got, asked,
						since(retries, now, s.Interval), since(retries, now, s.FloorInterval))
				}
				if got {
					retries = append(retries, now)
					granted++
				} else {
					denied++
				}
			}
		}
	}
	if granted < 1000 || denied < 1000 {
		t.Errorf("%d granted, %d denied: one of them is hardly tested", granted, denied)
	}
}
