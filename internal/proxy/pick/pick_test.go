package pick

import (
	"math"
	"testing"
)

func TestDraw(t *testing.T) {
	const draws = 100_000
	f := func(weights []int, veto map[int]bool, want ...float64) {
		t.Helper()
		got := make([]float64, len(weights)+1)
		for range draws {
			i := Draw(weights, func(i int) bool { return !veto[i] })
			if i < 0 {
				i = len(weights)
			}
			got[i] += 1.0 / draws
		}
		for i := range want {
			// Five standard deviations of a binomial share.
			if math.Abs(got[i]-want[i]) > 5*math.Sqrt(want[i]*(1-want[i])/draws)+1e-9 {
				t.Errorf("weights %v without %v: shares %v, want %v", weights, veto, got, want)
				return
			}
		}
	}
	f([]int{1}, nil, 1, 0)
	f([]int{1, 3}, nil, 0.25, 0.75, 0)
	f([]int{1, 0, 1}, nil, 0.5, 0, 0.5, 0)
	f([]int{1, 1, 2}, map[int]bool{2: true}, 0.5, 0.5, 0, 0)
	f([]int{5, 1, 2}, map[int]bool{0: true}, 0, 1.0/3, 2.0/3, 0)
	f([]int{5, 1}, map[int]bool{0: true, 1: true}, 0, 0, 1)
	f([]int{0, 0}, nil, 0, 0, 1)
	f(nil, nil, 1)
	many := make([]int, 40)
	for i := range many {
		many[i] = 1
	}
	f(many, nil, 0.025)
}

func TestDrawDoesNotAllocate(t *testing.T) {
	weights := []int{1, 2, 3}
	if n := testing.AllocsPerRun(100, func() { Draw(weights, func(i int) bool { return i == 2 }) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
