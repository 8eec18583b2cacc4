package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/source"
)

// delivery is one call of Watch's function.
type delivery struct {
	snapshot *source.Snapshot
	problems []problem.Problem
}

const patience = 10 * time.Second

// watch runs Watch until the test ends. A poll is far away unless the test sets its pace.
func watch(t *testing.T, s *Source) <-chan delivery {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	deliveries, done := make(chan delivery, 100), make(chan error)
	go func() {
		done <- s.Watch(ctx, func(snapshot *source.Snapshot, problems []problem.Problem) {
			deliveries <- delivery{snapshot, problems}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return deliveries
}

func next(t *testing.T, deliveries <-chan delivery) delivery {
	t.Helper()
	select {
	case d := <-deliveries:
		return d
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
		return delivery{}
	}
}

// nextWhere takes deliveries until one fits: a change in several steps may be seen in between.
func nextWhere(t *testing.T, deliveries <-chan delivery, what string, fits func(delivery) bool) delivery {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if d := next(t, deliveries); fits(d) {
			return d
		}
	}
	t.Fatalf("never delivered: %s", what)
	return delivery{}
}

// watching is a Source of a folder that is being watched by its events alone.
func watching(t *testing.T, c Config) (*Source, <-chan delivery) {
	t.Helper()
	s := newSource(t, c)
	s.pace.poll = time.Hour
	deliveries := watch(t, s)
	if first := next(t, deliveries); first.snapshot == nil {
		t.Fatalf("the first delivery has problems:\n%s", lines(first.problems))
	}
	return s, deliveries
}

func value(d delivery, name string) string {
	if d.snapshot == nil {
		return "no snapshot"
	}
	if object, ok := d.snapshot.Objects["ConfigMap/ai/"+name].(*corev1.ConfigMap); ok {
		return object.Data["value"]
	}
	return "no object"
}

func holds(name, want string) func(delivery) bool {
	return func(d delivery) bool { return value(d, name) == want }
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatchSeesWhatEditorsDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	put(t, dir, "a.yaml", configMap("one", "1"), "z.yaml", openai)
	_, deliveries := watching(t, Config{Paths: []string{dir}})

	put(t, dir, ".a.yaml.tmp", configMap("one", "2"))
	must(t, os.Rename(filepath.Join(dir, ".a.yaml.tmp"), file))
	nextWhere(t, deliveries, "renamed over", holds("one", "2"))

	put(t, dir, "a.yaml", configMap("one", "3"))
	nextWhere(t, deliveries, "truncated and written", holds("one", "3"))

	// vim: the old file becomes the backup, a new one takes its name.
	must(t, os.Rename(file, file+"~"))
	put(t, dir, "a.yaml", configMap("one", "4"))
	nextWhere(t, deliveries, "moved away and written", holds("one", "4"))

	put(t, dir, "deep/down/b.yaml", configMap("two", "1"))
	nextWhere(t, deliveries, "a new folder", holds("two", "1"))
	put(t, dir, "deep/down/b.yaml", configMap("two", "2"))
	nextWhere(t, deliveries, "a file in it", holds("two", "2"))

	must(t, os.RemoveAll(filepath.Join(dir, "deep")))
	nextWhere(t, deliveries, "the folder removed", holds("two", "no object"))
	put(t, dir, "deep/down/b.yaml", configMap("two", "3"))
	nextWhere(t, deliveries, "the folder made again", holds("two", "3"))
	put(t, dir, "deep/down/b.yaml", configMap("two", "4"))
	nextWhere(t, deliveries, "a file in it again", holds("two", "4"))

	must(t, os.Remove(file))
	nextWhere(t, deliveries, "the file removed", holds("one", "no object"))
}

func TestWatchFreezesOnHalfAnEdit(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", configMap("one", "1"), "b.yaml", configMap("two", "1"))
	_, deliveries := watching(t, Config{Paths: []string{dir}})
	put(t, dir, "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: o", "b.yaml", configMap("two", "2"))
	broken := nextWhere(t, deliveries, "a problem", func(d delivery) bool { return d.snapshot == nil })
	if !strings.Contains(lines(broken.problems), filepath.Join(dir, "a.yaml:3")) {
		t.Errorf("problems:\n%s", lines(broken.problems))
	}
	put(t, dir, "a.yaml", configMap("one", "2"))
	if d := next(t, deliveries); value(d, "one") != "2" || value(d, "two") != "2" {
		t.Errorf("after mending: %v\n%s", d.snapshot, lines(d.problems))
	}
	must(t, os.Truncate(filepath.Join(dir, "a.yaml"), 0))
	if d := next(t, deliveries); d.snapshot != nil || !strings.Contains(lines(d.problems), "is empty now") {
		t.Errorf("an emptied file gives %v\n%s", d.snapshot, lines(d.problems))
	}
	must(t, os.Remove(filepath.Join(dir, "a.yaml")))
	if d := next(t, deliveries); d.snapshot == nil || len(d.snapshot.Objects) != 1 {
		t.Errorf("after the removal: %v\n%s", d.snapshot, lines(d.problems))
	}
}

// swap does what a kubelet does: a new folder of data, and ..data moved to it in one step.
func swap(t *testing.T, dir, version string, files ...string) {
	t.Helper()
	put(t, filepath.Join(dir, "..2026_"+version), files...)
	data := filepath.Join(dir, "..data")
	old, _ := os.Readlink(data)
	must(t, os.Symlink("..2026_"+version, data+"_tmp"), os.Rename(data+"_tmp", data))
	for i := 0; i < len(files); i += 2 {
		if err := os.Symlink("..data/"+files[i], filepath.Join(dir, files[i])); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if old != "" {
		must(t, os.RemoveAll(filepath.Join(dir, old)))
	}
}

func TestWatchSeesMountsSwapped(t *testing.T) {
	dir, secrets := t.TempDir(), t.TempDir()
	swap(t, dir, "1", "a.yaml", configMap("one", "1"))
	mount := filepath.Join(secrets, "ai/openai")
	must(t, os.MkdirAll(mount, 0o755))
	swap(t, mount, "1", "api-key", "first")
	_, deliveries := watching(t, Config{Paths: []string{dir}, SecretsDir: secrets})
	for _, version := range []string{"2", "3"} {
		swap(t, dir, version, "a.yaml", configMap("one", version))
		nextWhere(t, deliveries, "the folder's swap", holds("one", version))
		swap(t, mount, version, "api-key", "key-"+version)
		nextWhere(t, deliveries, "the Secret's swap", func(d delivery) bool {
			if d.snapshot == nil {
				return false
			}
			return string(d.snapshot.Objects["Secret/ai/openai"].(*corev1.Secret).Data["api-key"]) == "key-"+version
		})
	}
	must(t, os.RemoveAll(mount))
	nextWhere(t, deliveries, "the Secret revoked", func(d delivery) bool {
		return d.snapshot != nil && d.snapshot.Objects["Secret/ai/openai"] == nil
	})
}

func TestWatchFollowsLinksOutOfTheFolder(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	put(t, elsewhere, "real.yaml", configMap("one", "1"), "v1/a.yaml", configMap("two", "1"), "v2/a.yaml", configMap("two", "2"))
	root := filepath.Join(dir, "current")
	must(t, os.Symlink(filepath.Join(elsewhere, "real.yaml"), filepath.Join(dir, "a.yaml")),
		os.Symlink(filepath.Join(elsewhere, "v1"), root))
	_, deliveries := watching(t, Config{Paths: []string{root, filepath.Join(dir, "a.yaml")}})
	put(t, elsewhere, "real.yaml", configMap("one", "2"))
	nextWhere(t, deliveries, "the target of a link written", holds("one", "2"))
	must(t, os.Symlink(filepath.Join(elsewhere, "v2"), root+".tmp"), os.Rename(root+".tmp", root))
	nextWhere(t, deliveries, "the folder's own link moved", holds("two", "2"))
	put(t, elsewhere, "v2/a.yaml", configMap("two", "3"))
	nextWhere(t, deliveries, "a file in the new folder", holds("two", "3"))
}

func TestWatchSeesAFolderReplaced(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "conf/a.yaml", configMap("one", "1"), "new/a.yaml", configMap("one", "2"))
	conf := filepath.Join(dir, "conf")
	_, deliveries := watching(t, Config{Paths: []string{conf}})
	must(t, os.Rename(conf, conf+".old"), os.Rename(filepath.Join(dir, "new"), conf))
	nextWhere(t, deliveries, "the folder replaced", holds("one", "2"))
	put(t, dir, "conf/a.yaml", configMap("one", "3"))
	nextWhere(t, deliveries, "a file in it", holds("one", "3"))
}

func TestWatchPollsWhereNothingIsTold(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", configMap("one", "1"))
	s := newSource(t, Config{Paths: []string{dir}})
	s.pace.poll = 10 * time.Millisecond
	mustLoad(t, s)
	put(t, dir, "a.yaml", configMap("one", "22"))
	deliveries := watch(t, s)
	if d := next(t, deliveries); value(d, "one") != "22" {
		t.Errorf("a change between Load and Watch: %v", d)
	}
}

func TestWatchIsSilentWhenNothingChanged(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", configMap("one", "1"))
	s := newSource(t, Config{Paths: []string{dir}})
	s.pace.poll = time.Hour
	mustLoad(t, s)
	deliveries := watch(t, s)
	put(t, dir, "a.yaml", configMap("one", "1"), "a.yaml~", "x", "notes.txt", "x")
	put(t, dir, "b.yaml", configMap("two", "1"))
	if d := next(t, deliveries); value(d, "two") != "1" {
		t.Errorf("the first delivery is not the first change: %v\n%s", d.snapshot, lines(d.problems))
	}
}

func TestWatchOfManyFilesIsOneDelivery(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "z.yaml", openai)
	_, deliveries := watching(t, Config{Paths: []string{dir}})
	const count = 500
	for i := range count {
		put(t, dir, fmt.Sprintf("%d/%d.yaml", i%20, i), configMap(fmt.Sprintf("c%d", i), "1"))
	}
	seen := 0
	nextWhere(t, deliveries, "all files", func(d delivery) bool {
		seen++
		return d.snapshot != nil && len(d.snapshot.Objects) == count+1
	})
	if seen > 20 {
		t.Errorf("%d deliveries for one burst", seen)
	}
}

func TestLateChangesDoNotWaitForQuiet(t *testing.T) {
	s := newSource(t, Config{Paths: []string{t.TempDir()}})
	s.pace = pace{quiet: time.Hour, late: time.Millisecond, poll: time.Hour}
	w := &watcher{Source: s}
	w.stir()
	select {
	case <-w.settled:
	case <-time.After(patience):
		t.Error("a stir waits longer than the latest time")
	}
}
