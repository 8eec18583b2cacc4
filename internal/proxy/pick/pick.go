// Package pick draws a backend for a request: tier by tier, by weight within one, without those that policy vetoes, and
// without those that are not to be used now as long as there are others. It keeps no state.
package pick

import (
	"math/rand/v2"
	"slices"
)

// Weights are those of a rule's backends in one tier; 0 for the backends of other tiers.
type Weights []int

// Tiers are a rule's backends by the tier of each, the lowest first.
func Tiers(weights, tier []int) []Weights {
	var list []Weights
	for _, t := range slices.Compact(slices.Sorted(slices.Values(tier))) {
		w := make(Weights, len(weights))
		for i := range weights {
			if tier[i] == t {
				w[i] = weights[i]
			}
		}
		list = append(list, w)
	}
	return list
}

// Answer is what a choice makes of one backend.
type Answer uint8

// The answers.
const (
	Refused Answer = iota // not for this request
	Spared                // not now, unless there is no other: it is ejected, set aside or full
	Taken
)

// Choose draws from the first tier in which a backend is taken. Where none is in any, but some were spared, it draws once
// more with force, which leaves take no other answers than Refused and Taken. It is -1 where all are refused.
func Choose(tiers []Weights, take func(i int, force bool) Answer) int {
	for force := false; ; force = true {
		spared := false
		for _, tier := range tiers {
			i := Draw(tier, func(i int) bool {
				answer := take(i, force)
				spared = spared || answer == Spared
				return answer == Taken
			})
			if i >= 0 {
				return i
			}
		}
		if force || !spared {
			return -1
		}
	}
}

// Few candidates is the common case; more make Draw allocate.
const few = 16

// Draw tries the indexes of weights in a random order in which each comes next with a probability in proportion to its
// weight among those that are left, until take accepts one. It is -1 where none is accepted; a weight of 0 is never
// tried. Rejecting one thus takes it out of the draw with its weight.
func Draw(weights []int, take func(i int) bool) int {
	var room [few]bool
	out := room[:0]
	if len(weights) > few {
		out = make([]bool, 0, len(weights))
	}
	out = out[:len(weights)]
	total := 0
	for _, w := range weights {
		total += w
	}
	for total > 0 {
		i := at(weights, out, rand.IntN(total))
		if take(i) {
			return i
		}
		out[i] = true
		total -= weights[i]
	}
	return -1
}

// at is the index that owns a point of the weights that are left.
func at(weights []int, out []bool, point int) int {
	for i, w := range weights {
		if out[i] {
			continue
		}
		if point -= w; point < 0 {
			return i
		}
	}
	panic("pick: a point beyond the total") // unreachable: point is below the sum of what is left
}
