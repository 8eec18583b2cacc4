package apiserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/deploy/crds"
	"github.com/ebbgate/ebbgate/internal/schema"
)

// TestSchemaJudgesAsTheServer gives the server the cases of internal/schema: it stores what schema takes, with the same
// defaults, and refuses what schema refuses, by our rules in the same words.
func TestSchemaJudgesAsTheServer(t *testing.T) {
	w := newWorld(t)
	files, err := filepath.Glob("../../schema/testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// rules.yaml breaks alone what the cases break together with the schema, where the server asks no rules.
	for _, file := range append(files, "../../schema/testdata/folder/first.yaml", "testdata/rules.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range strings.Split(string(data), "\n---\n") {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(file), i), func(t *testing.T) { w.judge(t, document) })
		}
	}
	for kind, stored := range w.stored {
		if !stored {
			t.Errorf("no %s was stored", kind)
		}
	}
	for message, said := range w.rules {
		if !said {
			t.Errorf("the server never said %q", message)
		}
	}
}

// unchecked is what the server says where it asks no rules, since the object breaks its schema. Schema asks those that it can.
const unchecked = "some validation rules were not checked because the object was invalid"

// world is a server and what came of it.
type world struct {
	client    *dynamic.DynamicClient
	mapper    meta.RESTMapper
	namespace string
	validator *schema.Validator
	count     int
	stored    map[string]bool // whether one of the kind was
	rules     map[string]bool // whether the server said the message
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server := suite.Server(t)
	client, err := dynamic.NewForConfig(server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(clients(t, server.Admin()).Discovery())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		client: client, mapper: restmapper.NewDiscoveryRESTMapper(groups), namespace: server.Namespace(t), validator: schema.New(),
		stored: map[string]bool{"Gateway": false, "HTTPRoute": false}, rules: map[string]bool{},
	}
	entries, err := crds.Index()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Group != "ebbgate.dev" {
			continue
		}
		w.stored[entry.Kind] = false
		schemas, err := crds.Schemas(entry.File)
		if err != nil {
			t.Fatal(err)
		}
		for i := range schemas {
			w.gather(&schemas[i].Schema)
		}
	}
	return w
}

// gather notes the messages of the rules that our own types declare; those of Gateway API's types within them are that
// project's to test.
func (w *world) gather(s *apiextensionsv1.JSONSchemaProps) {
	for _, rule := range s.XValidations {
		w.rules[rule.Message] = false
	}
	for name, property := range s.Properties {
		if name != "subjectAltNames" {
			w.gather(&property)
		}
	}
	if s.Items != nil {
		w.gather(s.Items.Schema)
	}
}

// judge has both judge one object.
func (w *world) judge(t *testing.T, document string) {
	data, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	sent := &unstructured.Unstructured{}
	if err := sent.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(sent.GroupVersionKind().Group, ".") || sent.GetKind() == "EndpointSlice" {
		return // core kinds have no CRDs, and checks that only their server knows
	}
	delete(sent.Object, "status") // as schema does: it is not the user's to write
	checked := sent.DeepCopy()
	issues := w.validator.Check(t.Context(), checked)
	if slices.ContainsFunc(issues, func(i schema.Issue) bool { return i.Field == "metadata.namespace" }) {
		return // a namespace is the URL's here
	}
	if sent.GetNamespace() != "" {
		sent.SetNamespace(w.namespace)
	}
	resource, err := w.resource(sent)
	if err != nil {
		if len(issues) == 0 {
			t.Errorf("schema takes what the server has no resource for: %v", err)
		}
		return
	}
	if len(issues) > 0 {
		w.refused(t, resource, sent, issues)
		return
	}

	w.count++
	sent.SetName(fmt.Sprintf("%s-%d", sent.GetName(), w.count))
	if _, err := resource.Create(t.Context(), sent, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
		t.Errorf("the server refuses what schema takes: %v", err)
		return
	}
	got, err := resource.Get(t.Context(), sent.GetName(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got.Object["spec"], checked.Object["spec"]); diff != "" {
		t.Errorf("defaults of the server (-) and of schema (+):\n%s", diff)
	}
	w.stored[got.GetKind()] = true
}

// resource is where the object belongs.
func (w *world) resource(obj *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := obj.GroupVersionKind()
	mapping, err := w.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return w.client.Resource(mapping.Resource), nil
	}
	return w.client.Resource(mapping.Resource).Namespace(w.namespace), nil
}

// refused holds the server to the issues.
func (w *world) refused(t *testing.T, resource dynamic.ResourceInterface, obj *unstructured.Unstructured, issues []schema.Issue) {
	_, err := resource.Create(t.Context(), obj, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		t.Errorf("the server takes what schema refuses: %v", issues)
		return
	}
	said := err.Error()
	for _, issue := range issues {
		if _, ours := w.rules[issue.Problem]; !ours {
			continue
		}
		if strings.Contains(said, issue.Field+": ") && strings.Contains(said, issue.Problem) {
			w.rules[issue.Problem] = true
		} else if !strings.Contains(said, unchecked) {
			t.Errorf("the server says %q, and schema %q", said, issue)
		}
	}
}
