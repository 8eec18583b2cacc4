package proxy

import (
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/health"
)

// A backend that cannot be reached is ejected, and what is known of it outlives a reload; one that rejects and says for how
// long is set aside. The other one gets the requests at once.
func TestHealthOutlivesATable(t *testing.T) {
	f := func(first *plan.Backend, asked int, want health.Phase) {
		t.Helper()
		r := two(t, nil, first, service("b", testFar(t, &counting{status: 200})))
		for range asked {
			if res, _ := r.do("POST", "/0", "hello"); res.StatusCode != 200 {
				t.Fatalf("status %d", res.StatusCode)
			}
			if e := r.seen.last(t); len(e.attempts) != 2 {
				t.Fatalf("before its time: %+v", e)
			}
		}
		for range 3 {
			r.update()
			states := r.Backends()
			if len(states) != 2 || states[0].Health.Phase != want || states[1].Health.Phase != health.Healthy {
				t.Fatalf("%+v", states)
			}
			res, _ := r.do("POST", "/0", "hello")
			if e := r.seen.last(t); res.StatusCode != 200 || len(e.attempts) != 1 || e.attempts[0] != exchange.Reason("") {
				t.Fatalf("status %d, %+v", res.StatusCode, e)
			}
		}
	}
	f(service("a", deadAddress(t)), 5, health.Ejected)
	f(service("a", testFar(t, &counting{status: 429, field: "Retry-After: 60"})), 1, health.SetAside)
	f(service("a", testFar(t, &counting{status: 529})), 5, health.SetAside)
}
