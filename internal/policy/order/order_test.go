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
	"GuardRailsPolicy": "guardrails", "EgressPolicy": "egress", "RegionAllowListPolicy": "regions", "DNSPolicy": "dns", "CredentialInjector": "credential",
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
func (r refs) Backend(_ string, ref gwapiv1.BackendObjectReference) *plan.Backend {
	return &plan.Backend{Name: plan.ObjectName(string(*ref.Kind), "ai", string(ref.Name))}
}
func (r refs) Rules() []*plan.Rule                  { return nil }
func (r refs) Ineffective(field, message, _ string) { r.t.Errorf("%s: %s", field, message) }
func (r refs) Invalid(field, message, _ string)     { r.t.Errorf("%s: %s", field, message) }
func (r refs) Warn(field, message, _ string)        { r.t.Errorf("%s: %s", field, message) }
func (r refs) Standalone() bool                     { return true }

// examples are the policies in the README of a kind, as its schema defaults them.
func examples(t *testing.T, kind *policy.Kind) []policy.Object {
	t.Helper()
	readme, err := os.ReadFile("../" + folders[kind.Name] + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []policy.Object
	for i, rest := range strings.Split(string(readme), "```yaml\n") {
		if text, _, found := strings.Cut(rest, "```"); i > 0 && found {
			list = append(list, example(t, kind, text))
		}
	}
	if len(list) == 0 {
		t.Fatal("the README has no example")
	}
	return list
}

func example(t *testing.T, kind *policy.Kind, text string) policy.Object {
	t.Helper()
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

// TestExamplesLoad: the examples of a README are policies in force, and together they fill every field of the config and
// make every stage that the kind has.
func TestExamplesLoad(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			filled := map[string]bool{"Basic": true, "OnUnavailable": true}
			restricts, applies := kind.Restrict == nil, kind.Apply == nil
			for _, object := range examples(t, kind) {
				if got := object.GetObjectKind().GroupVersionKind().Kind; got != kind.Name {
					t.Fatalf("the example is a %s", got)
				}
				if kind.Enforce != nil && !kind.Enforce(object) {
					t.Error("the example does not enforce")
				}
				config := kind.Translate(refs{t}, object)
				restricts = made(t, kind.Restrict, config) || restricts
				applies = made(t, kind.Apply, policy.Merge(kind.Config(), config)) || applies
				roundTrip(t, kind, config, filled)
			}
			if !restricts || !applies {
				t.Error("the examples make a stage too few")
			}
			config := reflect.TypeOf(kind.Config()).Elem()
			for i := range config.NumField() {
				if name := config.Field(i).Name; !filled[name] {
					t.Errorf("the README's examples leave %s.%s empty", kind.Name, name)
				}
			}
		})
	}
}

// made reports whether a stage is built of a config.
func made(t *testing.T, build func(policy.Env, any) (any, error), config any) bool {
	t.Helper()
	if build == nil {
		return false
	}
	stage, err := build(policy.Env{Policy: "P/ai/x", Secret: func(string) *plan.Secret { return nil }}, config)
	if err != nil {
		t.Fatal(err)
	}
	return stage != nil
}

// roundTrip sends a config through JSON, as a plan that is distributed goes, and notes the fields that it fills.
func roundTrip(t *testing.T, kind *policy.Kind, config any, filled map[string]bool) {
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
	v := reflect.ValueOf(config).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		filled[name] = filled[name] || !v.Field(i).IsZero()
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
