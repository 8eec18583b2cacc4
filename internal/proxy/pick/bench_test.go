package pick

import "testing"

// BenchmarkDraw is one draw among so many backends of one weight.
func BenchmarkDraw(b *testing.B) {
	for name, n := range map[string]int{"of 1": 1, "of 3": 3, "of 16": 16} {
		b.Run(name, func(b *testing.B) {
			weights := make([]int, n)
			for i := range weights {
				weights[i] = 1
			}
			take := func(int) bool { return true }
			b.ReportAllocs()
			for b.Loop() {
				Draw(weights, take)
			}
		})
	}
}
