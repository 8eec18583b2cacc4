package ebbgate_test

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/schema"
)

// TestDocumentedObjectsLoad checks every object that a Markdown file or an example shows as an API server would.
func TestDocumentedObjectsLoad(t *testing.T) {
	validator := schema.New()
	checked := 0
	for _, b := range documented(t) {
		for _, document := range regexp.MustCompile(`(?m)^---.*$`).Split(b.text, -1) {
			if !strings.Contains(document, "apiVersion:") {
				continue // a fragment, or another program's YAML
			}
			checked++
			data, err := yaml.YAMLToJSONStrict([]byte(document))
			if err != nil {
				t.Errorf("%s:%d: %v", b.file, b.line, err)
				continue
			}
			var object unstructured.Unstructured
			if err := object.UnmarshalJSON(data); err != nil {
				t.Errorf("%s:%d: %v", b.file, b.line, err)
				continue
			}
			known, groupOurs := validator.Serves(object.GroupVersionKind())
			if !known && !groupOurs {
				continue // Kubernetes' own, such as a Deployment
			}
			for _, issue := range validator.Check(t.Context(), &object) {
				t.Errorf("%s:%d: %s %s: %s", b.file, b.line, object.GetKind(), object.GetName(), issue)
			}
		}
	}
	if checked == 0 {
		t.Error("no object found in any Markdown file: is the search broken?")
	}
}

// block is YAML that documentation shows.
type block struct {
	file string
	line int // of its first line
	text string
}

// documented are the fenced yaml blocks of all Markdown files, and the YAML files of the examples.
func documented(t *testing.T) []block {
	t.Helper()
	var list []block
	for _, name := range files(t) {
		switch {
		case path.Ext(name) == ".md":
			list = append(list, fenced(name, string(read(t, name)))...)
		case path.Ext(name) == ".yaml" && below(name, "examples"):
			list = append(list, block{file: name, line: 1, text: string(read(t, name))})
		}
	}
	return list
}

// fenced are the yaml blocks of a Markdown text, without the indentation that their fence has in a list.
func fenced(name, text string) []block {
	var list []block
	var open *block
	indent := ""
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open == nil && regexp.MustCompile("^```ya?ml\\b").MatchString(trimmed):
			indent = line[:strings.Index(line, "`")]
			open = &block{file: name, line: i + 2}
		case open != nil && trimmed == "```":
			list = append(list, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	return list
}

func TestFenced(t *testing.T) {
	const text = "a\n```yaml\nkind: A\n```\n```sh\nls\n```\n1. b\n   ```yaml\n   kind: B\n     c: d\n   ```\n"
	got := fenced("f.md", text)
	want := []block{{"f.md", 3, "kind: A\n"}, {"f.md", 10, "kind: B\n  c: d\n"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("fenced = %v, want %v", got, want)
	}
}

// TestReasonsExplained holds docs/reasons.md to the closed list: refusals link to its anchors.
func TestReasonsExplained(t *testing.T) {
	statuses := map[exchange.Reason]string{}
	row := regexp.MustCompile("(?m)^\\| <a id=\"(\\w+)\"></a>`(\\w+)` \\| (\\d+)([^|]*)\\| [^|]{20,} \\| [^|]{10,} \\|$")
	for _, m := range row.FindAllStringSubmatch(string(read(t, "docs/reasons.md")), -1) {
		if m[1] != m[2] {
			t.Errorf("the anchor of %s is %s", m[2], m[1])
		}
		statuses[exchange.Reason(m[2])] = m[3]
	}
	for _, reason := range exchange.Reasons() {
		switch status, ok := statuses[reason]; {
		case !ok:
			t.Errorf("docs/reasons.md does not explain %s: a row of reason, status, meaning and mend", reason)
		case status != strconv.Itoa(reason.Status()):
			t.Errorf("docs/reasons.md gives %s the status %s, it has %d", reason, status, reason.Status())
		}
		delete(statuses, reason)
	}
	for reason := range statuses {
		t.Errorf("docs/reasons.md explains %s, which is no reason", reason)
	}
}
