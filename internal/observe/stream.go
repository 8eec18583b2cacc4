package observe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards    = 8        // of a stream; a power of two
	flushAt   = 32 << 10 // a shard this full is written before its time, and by itself
	writeSize = 64 << 10 // bytes of one write of several shards, at most
	quiet     = 64       // shards in a row that use little of a large buffer, before such are given back
	warnEvery = time.Minute
)

type streamConfig struct {
	name     string
	writer   io.Writer
	logger   *slog.Logger
	every    time.Duration
	bound    int           // bytes that may wait, over all shards
	patience time.Duration // how long write waits for room; 0: not at all
}

// stream takes whole lines from many goroutines and writes them from one. Lines go to a shard picked at random, so that
// no lock is shared by all; math/rand/v2 keeps its state per thread and takes none either.
type stream struct {
	streamConfig
	shards [shards]shard

	full    chan struct{}      // a shard asks to be written early
	flushes chan chan struct{} // closed when done
	stop    chan struct{}
	written chan struct{} // the last line has been
	done    chan struct{} // and its loss, if so, been told
	once    sync.Once

	stalled atomic.Bool // somebody has waited in vain since the last write that worked
	dropped atomic.Int64
	failure atomic.Pointer[error] // of the last write that did not work
	alarm   chan struct{}

	// The writing goroutine's own. The buffers go round: each shard gets the one that the shard before it was relieved
	// of, so that a stream has one more of them than it has shards, whatever the flood, and grows none anew.
	spare  []byte
	joined []byte // short takes, to be written at once
	idle   int    // shards in a row that used little of a large buffer
	torn   bool   // the last write ended within a line
}

type shard struct {
	mu     sync.Mutex
	buf    []byte
	closed bool
	room   chan struct{} // closed when the buffer is taken; nil while nobody waits
	_      [64]byte      // keeps neighbours off this shard's cache line
}

func newStream(c streamConfig) *stream {
	return &stream{
		streamConfig: c,
		full:         make(chan struct{}, 1),
		flushes:      make(chan chan struct{}),
		stop:         make(chan struct{}),
		written:      make(chan struct{}),
		done:         make(chan struct{}),
		alarm:        make(chan struct{}, 1),
	}
}

func (s *stream) start() {
	go s.run()
	go s.warn()
}

// write copies the line, or drops and counts it where there is no room.
func (s *stream) write(line []byte) {
	sh := &s.shards[rand.Uint32()%shards]
	sh.mu.Lock()
	if !s.fits(sh, line) && !s.await(sh, line) {
		sh.mu.Unlock()
		s.drop(1)
		return
	}
	before := len(sh.buf)
	sh.buf = append(sh.buf, line...)
	early := before < flushAt && len(sh.buf) >= flushAt
	sh.mu.Unlock()
	if early {
		signal(s.full)
	}
}

func (s *stream) fits(sh *shard, line []byte) bool {
	return !sh.closed && len(sh.buf)+len(line) <= s.bound/shards
}

// await waits, with sh locked before and after, until the line fits. Once somebody has waited in vain nobody waits until
// the writer moves again, so that a writer that hangs costs the traffic one wait and not one a request.
func (s *stream) await(sh *shard, line []byte) bool {
	if s.patience == 0 || len(line) > s.bound/shards {
		return false
	}
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	for !s.fits(sh, line) {
		if sh.closed || s.stalled.Load() {
			return false
		}
		if sh.room == nil {
			sh.room = make(chan struct{})
		}
		room := sh.room
		sh.mu.Unlock()
		select {
		case <-room:
		case <-timer.C:
			s.stalled.Store(true)
		}
		sh.mu.Lock()
	}
	return true
}

func (s *stream) drop(lines int64) {
	s.dropped.Add(lines)
	signal(s.alarm)
}

// run is the one goroutine that writes.
func (s *stream) run() {
	defer close(s.written)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.drain(false)
		case <-s.full:
			s.drain(false)
		case done := <-s.flushes:
			s.drain(false)
			close(done)
		case <-s.stop:
			s.drain(true)
			return
		}
	}
}

// drain writes what the shards hold, in few writes, and closes them if it is the last.
func (s *stream) drain(last bool) {
	for i := range s.shards {
		lines := s.shards[i].take(s.spare, last)
		if len(lines) >= flushAt {
			s.emit(lines)
		} else {
			if len(s.joined)+len(lines) > writeSize {
				s.emit(s.joined)
				s.joined = s.joined[:0]
			}
			s.joined = append(s.joined, lines...)
		}
		s.spare = s.reuse(lines)
	}
	s.emit(s.joined)
	s.joined = s.joined[:0]
}

// take swaps the shard's buffer for an empty one, so that nobody waits for more than the swap.
func (sh *shard) take(empty []byte, last bool) []byte {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	lines := sh.buf
	sh.buf, sh.closed = empty, last
	if sh.room != nil {
		close(sh.room)
		sh.room = nil
	}
	return lines
}

// reuse is the buffer, emptied for the next shard; none where it is large and has not been needed for a while.
func (s *stream) reuse(b []byte) []byte {
	switch {
	case cap(b) <= writeSize:
	case len(b) > cap(b)/8:
		s.idle = 0
	case s.idle < quiet:
		s.idle++
	default:
		return nil
	}
	return b[:0]
}

// emit writes lines. Those that a failing writer did not take are lost and counted; the line it was torn in is ended
// before the next, so that it spoils no other.
func (s *stream) emit(lines []byte) {
	if len(lines) == 0 {
		return
	}
	written, err := 0, error(nil)
	if s.torn {
		_, err = io.WriteString(s.writer, "\n")
	}
	if err == nil {
		s.torn = false
		written, err = s.writer.Write(lines)
	}
	written = min(max(written, 0), len(lines))
	if err == nil && written < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.torn = s.torn || written > 0 && lines[written-1] != '\n'
		s.failure.Store(&err)
		s.drop(int64(bytes.Count(lines[written:], []byte{'\n'})))
	} else {
		s.stalled.Store(false)
	}
}

// warn says that lines were dropped, once a minute at most. It is a goroutine of its own because the logger may write
// to what is blocked.
func (s *stream) warn() {
	defer close(s.done)
	var told int64
	for ended := false; !ended; {
		select {
		case <-s.alarm:
			if now := s.tell(told); now != told { // else the alarm is of lines that are told already
				told = now
				ended = s.rest()
			}
		case <-s.written:
			ended = true
		}
	}
	s.tell(told)
}

// rest waits until a warning is due again; it reports whether the stream ended meanwhile.
func (s *stream) rest() bool {
	timer := time.NewTimer(warnEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-s.written:
		return true
	}
}

// tell logs what was dropped beyond the lines told already, and returns how many are told now.
func (s *stream) tell(told int64) int64 {
	total := s.dropped.Load()
	if total == told {
		return told
	}
	attrs := []any{slog.String("log", s.name), slog.Int64("lines", total-told), slog.Int64("total", total)}
	if err := s.failure.Swap(nil); err != nil {
		attrs = append(attrs, slog.Any("error", *err))
	}
	s.logger.Error("log lines were dropped", attrs...)
	return total
}

func (s *stream) flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.flushes <- done:
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush %s log: %w", s.name, context.Cause(ctx))
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush %s log: %w", s.name, context.Cause(ctx))
	}
}

func (s *stream) close(ctx context.Context) error {
	s.once.Do(func() { close(s.stop) })
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close %s log: %w", s.name, context.Cause(ctx))
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
