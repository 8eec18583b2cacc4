package order

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/schema"
)

var folders = map[string]string{
	"GuardRailsPolicy": "guardrails", "EgressPolicy": "egress", "DNSPolicy": "dns", "CredentialInjector": "credential",
	"BackendTLSPolicy": "backendtls", "XBackendTrafficPolicy": "backendtraffic",
}

func TestConfigsAreTagged(t *testing.T) {
	for _, kind := range Kinds() {
		if err := policy.CheckConfig(kind.Config()); err != nil {
			t.Errorf("%s: %v", kind.Name, err)
		}
	}
}

func TestGuardRailsAreFirstAndCredentialsLast(t *testing.T) {
	kinds := Kinds()
	if kinds[0].Name != "GuardRailsPolicy" || kinds[len(kinds)-1].Name != "CredentialInjector" {
		t.Error("the order of work is wrong")
	}
}

// refs resolves every Secret.
type refs struct{ t *testing.T }

func (r refs) Secret(_, _, name, _ string, _ ...func([]byte) string) string {
	return plan.ObjectName("Secret", "ai", name)
}
func (r refs) Authorities(_ string, list []gwapiv1.LocalObjectReference) []string {
	var names []string
	for _, ref := range list {
		names = append(names, plan.ObjectName(string(ref.Kind), "ai", string(ref.Name)))
	}
	return names
}
func (r refs) KeyPair(_, _, name string) string { return plan.ObjectName("Secret", "ai", name) }
func (r refs) Invalid(field, message, _ string) { r.t.Errorf("%s: %s", field, message) }
func (r refs) Warn(field, message, _ string)    { r.t.Errorf("%s: %s", field, message) }
func (r refs) Standalone() bool                 { return true }

// example is the policy in the README of a kind, as its schema defaults it.
func example(t *testing.T, kind *policy.Kind) policy.Object {
	t.Helper()
	readme, err := os.ReadFile("../" + folders[kind.Name] + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```yaml\n")
	text, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the README has no example")
	}
	converted, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(converted); err != nil {
		t.Fatal(err)
	}
	for _, issue := range schema.New().Check(t.Context(), &object) {
		t.Errorf("%s: %s", issue.Field, issue.Problem)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, gwapiv1.Install, gwapixv1alpha1.Install} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	typed, err := scheme.New(object.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		t.Fatal(err)
	}
	if kind.Object != nil {
		if typed.GetObjectKind().GroupVersionKind().Group != kind.Group {
			t.Errorf("the example is of another group than %q", kind.Group)
		}
		return kind.Object(typed)
	}
	return typed.(policy.Object)
}

func TestExamplesLoad(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			object := example(t, kind)
			if got := object.GetObjectKind().GroupVersionKind().Kind; got != kind.Name {
				t.Fatalf("the example is a %s", got)
			}
			if kind.Enforce != nil && !kind.Enforce(object) {
				t.Error("the example does not enforce")
			}
			config := kind.Translate(refs{t}, object)
			env := policy.Env{Policy: kind.Name + "/ai/x", Secret: func(string) *plan.Secret { return nil }}
			var made []any
			if kind.Restrict != nil {
				stage, err := kind.Restrict(env, config)
				if err != nil {
					t.Fatal(err)
				}
				made = append(made, stage)
			}
			if kind.Apply != nil {
				stage, err := kind.Apply(env, policy.Merge(kind.Config(), config))
				if err != nil {
					t.Fatal(err)
				}
				made = append(made, stage)
			}
			for _, stage := range made {
				if stage == nil {
					t.Error("the example makes a stage too few")
				}
			}
			roundTrip(t, kind, config)
		})
	}
}

// roundTrip sends a config through JSON, as a plan that is distributed goes.
func roundTrip(t *testing.T, kind *policy.Kind, config any) {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	back := kind.Config()
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(config, back) {
		t.Errorf("%s came back as %+v", text, back)
	}
	filled := reflect.ValueOf(config).Elem()
	for i := range filled.NumField() {
		name := filled.Type().Field(i).Name
		if filled.Field(i).IsZero() && name != "Basic" && name != "OnUnavailable" {
			t.Errorf("the README's example leaves %s.%s empty", kind.Name, name)
		}
	}
}

func TestAWrittenEmptyListComesBackAsOne(t *testing.T) {
	for _, kind := range Kinds() {
		config := kind.Config()
		v := reflect.ValueOf(config).Elem()
		for i := range v.NumField() {
			if field := v.Field(i); field.Kind() == reflect.Slice && strings.Contains(string(v.Type().Field(i).Tag), "omitzero") {
				field.Set(reflect.MakeSlice(field.Type(), 0, 0))
			}
		}
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		back := kind.Config()
		if err := json.Unmarshal(text, back); err != nil || !reflect.DeepEqual(config, back) {
			t.Errorf("%s: %s came back as %+v (%v)", kind.Name, text, back, err)
		}
	}
}
