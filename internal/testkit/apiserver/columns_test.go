package apiserver_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/deploy/crds"
)

// always are columns that every kind has. The wide ones are those of `kubectl get -o wide`.
var always = []string{"Name", "Accepted", "Resolved", "Reason (wide)", "Age"}

// TestColumns holds what `kubectl get` shows of each kind of ours: the server makes the table, of objects with a status.
func TestColumns(t *testing.T) {
	w := newWorld(t)
	data, err := os.ReadFile("testdata/columns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, document := range strings.Split(string(data), "\n---\n") {
		var c struct {
			Object map[string]any    `json:"object"`
			Row    map[string]string `json:"row"`
		}
		if err := yaml.UnmarshalStrict([]byte(document), &c); err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{Object: c.Object}
		shown[object.GetKind()] = true
		t.Run(object.GetKind()+"/"+object.GetName(), func(t *testing.T) {
			row := w.row(t, object)
			for _, column := range always {
				if _, ok := row[column]; !ok {
					t.Errorf("there is no column %s", column)
				}
			}
			if row["Age"] == "" {
				t.Error("it has no age")
			}
			delete(row, "Age")
			if diff := cmp.Diff(c.Row, row); diff != "" {
				t.Errorf("columns that are to be (-) and that are shown (+):\n%s", diff)
			}
		})
	}
	entries, err := crds.Index()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Group == "ebbgate.dev" && !shown[entry.Kind] {
			t.Errorf("testdata/columns.yaml shows no %s", entry.Kind)
		}
	}
}

// row creates an object with its status, and has the server make a table of it: the cell of each column.
func (w *world) row(t *testing.T, object *unstructured.Unstructured) map[string]string {
	t.Helper()
	object.SetNamespace(w.namespace)
	resource, err := w.resource(object)
	if err != nil {
		t.Fatal(err)
	}
	made, err := resource.Create(t.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	made.Object["status"] = object.Object["status"]
	if _, err := resource.UpdateStatus(t.Context(), made, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
		t.Fatal(err)
	}
	mapping, err := w.mapper.RESTMapping(object.GroupVersionKind().GroupKind())
	if err != nil {
		t.Fatal(err)
	}
	gv := object.GroupVersionKind().GroupVersion()
	answer, err := clients(t, suite.Server(t).Admin()).RESTClient().Get().
		AbsPath("/apis", gv.Group, gv.Version, "namespaces", w.namespace, mapping.Resource.Resource, object.GetName()).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(answer, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%d rows", len(table.Rows))
	}
	row := map[string]string{}
	for i, column := range table.ColumnDefinitions {
		name := column.Name
		if column.Priority > 0 {
			name += " (wide)"
		}
		if cell := table.Rows[0].Cells[i]; cell != nil {
			row[name] = fmt.Sprint(cell)
		} else {
			row[name] = ""
		}
	}
	return row
}
