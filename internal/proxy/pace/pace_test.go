package pace

import (
	"sync"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := New(100, 10)
	b.now = func() time.Time { return now }
	b.filled = now.UnixNano()
	f := func(n int64, want bool, left int64) {
		t.Helper()
		if got := b.Spend(n); got != want || b.left.Load() != left || b.Spent() != 100-left {
			t.Errorf("%d is spent: %t, %d left", n, got, b.left.Load())
		}
	}
	f(60, true, 40)
	f(40, true, 0)
	f(1, false, -1)
	now = now.Add(500 * time.Millisecond)
	f(4, true, 0) // 5 have come
	now = now.Add(time.Minute)
	f(0, true, 0) // nothing is counted that is not wanted
	f(1, true, 100)
	b.Earn(50)
	f(100, true, 0)
	b.Earn(30)
	f(20, true, 10)
	now = now.Add(24 * time.Hour * 365)
	f(11, true, 100)
}

func TestBucketIsShared(t *testing.T) {
	b := New(1000, 0)
	if !b.Spend(1000) {
		t.Fatal("was not full")
	}
	var earning sync.WaitGroup
	for range 8 {
		earning.Go(func() {
			for range 100 {
				b.Earn(1)
			}
		})
	}
	earning.Wait()
	if got := b.left.Load(); got != 800 {
		t.Errorf("%d left", got)
	}
}
