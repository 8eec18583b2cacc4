// Package pick draws a backend for a request: by weight, without those that policy vetoes. It keeps no state.
package pick

import "math/rand/v2"

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
