package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestListingsDifferWhenAFileMoved holds the ground that torn reads are told by: a listing before and one after.
func TestListingsDifferWhenAFileMoved(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", configMap("one", "1"), "b/c.yaml", configMap("two", "1"))
	s := newSource(t, Config{Paths: []string{dir}})
	file := filepath.Join(dir, "a.yaml")
	if before := s.list(); !before.same(s.list()) {
		t.Error("listings differ though nothing moved")
	}
	for name, move := range map[string]func() error{
		"longer":   func() error { return os.WriteFile(file, []byte(configMap("one", "22")), 0o644) },
		"touched":  func() error { return os.Chtimes(file, time.Time{}, time.Unix(1, 0)) },
		"replaced": func() error { put(t, dir, "n", "x"); return os.Rename(filepath.Join(dir, "n"), file) },
		"gone":     func() error { return os.Remove(file) },
		"new":      func() error { return os.WriteFile(filepath.Join(dir, "d.yml"), nil, 0o644) },
	} {
		before := s.list()
		if err := move(); err != nil {
			t.Fatal(err)
		}
		if before.same(s.list()) {
			t.Errorf("%s: the listings are the same", name)
		}
		put(t, dir, "a.yaml", configMap("one", "1"))
	}
}

// TestFilesThatNeverSettleAreAProblem writes all the time, so that no two listings agree.
func TestFilesThatNeverSettleAreAProblem(t *testing.T) {
	dir := t.TempDir()
	// Reading so much takes longer than touching it.
	put(t, dir, "a.yaml", configMap("one", "1")+strings.Repeat("# comment\n", 400_000))
	s := newSource(t, Config{Paths: []string{dir}})
	s.pace.quiet = 4 * time.Microsecond
	stop, stopped, started := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := int64(0); ; i++ {
			if i == 1 {
				close(started)
			}
			select {
			case <-stop:
				return
			default:
				_ = os.Chtimes(filepath.Join(dir, "a.yaml"), time.Time{}, time.Unix(i, 0)) // the test fails below if it does nothing
			}
		}
	}()
	<-started
	unsettled := false
	for deadline := time.Now().Add(patience); !unsettled && time.Now().Before(deadline); {
		snapshot, problems := s.Load(t.Context())
		if snapshot == nil && !strings.Contains(lines(problems), "keep changing") {
			t.Errorf("problems:\n%s", lines(problems))
		}
		unsettled = snapshot == nil
	}
	close(stop)
	<-stopped
	if !unsettled {
		t.Error("files that always change were never told as such")
	}
	mustLoad(t, s)
}
