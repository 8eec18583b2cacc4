package file

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/source"
)

// Watch calls deliver with what Load would give, after each change that has settled and differs from the Load or call
// before it. What changed between the latest Load and Watch counts too, and all does where there was no Load. It returns nil when ctx ends,
// and an error only where the system gives no watch at all. deliver runs in Watch's goroutine.
func (s *Source) Watch(ctx context.Context, deliver func(*source.Snapshot, []problem.Problem)) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	defer func() { _ = notify.Close() }() // nothing is left to do about it
	w := &watcher{Source: s, notify: notify, deliver: deliver, folders: map[string]map[string]bool{}, refused: map[string]bool{}}
	w.begin()
	poll := time.NewTicker(s.pace.poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-notify.Events:
			if w.concerns(event.Name) {
				w.stir()
			}
		case err := <-notify.Errors:
			s.logger.Warn("changes of the configuration may have been missed; it is read again", "error", err.Error())
			w.stir()
		case <-poll.C:
			if !s.list().same(w.listing) {
				w.stir()
			}
		case <-w.settled:
			w.settled, w.since = nil, time.Time{}
			w.reload(ctx)
		}
	}
}

type watcher struct {
	*Source
	notify  *fsnotify.Watcher
	deliver func(*source.Snapshot, []problem.Problem)
	folders map[string]map[string]bool // watched, with the names that matter
	refused map[string]bool            // folders that the system does not watch; the poll sees them
	listing *listing                   // of the latest load
	settled <-chan time.Time
	since   time.Time // of the first change that has not settled
}

// begin watches before anything is read. The first reading waits for quiet like every other, since a writer may be at
// work just now.
func (w *watcher) begin() {
	w.listing = w.list()
	w.follow(w.listing)
	w.stir()
}

// concerns tells whether a change of the path may change the configuration.
func (w *watcher) concerns(path string) bool {
	if leftover(filepath.Base(path)) {
		return false
	}
	if _, ok := w.folders[path]; ok {
		return true
	}
	names := w.folders[filepath.Dir(path)]
	return names[""] || names[filepath.Base(path)]
}

// stir waits for quiet, but not for ever: a file that is written all the time must not hold back the others.
func (w *watcher) stir() {
	now := time.Now()
	if w.since.IsZero() {
		w.since = now
	}
	w.settled = time.After(max(0, min(w.pace.quiet, w.since.Add(w.pace.late).Sub(now))))
}

// reload reads what is watched already, so that no change falls between the two. What comes to light by reading (a new
// folder) is watched and read again.
func (w *watcher) reload(ctx context.Context) {
	w.mu.Lock()
	var now state
	for range tries {
		now = w.load(ctx)
		w.listing = now.listing
		if !w.follow(now.listing) {
			break
		}
	}
	told := now.sum == w.told
	if ctx.Err() == nil {
		w.told = now.sum
	}
	w.mu.Unlock()
	if !told && ctx.Err() == nil {
		w.deliver(now.snapshot, now.problems)
	}
}

// follow makes the watches those that the listing needs; it tells whether one is new. A folder that was removed and
// made again under its name has lost its watch, which is why the system's list is asked and not ours.
func (w *watcher) follow(l *listing) (news bool) {
	held := map[string]bool{}
	for _, folder := range w.notify.WatchList() {
		held[folder] = true
		if _, ok := l.watch[folder]; !ok {
			_ = w.notify.Remove(folder) // it may have gone by itself, with its folder
		}
	}
	w.folders = maps.Clone(l.watch)
	for folder := range l.watch {
		if held[folder] {
			continue
		}
		if err := w.notify.Add(folder); err == nil {
			news = true
		} else if !w.refused[folder] && len(w.refused) < w.limits.files {
			w.refused[folder] = true
			w.logger.Warn("a folder is looked at from time to time, since it cannot be watched", "folder", folder,
				"every", w.pace.poll.String(), "error", err.Error())
		}
	}
	return news
}
