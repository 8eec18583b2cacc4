package file

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestUnreadableFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", openai, "b/c.yaml", openai)
	for _, path := range []string{"a.yaml", "b"} {
		if err := os.Chmod(filepath.Join(dir, path), 0); err != nil {
			t.Fatal(err)
		}
	}
	s := newSource(t, Config{Paths: []string{dir}})
	if os.Getuid() == 0 { // nothing is unreadable to root: this thread reads as nobody
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	snapshot, problems := s.Load(t.Context())
	got := strings.ReplaceAll(lines(problems), dir+"/", "")
	if snapshot != nil || !strings.HasPrefix(got, "a.yaml: it cannot be read: permission denied") ||
		!strings.Contains(got, "\nb: it cannot be read: permission denied") {
		t.Errorf("snapshot %v, problems:\n%s", snapshot, got)
	}
}
