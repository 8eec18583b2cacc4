package schema

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// TestNodeByNodeIsTheWhole holds the rules compiled one node at a time against the API server's own validator of whole
// schemas: on every test document both must find the same.
func TestNodeByNodeIsTheWhole(t *testing.T) {
	v := New()
	found := 0
	for _, obj := range customObjects(t, v) {
		k := v.kinds[obj.GroupVersionKind().GroupKind()].checker.(*customKind)
		k.once.Do(k.load)
		c := k.versions[obj.GroupVersionKind().Version]
		delete(obj.Object, "status")
		c.prune(obj)
		defaulting.Default(obj.Object, c.schema)

		whole, _ := cel.NewValidator(c.schema, true, celconfig.PerCallLimit).Validate(t.Context(), nil, c.schema, obj.Object, nil, celconfig.RuntimeCELCostBudget)
		nodes := c.rules.check(t.Context(), obj.Object)
		if diff := cmp.Diff(lines(whole), lines(nodes)); diff != "" {
			t.Errorf("%s %s (-whole +nodes):\n%s", obj.GetKind(), obj.GetName(), diff)
		}
		found += len(nodes)
	}
	if found < 30 {
		t.Errorf("only %d broken rules in all documents: the comparison shows little", found)
	}
}

func lines(errs field.ErrorList) []string {
	out := make([]string, len(errs))
	for i, err := range errs {
		out[i] = err.Error()
	}
	slices.Sort(out)
	return out
}

// customObjects reads the test documents of kinds that CRDs serve.
func customObjects(t *testing.T, v *Validator) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(data), "\n---\n") {
			text, err := yaml.YAMLToJSON([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			obj := &unstructured.Unstructured{}
			if err := obj.UnmarshalJSON(text); err != nil {
				t.Fatal(err)
			}
			gvk := obj.GroupVersionKind()
			if known, _ := v.Serves(gvk); known && v.groups[gvk.Group] {
				objects = append(objects, obj)
			}
		}
	}
	return objects
}

// TestEverySchemaCompiles builds every kind's schema and all its rules.
func TestEverySchemaCompiles(t *testing.T) {
	for gk, k := range New().kinds {
		custom, ok := k.checker.(*customKind)
		if !ok {
			continue
		}
		custom.once.Do(custom.load)
		if custom.err != nil {
			t.Errorf("%s: %v", gk, custom.err)
		}
		for _, version := range k.versions {
			if custom.versions[version] == nil {
				t.Errorf("%s: version %s has no schema", gk, version)
			}
		}
		if _, ok := typed[gk]; !ok && gk.Kind != "XBackend" {
			t.Errorf("%s: no Go type", gk)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"hostnme", "hostname", 1}, {"pth", "path", 1}, {"lables", "labels", 1}, {"abc", "xyz", 3}, {"kitten", "sitting", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestLookupLeavesTheSchema(t *testing.T) {
	v := New()
	k := v.kinds[ours("Backend")].checker.(*customKind)
	k.once.Do(k.load)
	root := k.versions["v1alpha1"].schema
	for _, path := range []string{"spec.nothing.at.all", "spec.port[0]", "..", "[]", "spec.addresses.addresses[x].y"} {
		if node := lookup(root, path); node != nil && node != root {
			t.Errorf("%q leads to %v", path, node.Type)
		}
	}
	if node := lookup(root, "spec.addresses.addresses[3]"); node == nil || node.Type != "string" {
		t.Error("an element is not found")
	}
}
