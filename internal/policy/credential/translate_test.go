package credential

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

// refs resolves every Secret but those named "gone", and judges the value that it has for a key.
type refs struct {
	policy.References
	asked, invalid []string
	values         map[string]string
	faults         []string
}

func (r *refs) Secret(field, namespace, name, key string, checks ...func([]byte) string) string {
	for _, check := range checks {
		if value, ok := r.values[key]; ok {
			r.faults = append(r.faults, field+" "+key+" "+check([]byte(value)))
		}
	}
	r.asked = append(r.asked, field+" "+namespace+" "+name+" "+key)
	if name == "gone" {
		return ""
	}
	return "Secret/ai/" + name
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }

func ref(name, key string) v1alpha1.SecretKeyReference {
	return v1alpha1.SecretKeyReference{Name: gwapiv1.ObjectName(name), Key: key}
}

func TestTranslateAPIKey(t *testing.T) {
	f := func(written v1alpha1.APIKeyCredential, want APIKey) {
		t.Helper()
		got := translate(&refs{}, &v1alpha1.CredentialInjector{Spec: v1alpha1.CredentialInjectorSpec{Type: "APIKey", APIKey: &written}})
		if diff := cmp.Diff(&want, got.(*Config).APIKey); diff != "" {
			t.Error(diff)
		}
	}
	f(v1alpha1.APIKeyCredential{SecretRef: ref("k", "")}, APIKey{Reference{Secret: "Secret/ai/k", Key: "token"}, "Authorization", "Bearer "})
	f(v1alpha1.APIKeyCredential{SecretRef: ref("k", "x"), Header: "authorization"}, APIKey{Reference{Secret: "Secret/ai/k", Key: "x"}, "authorization", "Bearer "})
	f(v1alpha1.APIKeyCredential{SecretRef: ref("k", "x"), Prefix: new("")}, APIKey{Reference{Secret: "Secret/ai/k", Key: "x"}, "Authorization", ""})
	f(v1alpha1.APIKeyCredential{SecretRef: ref("k", "x"), Header: "X-Api-Key"}, APIKey{Reference{Secret: "Secret/ai/k", Key: "x"}, "X-Api-Key", ""})
	f(v1alpha1.APIKeyCredential{SecretRef: ref("k", "x"), Header: "X-Api-Key", Prefix: new("Key ")}, APIKey{Reference{Secret: "Secret/ai/k", Key: "x"}, "X-Api-Key", "Key "})
	f(v1alpha1.APIKeyCredential{SecretRef: ref("gone", "x")}, APIKey{Reference{Key: "x", Lost: "/gone"}, "Authorization", "Bearer "})
}

func TestTranslate(t *testing.T) {
	other := ref("o", "org")
	other.Namespace = new(gwapiv1.Namespace("platform"))
	r := &refs{}
	got := translate(r, &v1alpha1.CredentialInjector{Spec: v1alpha1.CredentialInjectorSpec{
		Type: "Basic", Basic: &v1alpha1.BasicCredential{SecretRef: v1alpha1.SecretReference{Name: "b"}},
		Headers:           []v1alpha1.InjectedHeader{{Name: "X-A", Value: new("a")}, {Name: "X-B", SecretRef: &other}},
		ClientCredentials: "Keep", OnUnavailable: "Deny",
		PerClient: []v1alpha1.ClientCredential{{
			Clients: []v1alpha1.ClientSelector{{Namespaces: []v1alpha1.ClientName{"team"}}},
			APIKey:  &v1alpha1.APIKeyCredential{SecretRef: ref("k", "token")},
			Headers: []v1alpha1.InjectedHeader{{Name: "X-C", Value: new("c")}},
		}},
	}})
	want := &Config{
		Type: "Basic", Basic: &Basic{Reference{Secret: "Secret/ai/b", Key: "username"}, Reference{Secret: "Secret/ai/b", Key: "password"}},
		Headers:           []Header{{Name: "X-A", Value: "a"}, {Name: "X-B", Secret: &Reference{Secret: "Secret/ai/o", Key: "org"}}},
		ClientCredentials: "Keep", OnUnavailable: "Deny",
		PerClient: []ClientCredential{{
			Clients: clients.List{{Namespaces: []string{"team"}}},
			APIKey:  &APIKey{Reference{Secret: "Secret/ai/k", Key: "token"}, "Authorization", "Bearer "},
			Headers: []Header{{Name: "X-C", Value: "c"}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	asked := []string{
		"spec.basic.secretRef  b username", "spec.basic.secretRef  b password",
		"spec.headers[1].secretRef platform o org", "spec.perClient[0].apiKey.secretRef  k token",
	}
	if diff := cmp.Diff(asked, r.asked); diff != "" {
		t.Error(diff)
	}
	if r.invalid != nil {
		t.Error(r.invalid)
	}
}

func TestTranslateContradiction(t *testing.T) {
	r := &refs{}
	key := func(header string) *v1alpha1.APIKeyCredential {
		return &v1alpha1.APIKeyCredential{SecretRef: ref("k", "token"), Header: v1alpha1.CredentialHeaderName(header)}
	}
	translate(r, &v1alpha1.CredentialInjector{Spec: v1alpha1.CredentialInjectorSpec{
		Type: "APIKey", APIKey: key("X-Key"),
		Headers: []v1alpha1.InjectedHeader{{Name: "X-Ok", Value: new("a")}, {Name: "x-key", Value: new("a")}},
		PerClient: []v1alpha1.ClientCredential{
			{Headers: []v1alpha1.InjectedHeader{{Name: "X-KEY", Value: new("a")}}},
			{APIKey: key("x-ok")},
			{Basic: &v1alpha1.BasicCredential{}, Headers: []v1alpha1.InjectedHeader{{Name: "Authorization", Value: new("a")}}},
		},
	}})
	want := []string{"spec.headers[1].name", "spec.perClient[0].headers[0].name", "spec.headers[0].name", "spec.perClient[2].headers[0].name"}
	if diff := cmp.Diff(want, r.invalid); diff != "" {
		t.Error(diff)
	}
}

// TestTranslateJudgesValues holds what is reported against what the stage goes by: TestAttemptWithoutCredential.
func TestTranslateJudgesValues(t *testing.T) {
	r := &refs{values: map[string]string{"good": "sk-1\n", "blank": " \t", "lines": "a\nb", "far": "schl\u00fcssel", "username": "a:b", "password": "p\u00e4ss word "}}
	header := func(key string) v1alpha1.InjectedHeader {
		return v1alpha1.InjectedHeader{Name: "X-A", SecretRef: new(ref("k", key))}
	}
	translate(r, &v1alpha1.CredentialInjector{Spec: v1alpha1.CredentialInjectorSpec{
		Type: "Basic", Basic: &v1alpha1.BasicCredential{SecretRef: v1alpha1.SecretReference{Name: "b"}},
		Headers:   []v1alpha1.InjectedHeader{header("good"), header("blank"), header("far")},
		PerClient: []v1alpha1.ClientCredential{{APIKey: &v1alpha1.APIKeyCredential{SecretRef: ref("k", "lines")}}},
	}})
	want := []string{
		"spec.basic.secretRef username holds a colon, which no user name may have", "spec.basic.secretRef password ",
		"spec.headers[0].secretRef good ", "spec.headers[1].secretRef blank is blank",
		"spec.headers[2].secretRef far holds a character outside ASCII, which no header may have",
		"spec.perClient[0].apiKey.secretRef lines holds a line end or another control character",
	}
	if diff := cmp.Diff(want, r.faults); diff != "" {
		t.Error(diff)
	}
}
