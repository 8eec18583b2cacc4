// Package pace bounds what a peer may have us do beside its work, where no library says what it does: net/http shows no
// frames of HTTP/2, but each one costs bytes, and what it brings earns some. accept and dial count by it what is read of
// each connection that speaks HTTP/2.
package pace

import (
	"sync/atomic"
	"time"
)

// Bucket holds what a peer has to spend: it begins full, fills again by time and by what earns, and overflows. Its methods
// may be called by any goroutine, but for Spend, which is one's alone.
type Bucket struct {
	size   int64
	rate   int64 // a second
	now    func() time.Time
	left   atomic.Int64
	filled int64 // nanoseconds since the epoch, when time was counted last
}

// New is a full bucket of a size, into which so much comes a second.
func New(size, rate int64) *Bucket {
	b := &Bucket{size: size, rate: rate, now: time.Now}
	b.left.Store(size)
	b.filled = b.now().UnixNano()
	return b
}

// Spend takes n, and reports whether there was as much.
func (b *Bucket) Spend(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	now := b.now().UnixNano()
	since := min(now-b.filled, int64(time.Hour)) // a bucket fills sooner
	b.filled = now
	b.Earn(since / int64(time.Microsecond) * b.rate / int64(time.Second/time.Microsecond))
	return b.left.Load() >= 0
}

// Spent is what has been taken, and not earned since.
func (b *Bucket) Spent() int64 { return b.size - b.left.Load() }

// Earn adds n, as far as there is room.
func (b *Bucket) Earn(n int64) {
	for {
		left := b.left.Load()
		if left >= b.size || b.left.CompareAndSwap(left, min(left+n, b.size)) {
			return
		}
	}
}
