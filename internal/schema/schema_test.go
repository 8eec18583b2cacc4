package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/schema"
)

// object reads one YAML document; int64 for whole numbers, as the folder's reader gives it.
func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		t.Fatalf("read %s: %v", text, err)
	}
	return obj
}

// documents splits a testdata file.
func documents(t testing.TB, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(data), "\n---\n")
}

// TestCases runs testdata/*.yaml. A document is an object; its comment lines "# want: text" each stand for one issue
// whose line must contain the text. Without any, the object must be free of issues, and must decode.
func TestCases(t *testing.T) {
	v := schema.New()
	for _, file := range []string{"backend.yaml", "credentialinjector.yaml", "egresspolicy.yaml", "dnspolicy.yaml", "guardrailspolicy.yaml", "regionallowlistpolicy.yaml", "gatewayparameters.yaml", "standard.yaml", "core.yaml"} {
		for i, doc := range documents(t, file) {
			t.Run(file+"/"+title(doc), func(t *testing.T) { checkCase(t, v, i, doc) })
		}
	}
}

func checkCase(t *testing.T, v *schema.Validator, index int, doc string) {
	obj := object(t, doc)
	issues := v.Check(t.Context(), obj)
	var want []string
	for line := range strings.Lines(doc) {
		if text, ok := strings.CutPrefix(line, "# want: "); ok {
			want = append(want, strings.TrimSpace(text))
		}
	}
	if len(issues) != len(want) {
		t.Fatalf("document %d: %d issues, want %d: %v", index, len(issues), len(want), issues)
	}
	for i, issue := range issues {
		if !strings.Contains(issue.String(), want[i]) {
			t.Errorf("document %d: issue %q, want %q", index, issue, want[i])
		}
	}
	if len(want) > 0 {
		return
	}
	if _, err := v.Decode(obj); err != nil {
		t.Errorf("document %d: %v", index, err)
	}
}

// title is a document's first line, its heading.
func title(doc string) string {
	line, _, _ := strings.Cut(doc, "\n")
	return strings.TrimPrefix(line, "# ")
}

// TestEveryRuleBites holds the cases against the schemas: each CEL message of our own kinds must be expected somewhere.
func TestEveryRuleBites(t *testing.T) {
	var cases strings.Builder
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases.Write(data)
	}
	rules := ourRules(t)
	if len(rules) < 20 {
		t.Fatalf("only %d rules found: the walk over the schemas is broken", len(rules))
	}
	for _, message := range rules {
		if !strings.Contains(cases.String(), message) {
			t.Errorf("no case for the rule %q", message)
		}
	}
}
