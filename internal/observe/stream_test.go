package observe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a writer that blocks until it is opened.
type gate struct {
	output
	open chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.output.Write(p)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func startStream(c streamConfig) *stream {
	c.name = "test"
	if c.every == 0 {
		c.every = 50 * time.Millisecond
	}
	if c.bound == 0 {
		c.bound = 1 << 20
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	s := newStream(c)
	s.start()
	return s
}

func closeStream(t *testing.T, s *stream) {
	t.Helper()
	if err := s.close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStreamWritesByTheTicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		s := startStream(streamConfig{writer: &out})
		defer closeStream(t, s)
		s.write([]byte("one\n"))
		synctest.Wait()
		if out.String() != "" {
			t.Fatal("written at once")
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if out.String() != "one\n" {
			t.Errorf("got %q", out.String())
		}
	})
}

func TestStreamWritesEarlyWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		s := startStream(streamConfig{writer: &out, every: time.Hour})
		defer closeStream(t, s)
		line := []byte(strings.Repeat("x", flushAt-1) + "\n")
		s.write(line)
		synctest.Wait()
		if len(out.String()) != flushAt {
			t.Errorf("%d bytes written, want %d", len(out.String()), flushAt)
		}
	})
}

func TestStreamDropsWhereTheWriterIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		s := startStream(streamConfig{writer: out, bound: 8 << 10})
		line := []byte(strings.Repeat("x", 99) + "\n")
		start := time.Now()
		const lines = 1000
		for range lines {
			s.write(line)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a writer of lines waited %v", waited)
		}
		dropped := s.dropped.Load()
		if dropped < lines-80 {
			t.Errorf("%d of %d lines dropped, though 80 fit", dropped, lines)
		}
		close(out.open)
		closeStream(t, s)
		if got := int64(strings.Count(out.String(), string(line))); got+dropped != lines {
			t.Errorf("%d written and %d dropped of %d", got, dropped, lines)
		}
	})
}

func TestStreamWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		s := startStream(streamConfig{writer: out, bound: 8 * shards, patience: time.Second})
		const lines = 50
		go func() {
			time.Sleep(300 * time.Millisecond)
			close(out.open)
		}()
		for range lines {
			s.write([]byte("1234567\n")) // a shard holds one
		}
		closeStream(t, s)
		if got := strings.Count(out.String(), "1234567\n"); got != lines || s.dropped.Load() != 0 {
			t.Errorf("%d of %d lines written, %d dropped", got, lines, s.dropped.Load())
		}
	})
}

func TestStreamWaitsOnceForAWriterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told output
		out := newGate()
		s := startStream(streamConfig{
			writer: out, bound: 8 * shards, patience: time.Second, logger: slog.New(slog.NewTextHandler(&told, nil)),
		})
		start := time.Now()
		for range 200 {
			s.write([]byte("1234567\n"))
		}
		// One wait may end with the first write's take, and one in vain.
		if waited := time.Since(start); waited < time.Second || waited > 2*time.Second {
			t.Errorf("waited %v in all", waited)
		}
		synctest.Wait()
		if n := strings.Count(told.String(), "log lines were dropped"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, told.String())
		}
		time.Sleep(warnEvery)
		s.write([]byte("1234567\n"))
		synctest.Wait()
		if n := strings.Count(told.String(), "level=ERROR"); n != 2 {
			t.Errorf("told %d times a minute later, want twice:\n%s", n, told.String())
		}
		dropped := s.dropped.Load()
		close(out.open)
		synctest.Wait()
		s.write([]byte("7654321\n"))
		closeStream(t, s)
		if s.dropped.Load() != dropped || !strings.Contains(out.String(), "7654321\n") {
			t.Error("dropped though the writer works again")
		}
	})
}

func TestStreamCountsWhatAWriterFailedToTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told, out output
		calls := 0
		s := startStream(streamConfig{
			logger: slog.New(slog.NewTextHandler(&told, nil)),
			writer: writerFunc(func(p []byte) (int, error) {
				if calls++; calls == 1 {
					_, _ = out.Write(p[:6])
					return 6, errors.New("disk full")
				}
				return out.Write(p)
			}),
		})
		for range 3 {
			s.write([]byte("abc\n"))
		}
		if err := s.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.write([]byte("def\n"))
		closeStream(t, s)
		if got := out.String(); got != "abc\nab\ndef\n" {
			t.Errorf("got %q: the torn line must end before the next", got)
		}
		if s.dropped.Load() != 2 || !strings.Contains(told.String(), `error="disk full"`) {
			t.Errorf("%d dropped, told %q", s.dropped.Load(), told.String())
		}
	})
}

func TestStreamAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		s := startStream(streamConfig{writer: &out, patience: time.Hour})
		s.write([]byte("one\n"))
		closeStream(t, s)
		closeStream(t, s)
		s.write([]byte("two\n"))
		if out.String() != "one\n" || s.dropped.Load() != 1 {
			t.Errorf("wrote %q, dropped %d", out.String(), s.dropped.Load())
		}
		if err := s.flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamLeavesAHangingWriterBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		s := startStream(streamConfig{writer: out})
		s.write([]byte("one\n"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush: %v", err)
		}
		if err := s.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		close(out.open)
		closeStream(t, s)
	})
}

func TestStreamDropsALineThatNeverFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startStream(streamConfig{writer: io.Discard, bound: 8 * shards, patience: time.Hour})
		defer closeStream(t, s)
		s.write([]byte("123456789\n"))
		if s.dropped.Load() != 1 {
			t.Error("not dropped")
		}
	})
}

// TestStreamReusesBuffers floods a stream and leaves it alone then: the flood grows no buffer anew, and the quiet gives
// the large ones back.
func TestStreamReusesBuffers(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := startStream(streamConfig{writer: io.Discard, every: time.Hour, bound: 16 << 20})
	defer closeStream(t, s)
	line := []byte(strings.Repeat("x", 999) + "\n")
	for i := range s.shards { // more than the flood's share, which is random
		s.shards[i].buf = make([]byte, 0, 512<<10)
	}
	s.spare = make([]byte, 0, 512<<10)
	flood := func(lines int) {
		for range lines {
			s.write(line)
		}
		if err := s.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	flood(2000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		flood(2000)
	}
	runtime.ReadMemStats(&after)
	// A busy machine drains nearly empty shards often enough for a quiet time, hence the share.
	if grown, lines := after.TotalAlloc-before.TotalAlloc, uint64(20*2000*len(line)); grown > lines/3 {
		t.Errorf("%d bytes allocated for %d of lines", grown, lines)
	}
	for range 2 * (quiet + shards) {
		flood(1)
	}
	for i := range s.shards {
		if n := cap(s.shards[i].buf); n > writeSize {
			t.Errorf("shard %d keeps a buffer of %d bytes in quiet times", i, n)
		}
	}
	if s.dropped.Load() != 0 {
		t.Errorf("%d lines dropped", s.dropped.Load())
	}
}
