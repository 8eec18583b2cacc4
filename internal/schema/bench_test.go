package schema_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ebbgate/ebbgate/internal/schema"
)

func contains(issue schema.Issue, text string) bool { return strings.Contains(issue.String(), text) }

// folder is what a first user has: a Gateway, a route, a destination and its key.
func folder(t testing.TB) []string { return documents(t, "folder/first.yaml") }

// BenchmarkFolderCold is what a start pays: a new Validator, everything compiled that the folder needs.
func BenchmarkFolderCold(b *testing.B) {
	docs := folder(b)
	for b.Loop() {
		checkFolder(b, schema.New(), docs)
	}
}

// BenchmarkFolderWarm is what a reload pays.
func BenchmarkFolderWarm(b *testing.B) {
	docs := folder(b)
	v := schema.New()
	checkFolder(b, v, docs)
	for b.Loop() {
		checkFolder(b, v, docs)
	}
}

// BenchmarkEverythingCold compiles every kind and rule that the other tests' documents touch.
func BenchmarkEverythingCold(b *testing.B) {
	var objects []*unstructured.Unstructured
	for _, file := range []string{"backend.yaml", "credentialinjector.yaml", "egresspolicy.yaml", "dnspolicy.yaml", "guardrailspolicy.yaml", "regionallowlistpolicy.yaml", "standard.yaml"} {
		for _, doc := range documents(b, file) {
			objects = append(objects, object(b, doc))
		}
	}
	for b.Loop() {
		v := schema.New()
		for _, obj := range objects {
			v.Check(b.Context(), obj.DeepCopy())
		}
	}
}

func checkFolder(b *testing.B, v *schema.Validator, docs []string) {
	for _, doc := range docs {
		obj := object(b, doc)
		if issues := v.Check(b.Context(), obj); len(issues) > 0 {
			b.Fatalf("%s: %v", obj.GetKind(), issues)
		}
		if _, err := v.Decode(obj); err != nil {
			b.Fatal(err)
		}
	}
}
