package route

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// A holding finds a holder exactly where some hostname taken intersects the one asked for, and one that does.
func TestHoldingAgainstIntersect(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	hostname := func() string {
		if d.IntN(12) == 0 {
			return ""
		}
		labels := make([]string, 1+d.IntN(4))
		for i := range labels {
			labels[i] = string(rune('a' + d.IntN(2)))
		}
		name := strings.Join(labels, ".")
		if d.IntN(3) == 0 {
			return "*." + name
		}
		return name
	}
	met := 0
	for range 20000 {
		h := &holding{names: map[string]string{}, below: map[string]string{}}
		taken := map[string]string{}
		for i := range d.IntN(5) {
			route, name := fmt.Sprint("route-", i), hostname()
			taken[route] = name
			h.take(route, []string{name})
		}
		asked := hostname()
		winner := h.holder(asked)
		if winner != "" {
			met++
			if !attach.Intersect(taken[winner], asked) {
				t.Fatalf("%q: held by %s with %q", asked, winner, taken[winner])
			}
			continue
		}
		for _, name := range taken {
			if attach.Intersect(name, asked) {
				t.Fatalf("%q: nobody, but %q is taken", asked, name)
			}
		}
	}
	if met < 2000 {
		t.Errorf("only %d met", met)
	}
}
