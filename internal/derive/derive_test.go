package derive

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type item struct {
	Group string
	Reads string
	N     int
}

// sums derives, for each item, its own number, that of the item it reads, and those of its group.
func sums(g *Graph, items *Collection[item]) (*Collection[int], *Collection[string]) {
	groups := NewIndex(items, func(_ string, v item) []string { return []string{v.Group} })
	totals := Derive(g, "totals", items, func(r *Reader, key string, v item) map[string]int {
		total := v.N
		if other, ok := Get(r, items, v.Reads); ok {
			total += 100 * other.N
		}
		for _, member := range Select(r, groups, v.Group) {
			total += 10000 * member.N
		}
		return map[string]int{key: total}
	})
	texts := Derive(g, "texts", totals, func(_ *Reader, key string, v int) map[string]string {
		if v%2 == 1 {
			return nil
		}
		return map[string]string{key: strconv.Itoa(v)}
	})
	return totals, texts
}

func TestRecomputesOnlyWhatReadTheChange(t *testing.T) {
	g := NewGraph()
	items := NewSource[item](g)
	totals, _ := sums(g, items.Collection)
	items.Set("a", item{Group: "x", N: 1})
	items.Set("b", item{Group: "y", Reads: "a", N: 2})
	items.Set("c", item{Group: "z", N: 3})
	g.Commit()
	if got := g.Runs()["totals"]; got != 3 {
		t.Fatalf("%d runs at first, want 3", got)
	}
	items.Set("a", item{Group: "x", N: 5})
	g.Commit()
	if diff := cmp.Diff(map[string]int{"totals": 2, "texts": 2}, g.Runs()); diff != "" {
		t.Error(diff) // a itself and b, which reads it; not c
	}
	if got, _ := totals.Peek("b"); got != 2+500+20000 {
		t.Errorf("b is %d", got)
	}
	items.Set("a", item{Group: "x", N: 5})
	g.Commit()
	if diff := cmp.Diff(map[string]int{}, g.Runs()); diff != "" {
		t.Error("an equal value ran something:", diff)
	}
	items.Set("missing-before", item{Group: "y", N: 1})
	g.Commit()
	if got := g.Runs()["totals"]; got != 2 {
		t.Errorf("%d runs for a new member of a group, want it and b", got)
	}
}

// After any sequence of commits the graph agrees with one made afresh from the same sources.
func TestAgreesWithAFreshGraph(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	g := NewGraph()
	items := NewSource[item](g)
	totals, texts := sums(g, items.Collection)
	for range 300 {
		for range 1 + random.IntN(4) {
			key := strconv.Itoa(random.IntN(12))
			if random.IntN(3) == 0 {
				items.Delete(key)
			} else {
				items.Set(key, item{Group: strconv.Itoa(random.IntN(4)), Reads: strconv.Itoa(random.IntN(12)), N: random.IntN(5)})
			}
		}
		g.Commit()
		fresh := NewGraph()
		again := NewSource[item](fresh)
		wantTotals, wantTexts := sums(fresh, again.Collection)
		for _, key := range slices.Sorted(maps.Keys(items.items)) {
			again.Set(key, items.items[key])
		}
		fresh.Commit()
		if diff := cmp.Diff(wantTotals.items, totals.items) + cmp.Diff(wantTexts.items, texts.items); diff != "" {
			t.Fatal(diff)
		}
	}
}
