package controller

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ebbgate/ebbgate/internal/problem"
)

const (
	untoldOnce  = 20          // that are logged in one turn
	untoldEvery = time.Minute // of a turn
)

// untold tells in the log of problems for which there is no status of ours: those of Services and EndpointSlices. Each is
// told once while it lasts, and so many in a turn, whatever is written.
type untold struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	told  map[problem.Problem]bool
	turn  time.Time // when it began
	lines int       // of the turn
}

func newUntold(logger *slog.Logger) *untold {
	return &untold{logger: logger, now: time.Now, told: map[problem.Problem]bool{}}
}

// tell takes all problems that there are.
func (u *untold) tell(problems []problem.Problem) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := u.now(); now.Sub(u.turn) >= untoldEvery {
		u.turn, u.lines = now, 0
	}
	told, left := map[problem.Problem]bool{}, 0
	for _, p := range problems {
		if !strings.HasPrefix(p.Object, "Service/") && !strings.HasPrefix(p.Object, "EndpointSlice/") {
			continue
		}
		switch {
		case u.told[p]:
		case u.lines >= untoldOnce:
			left++
			continue
		default:
			u.lines++
			u.logger.Warn("not served as written", "object", p.Object, "field", p.Field, "problem", p.Message, "mend", p.Mend)
		}
		told[p] = true
	}
	if left > 0 && u.lines == untoldOnce {
		u.lines++
		u.logger.Warn("and others are not served as written, which are told once there is room", "problems", left)
	}
	u.told = told
}
