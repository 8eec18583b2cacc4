package schema

import (
	"fmt"
	"slices"
	"strings"
)

// choose proposes the name nearest to what was written, or lists the names there are.
func choose(written string, names []string, label string) string {
	names = slices.Sorted(slices.Values(names))
	const most = 20
	switch best := nearest(written, names); {
	case best != "":
		return fmt.Sprintf("did you mean %s?", best)
	case len(names) == 0:
		return "remove it"
	case len(names) > most:
		return label + ": " + strings.Join(names[:most], ", ") + ", …"
	}
	return label + ": " + strings.Join(names, ", ")
}

// nearest is the name that another is a misspelling of, or empty.
func nearest(written string, names []string) string {
	best, bestDistance := "", max(1, len(written)/3)+1
	for _, name := range slices.Sorted(slices.Values(names)) {
		if d := distance(strings.ToLower(written), strings.ToLower(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete, replace or swap with their neighbour to get from a to b
// (optimal string alignment). Long names are not compared: nobody mistypes 64 bytes into another field's name.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
