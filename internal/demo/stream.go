package demo

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A stream is clients that ask for chats, each one after the other, a little pause between them.
const (
	clients = 4
	rest    = 5 * time.Millisecond
)

type stream struct {
	demo    *demo
	clients sync.WaitGroup
	over    chan struct{} // closed: no more is asked
	came    chan struct{} // holds one where an answer has come since somebody looked
	gate    sync.RWMutex  // a client holds it while it asks

	mu     sync.Mutex
	asked  int
	failed int
	first  reply // that was not as it should be
}

// begin has the clients ask until end. The names in the ledger begin with name.
func (d *demo) begin(ctx context.Context, name string) *stream {
	s := &stream{demo: d, over: make(chan struct{}), came: make(chan struct{}, 1)}
	for client := range clients {
		s.clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-s.over:
					return
				case <-ctx.Done():
					return
				case <-time.After(rest):
					s.ask(ctx, fmt.Sprintf("%s-%d-%d", name, client, i))
				}
			}
		})
	}
	return s
}

func (s *stream) ask(ctx context.Context, name string) {
	s.gate.RLock()
	got := s.demo.chat(ctx, name)
	s.mu.Lock()
	s.asked++
	if got != answered() {
		if s.failed++; s.first == "" {
			s.first = got
		}
	}
	s.mu.Unlock()
	s.gate.RUnlock()
	select {
	case s.came <- struct{}{}:
	default:
	}
}

// until waits until holds does, which is asked after answers; false where it never did.
func (s *stream) until(ctx context.Context, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.came:
			if holds() {
				return true
			}
		}
	}
}

// more waits for n more answers.
func (s *stream) more(ctx context.Context, n int) {
	want := s.count() + n
	s.until(ctx, func() bool { return s.count() >= want })
}

func (s *stream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// between does something while no request is under way.
func (s *stream) between(do func()) {
	s.gate.Lock()
	defer s.gate.Unlock()
	do()
}

// end waits for the last answers. It claims that every request was answered as it should be.
func (s *stream) end() {
	close(s.over)
	s.clients.Wait()
	s.demo.claim(fmt.Sprintf("requests that failed, of the %d asked meanwhile", s.asked), s.seen(), "0")
}

// seen is how many requests failed, and how the first of them did.
func (s *stream) seen() string {
	if s.failed == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (the first: %s)", s.failed, s.first)
}
