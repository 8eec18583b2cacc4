package file

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const openai = `apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata:
  name: openai
  namespace: ai
spec:
  type: ExternalHostname
  externalHostname:
    hostname: api.openai.com
  port:
    number: 443
  protocol: HTTP
`

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: ai}\ndata:\n  value: %q\n", name, value)
}

// put writes files, the folders above them included: path, content, path, content.
func put(t testing.TB, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func newSource(t *testing.T, c Config) *Source {
	t.Helper()
	if c.Schema == nil {
		c.Schema = schema.New()
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustLoad(t *testing.T, s *Source) *source.Snapshot {
	t.Helper()
	snapshot, problems := s.Load(t.Context())
	if snapshot == nil || len(problems) > 0 {
		t.Fatalf("snapshot %v, problems:\n%s", snapshot, lines(problems))
	}
	return snapshot
}

func lines(problems []problem.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

func TestLoadGivesTypedObjectsByName(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "b.yaml", "# first\n\n---\n"+openai+"---\n# nothing here\n---\n"+configMap("one", "1"),
		"a/list.json", `{"apiVersion":"v1","kind":"List","items":[
	{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"},"data":{"a":"b"}}]}`,
		".hidden.yaml", "{", "b.yaml~", "{", "4913", "{", "notes.txt", "{", ".git/x.yaml", "{")
	snapshot := mustLoad(t, newSource(t, Config{Paths: []string{dir}}))
	if len(snapshot.Objects) != 3 {
		t.Fatalf("objects: %v", snapshot.Objects)
	}
	backend, ok := snapshot.Objects["Backend/ai/openai"].(*v1alpha1.Backend)
	if !ok || backend.Spec.Port.Number != 443 || !backend.CreationTimestamp.IsZero() {
		t.Errorf("Backend/ai/openai is %#v", snapshot.Objects["Backend/ai/openai"])
	}
	if snapshot.Objects["ConfigMap/default/two"] == nil {
		t.Error("an object without a namespace is not in default")
	}
	for _, c := range []struct {
		object, field string
		line          int
	}{
		{"Backend/ai/openai", "spec.externalHostname.hostname", 12},
		{"Backend/ai/openai", "spec.tls.mode", 9}, // not written: the nearest above
		{"Backend/ai/openai", "", 4},
		{"ConfigMap/ai/one", "data.value", 23},
		{"ConfigMap/ai/one", "data[value]", 23},
	} {
		if file, line := snapshot.Locate(c.object, c.field); file != filepath.Join(dir, "b.yaml") || line != c.line {
			t.Errorf("Locate(%s, %s) = %s:%d, want line %d", c.object, c.field, file, line, c.line)
		}
	}
	if file, line := snapshot.Locate("ConfigMap/default/two", "data.a"); line != 2 || filepath.Base(file) != "list.json" {
		t.Errorf("in a List: %s:%d", file, line)
	}
	if file, line := snapshot.Locate("Backend/ai/none", "spec"); file != "" || line != 0 {
		t.Errorf("an unknown object is at %s:%d", file, line)
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, dir,
		"a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata:\n  a: b\n  a: c\n",
		"b.yaml", "apiVersion: v1\nkind: [\n",
		"c.yaml", "apiVersion: ebbgate.dev/v1alpha1\nkind: Backnd\nmetadata: {name: x}\n---\napiVersion: ebbgate.dev/v9\nkind: Backend\nmetadata: {name: x}\n",
		"d.yaml", strings.Replace(openai, "number: 443", "number: 443\n    nummer: 1", 1),
		"e.yaml", "apiVersion: ebbgate.dev\nkind: GuardRailsPolicy\nmetadata: {name: x}\n---\napiVersion: ebgate.dev/v1alpha1\nkind: GuardRailsPolicy\nmetadata: {name: x}\n"+
			"---\napiVersion: v1\nkind: Secrt\nmetadata: {name: x}\n---\napiVersion: ebbgate.dev/v1alpha1\nkind: BackendList\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
		"f.yaml", "- just\n- a list\n",
		"g.yaml", configMap("same", "1"), "h.yaml", "\n"+configMap("same", "2"),
		"i.yaml", "\xff\xfe",
		"j.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n   namespace: y\n",
	)
	if err := os.Symlink("nowhere", filepath.Join(dir, "k.yaml")); err != nil {
		t.Fatal(err)
	}
	snapshot, problems := newSource(t, Config{Paths: []string{dir, filepath.Join(dir, "missing")}}).Load(t.Context())
	if snapshot != nil {
		t.Error("a snapshot in spite of problems")
	}
	got := strings.ReplaceAll(lines(problems), dir+"/", "")
	for _, want := range []string{
		`a.yaml:6: the key "a" is given twice, first in line 5`,
		"b.yaml:2: not valid YAML: a value is missing",
		"c.yaml:2: Backnd//x: kind: ",
		"c.yaml:5: Backend//x: apiVersion: ",
		"d.yaml:12: Backend/ai/openai: spec.port.nummer: ",
		"e.yaml:1: GuardRailsPolicy//x: apiVersion: the apiVersion is not of the form group/version",
		`e.yaml:5: GuardRailsPolicy//x: apiVersion: group "ebgate.dev" has no kind GuardRailsPolicy that Ebbgate reads (did you mean ebbgate.dev/v1alpha1?)`,
		"e.yaml:10: Secrt//x: kind: Secrt is not a kind that Ebbgate reads (did you mean Secret?)",
		"e.yaml:14: BackendList: kind: a BackendList is what an API server answers with",
		"f.yaml:1: the document is no object",
		"h.yaml:2: ConfigMap/ai/same: the object stands in g.yaml:1 already",
		"i.yaml: it is not UTF-8 text",
		"j.yaml:5: not valid YAML",
		"k.yaml: the link leads nowhere",
		"missing: there is no such file or folder",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q", want)
		}
	}
	if strings.Contains(got, "Pod") {
		t.Error("a Pod is a problem")
	}
	if t.Failed() {
		t.Log("\n" + got)
	}
}

func TestFoldersWithNothingToServe(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"empty":   {"readme.txt", "x", "the folder holds no .yaml"},
		"comment": {"a.yaml", "# later\n", "no object of a kind that Ebbgate serves"},
		"foreign": {"a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", "no object of a kind that Ebbgate serves"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, c.file, c.content)
			snapshot, problems := newSource(t, Config{Paths: []string{dir}}).Load(t.Context())
			if snapshot != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("snapshot %v, problems:\n%s", snapshot, lines(problems))
			}
		})
	}
}

func TestForeignKindsAreLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", configMap("one", "1")+strings.Repeat("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", 3))
	var log bytes.Buffer
	s := newSource(t, Config{Paths: []string{dir}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustLoad(t, s)
	mustLoad(t, s)
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "kind=Deployment") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestUnchangedObjectsKeepTheirPointers(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", openai, "b.yaml", configMap("one", "1"))
	s := newSource(t, Config{Paths: []string{dir}})
	before := mustLoad(t, s)
	put(t, dir, "c.yaml", "# moved\n"+strings.Replace(openai, "443", "443 # as ever", 1), "b.yaml", configMap("one", "2"))
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	after := mustLoad(t, s)
	if before.Objects["Backend/ai/openai"] != after.Objects["Backend/ai/openai"] {
		t.Error("an object that moved to another file is another object")
	}
	if before.Objects["ConfigMap/ai/one"] == after.Objects["ConfigMap/ai/one"] {
		t.Error("a changed object is the old one")
	}
	if file, line := after.Locate("Backend/ai/openai", "spec.port"); filepath.Base(file) != "c.yaml" || line != 11 {
		t.Errorf("located at %s:%d", file, line)
	}
}

func TestBooleansAsKubernetesReadsThem(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nimmutable: yes\nstringData: {a: 'yes'}\n")
	secret := mustLoad(t, newSource(t, Config{Paths: []string{dir}})).Objects["Secret/default/x"].(*corev1.Secret)
	if secret.Immutable == nil || !*secret.Immutable || string(secret.Data["a"]) != "yes" || secret.StringData != nil {
		t.Errorf("secret is %#v", secret)
	}
}

func TestLinksAreFollowedOnceAndLoopsEnd(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "..2026_1/a.yaml", openai, "sub/b.yaml", configMap("one", "1"))
	for link, target := range map[string]string{"..data": "..2026_1", "a.yaml": "..data/a.yaml", "again.yaml": "..data/a.yaml", "sub/loop": "..", "deep": "sub"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := mustLoad(t, newSource(t, Config{Paths: []string{dir, filepath.Join(dir, "a.yaml")}}))
	if len(snapshot.Objects) != 2 {
		t.Errorf("objects: %v", snapshot.Objects)
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", configMap("one", "1"), "b.yaml", configMap("two", "2"), "c.yaml", configMap("three", "3"))
	for name, set := range map[string]func(*limits){
		"more than 2 files":   func(l *limits) { l.files = 2 },
		"more than 2 objects": func(l *limits) { l.objects = 2 },
		"larger than 0 MiB":   func(l *limits) { l.file = 50 },
		"all files together":  func(l *limits) { l.total = 150 },
	} {
		s := newSource(t, Config{Paths: []string{dir}})
		set(&s.limits)
		snapshot, problems := s.Load(t.Context())
		if got := lines(problems); snapshot != nil || !strings.Contains(got, name) {
			t.Errorf("%s: snapshot %v, problems:\n%s", name, snapshot, got)
		}
	}
}

func TestCancelledLoadProvesNothing(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", openai)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newSource(t, Config{Paths: []string{dir}})
	if snapshot, problems := s.Load(ctx); snapshot != nil || len(problems) != 1 {
		t.Errorf("snapshot %v, problems %v", snapshot, problems)
	}
	mustLoad(t, s)
}
