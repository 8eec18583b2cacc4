package schema_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/deploy/crds"
)

// ourRules lists the messages of the CEL rules that our own types declare; those of Gateway API types within them are
// that project's to test.
func ourRules(t *testing.T) []string {
	t.Helper()
	entries, err := crds.Index()
	if err != nil {
		t.Fatal(err)
	}
	messages := make(map[string]bool)
	for _, entry := range entries {
		if entry.Group != "ebbgate.dev" {
			continue
		}
		schemas, err := crds.Schemas(entry.File)
		if err != nil {
			t.Fatal(err)
		}
		for i := range schemas {
			gather(&schemas[i].Schema, messages)
		}
	}
	return slices.Sorted(maps.Keys(messages))
}

func gather(s *apiextensionsv1.JSONSchemaProps, messages map[string]bool) {
	for _, rule := range s.XValidations {
		messages[rule.Message] = true
	}
	for name, property := range s.Properties {
		if name != "subjectAltNames" {
			gather(&property, messages)
		}
	}
	if s.Items != nil {
		gather(s.Items.Schema, messages)
	}
}

// TestAdmissible validates our CRDs as an API server does when they are installed, the cost of their CEL rules included.
func TestAdmissible(t *testing.T) {
	paths, err := filepath.Glob("../../deploy/crds/ebbgate.dev_*.yaml")
	if err != nil || len(paths) != 7 {
		t.Fatalf("%d CRDs found, want 7 (%v)", len(paths), err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var crd apiextensionsv1.CustomResourceDefinition
			if err := yaml.UnmarshalStrict(data, &crd); err != nil {
				t.Fatal(err)
			}
			apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
			apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
			var internal apiextensions.CustomResourceDefinition
			if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, &internal, nil); err != nil {
				t.Fatal(err)
			}
			internal.Status.StoredVersions = []string{"v1alpha1"}
			for _, err := range crdvalidation.ValidateCustomResourceDefinition(t.Context(), &internal) {
				t.Error(err)
			}
		})
	}
}
