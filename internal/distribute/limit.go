package distribute

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	defaultStreams = 256         // of one Gateway, where nobody says how many proxies it may have
	complain       = time.Minute // between two lines of log about whom is refused
)

// most is how many proxies of a Gateway there may be at once.
func (s *Server) most(gateway string) int {
	if n := s.config.Proxies(gateway); n > 0 {
		return n
	}
	return s.config.Streams
}

// tooMany refuses a proxy of a Gateway that has as many as it may have.
func (s *Server) tooMany(gateway string, most int) error {
	if times, due := s.crowds.due(); due {
		s.config.Logger.Warn("proxy refused: its Gateway has too many", "gateway", gateway, "at_most", most, "times", times)
	}
	return status.Error(codes.ResourceExhausted, fmt.Sprintf("Gateway %s has %d proxies, as many as it may have", gateway, most))
}

// complaints are lines of log that whoever can connect brings about: one a minute, with how many there would have been
// since the last.
type complaints struct {
	mu    sync.Mutex
	last  time.Time
	since int
	now   func() time.Time
}

func (c *complaints) due() (times int, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since++
	now := c.now()
	if now.Sub(c.last) < complain {
		return 0, false
	}
	times, c.last, c.since = c.since, now, 0
	return times, true
}
