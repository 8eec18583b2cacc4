package translate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

var update = flag.Bool("update", false, "write the goldens")

// secretText stands in inputs for what must never come out again.
const secretText = "hunter2-do-not-print"

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestGoldens translates each case of testdata: input.yaml gives plan.yaml, statuses.yaml and problems.txt. In the
// input @certificate@ and @key@ stand for a pair made for the run, @ca@ for its issuer. A comment "kubernetes" above
// the files translates for Kubernetes; there pods.txt may list the known Pods, with their addresses.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	pair := newPair(t)
	validator := schema.New()
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input := part(archive, "input.yaml")
			snapshot := load(t, validator, pair.Replace(input))
			translator := New(Config{Kinds: kinds(), Kubernetes: strings.Contains(string(archive.Comment), "kubernetes"), Now: func() time.Time { return epoch }})
			translator.Observe(running(snapshot))
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{{Name: "input.yaml", Data: []byte(input)}}}
			if known := part(archive, "pods.txt"); known != "" {
				translator.Know(pods(t, known))
				got.Files = append(got.Files, txtar.File{Name: "pods.txt", Data: []byte(known)})
			}
			got.Files = append(got.Files, render(t, translator.Apply(snapshot))...)
			compare(t, file, got)
		})
	}
}

// pods reads lines of namespace/name and addresses.
func pods(t *testing.T, text string) map[string]*plan.Workload {
	t.Helper()
	known := map[string]*plan.Workload{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		pod := &plan.Workload{Name: "Pod/" + words[0]}
		for _, word := range words[1:] {
			address, err := netip.ParseAddr(word)
			if err != nil {
				t.Fatal(err)
			}
			pod.Addresses = append(pod.Addresses, address)
		}
		known[pod.Name] = pod
	}
	return known
}

// running says of every Gateway that it runs.
func running(s *source.Snapshot) map[string]*Fleet {
	fleets := map[string]*Fleet{}
	for key := range s.Objects {
		if strings.HasPrefix(key, "Gateway/") {
			fleets[key] = &Fleet{Programmed: true}
		}
	}
	return fleets
}

func part(archive *txtar.Archive, name string) string {
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func compare(t *testing.T, file string, got *txtar.Archive) {
	t.Helper()
	text := txtar.Format(got)
	if strings.Contains(strings.ReplaceAll(string(text), part(got, "input.yaml"), ""), secretText) {
		t.Error("a secret came out")
	}
	if lines := bytes.Count(text, []byte("\n")); lines > 150 {
		t.Errorf("%d lines; a case has 150 at the most", lines)
	}
	if *update {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("run with -update if this is meant:\n%s", diff)
	}
}

// render writes a result with its times left out.
func render(t *testing.T, r *Result) []txtar.File {
	t.Helper()
	var problems strings.Builder
	for _, p := range r.Problems {
		level := "error"
		if p.Warning {
			level = "warning"
		}
		fmt.Fprintf(&problems, "%s %s %s: %s\n", level, strings.TrimSpace(p.Condition+" "+p.Reason), p.Object, strings.TrimPrefix(p.String(), p.Object+": "))
	}
	return []txtar.File{
		{Name: "plan.yaml", Data: toYAML(t, r.Plan)},
		{Name: "statuses.yaml", Data: toYAML(t, r.Statuses)},
		{Name: "problems.txt", Data: []byte(problems.String())},
	}
}

func toYAML(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	var node yamlv3.Node
	if err := node.Encode(scrub(tree)); err != nil {
		t.Fatal(err)
	}
	fold(&node)
	out, err := yamlv3.Marshal(&node)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fold writes what is short on one line.
func fold(node *yamlv3.Node) (length int) {
	length = len(node.Value) + 2
	for _, child := range node.Content {
		length += fold(child)
	}
	if length < 110 && len(node.Content) > 0 {
		node.Style = yamlv3.FlowStyle
	}
	return length
}

// scrub drops times and what says nothing, writes a condition on one line, type=status reason@generation: message, and counts
// features, which are the same for every class: package gateway tests which they are.
func scrub(tree any) any {
	switch node := tree.(type) {
	case map[string]any:
		if node["lastTransitionTime"] != nil {
			line := fmt.Sprintf("%s=%s %s", node["type"], node["status"], node["reason"])
			if generation := node["observedGeneration"]; generation != nil {
				line += fmt.Sprintf("@%v", generation)
			}
			if node["message"] != "" {
				line += fmt.Sprintf(": %s", node["message"])
			}
			return line
		}
		if features, ok := node["supportedFeatures"].([]any); ok {
			node["supportedFeatures"] = len(features)
		}
		for key, value := range node {
			if list, ok := value.([]any); value == nil || ok && len(list) == 0 {
				delete(node, key)
				continue
			}
			node[key] = scrub(value)
		}
	case []any:
		for i := range node {
			node[i] = scrub(node[i])
		}
	case json.Number:
		if n, err := node.Int64(); err == nil {
			return n
		}
	}
	return tree
}

// newPair replaces the placeholders of certificates.
func newPair(t testing.TB) *strings.Replacer {
	t.Helper()
	authority, err := ca.New("golden")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(ca.Leaf{DNSNames: []string{"gateway.test"}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.KeyPEM(leaf)
	if err != nil {
		t.Fatal(err)
	}
	line := func(pem []byte) string { return strings.ReplaceAll(string(pem), "\n", `\n`) }
	return strings.NewReplacer("@certificate@", line(ca.CertificatePEM(leaf)), "@key@", line(key), "@ca@", line(authority.PEM()))
}

// load decodes documents as the folder's source does: defaulted and checked.
func load(t testing.TB, validator *schema.Validator, text string) *source.Snapshot {
	t.Helper()
	objects, issues, err := decode(validator, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, issue := range issues {
		t.Error(issue)
	}
	return &source.Snapshot{Objects: objects}
}

func decode(validator *schema.Validator, text string) (objects map[string]source.Object, issues []string, err error) {
	objects = map[string]source.Object{}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if err == io.EOF {
			return objects, issues, nil
		} else if err != nil {
			return nil, nil, err
		}
		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, nil, err
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(text); err != nil {
			return nil, nil, err
		}
		for _, issue := range validator.Check(context.Background(), u) {
			issues = append(issues, u.GetKind()+" "+u.GetName()+": "+issue.String())
		}
		object, err := validator.Decode(u)
		if err != nil {
			return nil, nil, err
		}
		objects[plan.ObjectName(u.GetKind(), object.GetNamespace(), object.GetName())] = object
	}
}
