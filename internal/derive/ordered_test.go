package derive

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// After any sequence of commits the ordered list is that of the collections sorted, and elements whose value did not
// change are not made again.
func TestOrderedFollowsItsCollections(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	g := NewGraph()
	a, b := NewSource[int](g), NewSource[int](g)
	made := 0
	o := NewOrdered(func(key string, value int, last *string) string {
		made++
		if last != nil && *last == "" {
			t.Errorf("%s: the former element is lost", key)
		}
		return key + "=" + strconv.Itoa(value)
	}, a.Collection, b.Collection)
	for range 300 {
		made = 0
		changes := random.IntN(4)
		for range changes {
			source, key := a, "a"+strconv.Itoa(random.IntN(10))
			if random.IntN(2) == 0 {
				source, key = b, "b"+strconv.Itoa(random.IntN(10))
			}
			if random.IntN(3) == 0 {
				source.Delete(key)
			} else {
				source.Set(key, random.IntN(3))
			}
		}
		g.Commit()
		before := o.List()
		var want []string
		for _, c := range []Source[int]{a, b} {
			for key, value := range c.items {
				want = append(want, key+"="+strconv.Itoa(value))
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Clone(before)); diff != "" && len(want)+len(before) > 0 {
			t.Fatal(diff)
		}
		if made > changes {
			t.Fatalf("%d elements made for %d changes", made, changes)
		}
	}
}

func TestCountSeesMembersComeAndGo(t *testing.T) {
	g := NewGraph()
	items := NewSource[item](g)
	groups := NewIndex(items.Collection, func(_ string, v item) []string { return []string{v.Group} })
	counted := NewSource[string](g)
	sizes := Derive(g, "sizes", counted.Collection, func(r *Reader, key string, group string) map[string]int {
		return map[string]int{key: Count(r, groups, group)}
	})
	counted.Set("x", "x")
	g.Commit()
	for i, want := range []int{1, 2} {
		items.Set(strconv.Itoa(i), item{Group: "x"})
		g.Commit()
		if got, _ := sizes.Peek("x"); got != want {
			t.Errorf("%d members, want %d", got, want)
		}
	}
}
