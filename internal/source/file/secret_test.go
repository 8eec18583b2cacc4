package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	ebbschema "github.com/ebbgate/ebbgate/internal/schema"
)

func TestSecretsAsMountsLayThem(t *testing.T) {
	dir, secrets := t.TempDir(), t.TempDir()
	put(t, dir, "a.yaml", openai)
	put(t, secrets,
		"ai/openai/..2026_1/api-key", "sk-1\n", "ai/openai/.dot", "d",
		"ai/cert/tls.crt", "c", "ai/cert/tls.key", "k",
		"edge/login/username", "u", "edge/login/password", "p", "edge/login/.#password", "lock")
	for link, target := range map[string]string{"..data": "..2026_1", "api-key": "..data/api-key"} {
		if err := os.Symlink(target, filepath.Join(secrets, "ai/openai", link)); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := mustLoad(t, newSource(t, Config{Paths: []string{dir}, SecretsDir: secrets}))
	for name, want := range map[string]struct {
		kind corev1.SecretType
		data map[string]string
	}{
		"Secret/ai/openai":  {corev1.SecretTypeOpaque, map[string]string{"api-key": "sk-1\n", ".dot": "d"}},
		"Secret/ai/cert":    {corev1.SecretTypeTLS, map[string]string{"tls.crt": "c", "tls.key": "k"}},
		"Secret/edge/login": {corev1.SecretTypeBasicAuth, map[string]string{"username": "u", "password": "p"}},
	} {
		secret, ok := snapshot.Objects[name].(*corev1.Secret)
		if !ok || secret.Type != want.kind || len(secret.Data) != len(want.data) {
			t.Errorf("%s is %#v", name, snapshot.Objects[name])
			continue
		}
		for key, value := range want.data {
			if string(secret.Data[key]) != value {
				t.Errorf("%s: %s is %q", name, key, secret.Data[key])
			}
		}
	}
	if file, _ := snapshot.Locate("Secret/ai/cert", "data[tls.crt]"); file != filepath.Join(secrets, "ai/cert/tls.crt") {
		t.Errorf("located at %s", file)
	}
	if file, _ := snapshot.Locate("Secret/ai/cert", "data.tls.crt"); file != filepath.Join(secrets, "ai/cert/tls.crt") {
		t.Errorf("located at %s", file)
	}
}

func TestSecretsDirectoryFaults(t *testing.T) {
	dir, secrets := t.TempDir(), t.TempDir()
	put(t, dir, "a.yaml", "\nkind: Secret\napiVersion: v1\nmetadata: {name: openai, namespace: ai}\n")
	put(t, secrets, "ai/openai/key", "x", "stray", "x", "ai/stray", "x", "ai/openai/nested/key", "x", "ai/openai/a b", "x",
		"ai/Upper/key", "x", "Team/key/key", "x", "ai/large/key", strings.Repeat("x", 1<<20+1))
	snapshot, problems := newSource(t, Config{Paths: []string{dir}, SecretsDir: secrets}).Load(t.Context())
	got := strings.ReplaceAll(strings.ReplaceAll(lines(problems), secrets, "SECRETS"), dir, "DIR")
	for _, want := range []string{
		"SECRETS/ai/openai: Secret/ai/openai: the object stands in DIR/a.yaml:2 already",
		"SECRETS/stray: it is a file, where a folder for each namespace belongs",
		"SECRETS/ai/stray: it is a file, where a folder for each Secret belongs",
		"SECRETS/ai/openai/nested: it is a folder",
		"SECRETS/ai/openai/a b: its name is no key",
		"SECRETS/ai/Upper: its name is no Secret's (use lower-case letters",
		"SECRETS/Team: its name is no namespace's (use at most 63 lower-case letters",
		"SECRETS/ai/large/key: it is larger than 1 MiB",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q", want)
		}
	}
	if snapshot != nil || t.Failed() {
		t.Errorf("snapshot %v, problems:\n%s", snapshot, got)
	}
}

func TestSecretsDirectoryThatIsNone(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", openai, "key", "x")
	for name, want := range map[string]string{
		"none": "there is no such folder of Secrets (name a folder laid out as namespace/name/key)",
		"key":  "it is a file, where a folder of Secrets belongs (name a folder laid out as namespace/name/key)",
	} {
		path := filepath.Join(dir, name)
		snapshot, problems := newSource(t, Config{Paths: []string{dir}, SecretsDir: path}).Load(t.Context())
		if got := lines(problems); snapshot != nil || got != path+": "+want+"\n" {
			t.Errorf("snapshot %v, problems:\n%s", snapshot, got)
		}
	}
}

func TestSecretsAmongTheObjectsAreNoObjects(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", openai, "secrets/ai/google/key.json", `{"type": "service_account"}`)
	snapshot := mustLoad(t, newSource(t, Config{Paths: []string{dir}, SecretsDir: filepath.Join(dir, "secrets")}))
	if len(snapshot.Objects) != 2 {
		t.Errorf("objects: %v", snapshot.Objects)
	}
}

// TestNoProblemQuotesASecret breaks a Secret in every way that an editor's slip can.
func TestNoProblemQuotesASecret(t *testing.T) {
	const secret = "hunter2secret"
	head := "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: ai}\n"
	for _, body := range []string{
		"stringData: hunter2secret\n",
		"data: hunter2secret\n",
		"data: {key: hunter2secret}\n",
		"data: {key: [hunter2secret]}\n",
		"data: [hunter2secret]\n",
		"stringData: {key: [hunter2secret]}\n",
		"stringData: {key: {hunter2secret: 1}}\n",
		"stringData:\n  key: *hunter2secret\n",
		"stringData:\n  key: &hunter2secret\n   a: b\n  b: *hunter2secret\n",
		"stringData:\n  key: !!int hunter2secret\n",
		"stringData:\n  key: !hunter2secret!x y\n",
		"stringData:\n  key: !!float 'hunter2secret'\n",
		"stringData:\n  key: %hunter2secret\n",
		"stringData:\n  key: @hunter2secret\n",
		"stringData:\n  key: \"hunter2secret\\q\"\n",
		"stringData:\n  key: \"hunter2secret\n",
		"stringData:\n  key: hunter2secret: x\n",
		"stringData:\n  key: |\n    a\n hunter2secret\n",
		"stringData: {key: \"\\uD800hunter2secret\"}\n",
		"stringData:\n  key: !!binary hunter2secret*\n",
		"type: [hunter2secret]\n",
		"stringData:\n- hunter2secret\n",
		"stringData:\n  ? [hunter2secret]\n  : x\n",
		"immutable: hunter2secret\n",
		"<<: hunter2secret\n",
		"stringData:\nhunter2secret: token\n",
		"stringData:\nsk/hunter2secret.a: token\n",
		"data:\n  hunter2secret/: token\n",
		"hunter2secret:\n  hunter2secret: [1]\n",
		"stringData: {a: b}\n...\nhunter2secret\n",
	} {
		dir := t.TempDir()
		put(t, dir, "a.yaml", head+body)
		snapshot, problems := newSource(t, Config{Paths: []string{dir}}).Load(t.Context())
		if got := lines(problems); strings.Contains(got, "hunter2") || strings.Contains(got, secret) {
			t.Errorf("%q is quoted:\n%s", body, got)
		}
		if (snapshot == nil) == (len(problems) == 0) {
			t.Errorf("%q: snapshot %v, problems:\n%s", body, snapshot, lines(problems))
		}
	}
}

// TestUnknownFieldOfASecretHasItsLine misses an indentation, so that a credential stands for a field's name.
func TestUnknownFieldOfASecretHasItsLine(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: broken\n  namespace: t\n  sk/63.x: y\nstringData:\nsk/64.x: token\n")
	_, problems := newSource(t, Config{Paths: []string{dir}}).Load(t.Context())
	got := lines(problems)
	for _, want := range []string{
		"a.yaml:6: Secret/t/broken: metadata: holds an unknown field (fields here: ",
		"a.yaml:8: Secret/t/broken: holds an unknown field (fields here: ",
	} {
		if !strings.Contains(got, want) || len(problems) != 2 || strings.Contains(got, "sk/") {
			t.Errorf("want %q in:\n%s", want, got)
		}
	}
}

func TestConcealTakesValuesOutOfIssues(t *testing.T) {
	issues := []ebbschema.Issue{
		{Problem: `invalid value "hunter2"`}, {Problem: "no value", Mend: "not aHVudGVyMg=="}, {Problem: "is 12345"}, {Problem: "is required"},
	}
	conceal(issues, map[string]any{"kind": "Secret", "type": "required", "data": map[string]any{"a": "aHVudGVyMg==", "b": []any{int64(12345)}}})
	for i, want := range []string{"the value is not valid here", "the value is not valid here", "the value is not valid here", "is required"} {
		if issues[i].Problem != want || strings.Contains(issues[i].Mend, "aHV") {
			t.Errorf("issue %d is %v", i, issues[i])
		}
	}
}
