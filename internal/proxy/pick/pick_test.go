package pick

import (
	"math"
	"math/rand/v2"
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

// TestChoose holds a random rule against what a choice must be: of the best tier that has a backend which is neither
// refused nor spared, else of the best that has one which is not refused, else nobody; and never one without weight.
func TestChoose(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 4))
		n := r.IntN(7)
		weights, tier, answers := make([]int, n), make([]int, n), make([]Answer, n)
		for i := range n {
			weights[i], tier[i], answers[i] = r.IntN(4), r.IntN(4), Answer(r.IntN(3))
		}
		asked := map[int]int{}
		got := Choose(Tiers(weights, tier), func(i int, force bool) Answer {
			asked[i]++
			if force && answers[i] == Spared {
				return Taken
			}
			return answers[i]
		})
		best := func(least Answer) int {
			b := -1
			for i := range n {
				if weights[i] > 0 && answers[i] >= least && (b < 0 || tier[i] < b) {
					b = tier[i]
				}
			}
			return b
		}
		want := best(Taken)
		if want < 0 {
			want = best(Spared)
		}
		switch {
		case want < 0 && got >= 0, want >= 0 && got < 0:
			t.Fatalf("seed %d: weights %v, tiers %v, answers %v: %d", seed, weights, tier, answers, got)
		case got < 0:
		case weights[got] == 0 || tier[got] != want || answers[got] == Refused || answers[got] == Spared && best(Taken) >= 0:
			t.Fatalf("seed %d: weights %v, tiers %v, answers %v: %d", seed, weights, tier, answers, got)
		}
		for i, times := range asked {
			if times > 2 || tier[i] > want && want >= 0 && best(Taken) >= 0 {
				t.Fatalf("seed %d: %d was asked about %d times", seed, i, times)
			}
		}
	}
}

// TestChooseByWeight: those that are spared leave the draw with their weight.
func TestChooseByWeight(t *testing.T) {
	const draws = 100_000
	f := func(answers []Answer, want ...float64) {
		t.Helper()
		got := make([]float64, len(want))
		tiers := Tiers([]int{1, 3, 4, 2}, []int{0, 0, 0, 1})
		for range draws {
			i := Choose(tiers, func(i int, force bool) Answer {
				if force && answers[i] == Spared {
					return Taken
				}
				return answers[i]
			})
			got[i] += 1.0 / draws
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 5*math.Sqrt(want[i]*(1-want[i])/draws)+1e-9 {
				t.Errorf("%v: shares %v, want %v", answers, got, want)
				return
			}
		}
	}
	f([]Answer{Taken, Taken, Taken, Taken}, 0.125, 0.375, 0.5, 0)
	f([]Answer{Taken, Taken, Spared, Taken}, 0.25, 0.75, 0, 0)
	f([]Answer{Spared, Refused, Spared, Taken}, 0, 0, 0, 1)
	f([]Answer{Spared, Refused, Spared, Spared}, 0.2, 0, 0.8, 0)
}

func TestChooseDoesNotAllocate(t *testing.T) {
	tiers := Tiers([]int{1, 2, 3}, []int{0, 0, 1})
	if n := testing.AllocsPerRun(100, func() {
		Choose(tiers, func(i int, _ bool) Answer {
			if i == 2 {
				return Taken
			}
			return Spared
		})
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
