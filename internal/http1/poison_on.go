//go:build poison

package http1

// poison overwrites bytes whose views have ended, so that a use after the end shows in tests.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}
