package schema_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/schema"
)

// decoded checks a document, which must be free of issues, and decodes it.
func decoded[T schema.Object](t *testing.T, text string) T {
	t.Helper()
	v := schema.New()
	obj := object(t, text)
	if issues := v.Check(t.Context(), obj); len(issues) > 0 {
		t.Fatalf("issues: %v", issues)
	}
	typed, err := v.Decode(obj)
	if err != nil {
		t.Fatal(err)
	}
	into, ok := typed.(T)
	if !ok {
		t.Fatalf("decoded a %T", typed)
	}
	return into
}

func TestDefaultsOfHTTPRoute(t *testing.T) {
	route := decoded[*gwapiv1.HTTPRoute](t, `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: g}]
  rules: [{backendRefs: [{name: s, port: 80}]}]`)
	if route.Namespace != "default" || route.APIVersion != "gateway.networking.k8s.io/v1" {
		t.Errorf("namespace %q, apiVersion %q", route.Namespace, route.APIVersion)
	}
	if kind := route.Spec.ParentRefs[0].Kind; kind == nil || *kind != "Gateway" {
		t.Errorf("parentRef kind %v", kind)
	}
	rule := route.Spec.Rules[0]
	if weight := rule.BackendRefs[0].Weight; weight == nil || *weight != 1 {
		t.Errorf("weight %v", weight)
	}
	if len(rule.Matches) != 1 || *rule.Matches[0].Path.Type != gwapiv1.PathMatchPathPrefix || *rule.Matches[0].Path.Value != "/" {
		t.Errorf("matches %v", rule.Matches)
	}
}

func TestDefaultsOfOurKinds(t *testing.T) {
	backend := decoded[*v1alpha1.Backend](t, `
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: b}
spec:
  type: ExternalHostname
  externalHostname: {hostname: a.example}
  port: {number: 443}
  tls: {validation: {caCertificateRefs: [{name: ca}]}}`)
	tls := backend.Spec.TLS
	if backend.Spec.Protocol != v1alpha1.BackendProtocolHTTP || tls.Mode != v1alpha1.BackendTLSModeServerOnly ||
		tls.MinVersion != v1alpha1.TLSVersion12 || tls.Validation.CACertificateRefs[0].Kind != "ConfigMap" {
		t.Errorf("spec %+v, tls %+v", backend.Spec, tls)
	}

	injector := decoded[*v1alpha1.CredentialInjector](t, `
apiVersion: ebbgate.dev/v1alpha1
kind: CredentialInjector
metadata: {name: c}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: b}]
  type: APIKey
  apiKey: {secretRef: {name: key}}`)
	want := v1alpha1.CredentialInjectorSpec{
		TargetRefs:        injector.Spec.TargetRefs,
		Type:              v1alpha1.CredentialTypeAPIKey,
		APIKey:            &v1alpha1.APIKeyCredential{SecretRef: v1alpha1.SecretKeyReference{Name: "key", Key: "token"}, Header: "Authorization"},
		ClientCredentials: v1alpha1.ClientCredentialsStrip,
		OnUnavailable:     v1alpha1.OnUnavailableDeny,
	}
	if diff := cmp.Diff(want, injector.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

// TestSettingsHaveNoDefault guards merging: a setting of several scopes must be absent where nobody wrote it.
func TestSettingsHaveNoDefault(t *testing.T) {
	egress := decoded[*v1alpha1.EgressPolicy](t, `
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: b}]
  timeouts: {}
  connections: {}
  retry: {budget: {}, statuses: []}
  health: {passive: {errorRate: {}}}`)
	want := v1alpha1.EgressPolicySpec{
		TargetRefs: egress.Spec.TargetRefs, Timeouts: &v1alpha1.Timeouts{}, Connections: &v1alpha1.Connections{},
		Retry:  &v1alpha1.Retry{Budget: &v1alpha1.RetryBudget{}, Statuses: []v1alpha1.RetryStatus{}},
		Health: &v1alpha1.Health{Passive: &v1alpha1.PassiveHealth{ErrorRate: &v1alpha1.ErrorRate{}}},
	}
	if diff := cmp.Diff(want, egress.Spec); diff != "" {
		t.Error(diff)
	}
	dns := decoded[*v1alpha1.DNSPolicy](t, `
apiVersion: ebbgate.dev/v1alpha1
kind: DNSPolicy
metadata: {name: p}
spec: {targetRefs: [{group: ebbgate.dev, kind: Backend, name: b}]}`)
	if diff := cmp.Diff(v1alpha1.DNSPolicySpec{TargetRefs: dns.Spec.TargetRefs}, dns.Spec); diff != "" {
		t.Error(diff)
	}
}

// TestDefaultsOfWhatIsSetAsOne: what is replaced as one is whole.
func TestDefaultsOfWhatIsSetAsOne(t *testing.T) {
	egress := decoded[*v1alpha1.EgressPolicy](t, `
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: b}]
  mode: Parent
  parentRef: {name: hub}
  health: {active: {path: /healthz}}`)
	want := v1alpha1.EgressPolicySpec{
		TargetRefs: egress.Spec.TargetRefs, Mode: new(v1alpha1.EgressModeParent),
		ParentRef: &v1alpha1.ParentBackendReference{Group: "ebbgate.dev", Kind: "Backend", Name: "hub"},
		Health: &v1alpha1.Health{Active: &v1alpha1.ActiveHealth{
			Type: v1alpha1.ActiveHealthTypeHTTP, Path: new("/healthz"), Interval: "10s", Timeout: "2s", HealthyAfter: 1, UnhealthyAfter: 3,
		}},
	}
	if diff := cmp.Diff(want, egress.Spec); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsOfCoreKinds(t *testing.T) {
	secret := decoded[*corev1.Secret](t, "apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {a: eA==}\nstringData: {b: plain}")
	if string(secret.Data["a"]) != "x" || string(secret.Data["b"]) != "plain" || len(secret.StringData) != 0 || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("keys %d, type %q", len(secret.Data), secret.Type)
	}
	service := decoded[*corev1.Service](t, "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}")
	if port := service.Spec.Ports[0]; port.Protocol != corev1.ProtocolTCP || port.TargetPort.IntVal != 80 || service.Namespace != "default" {
		t.Errorf("port %+v, namespace %q", port, service.Namespace)
	}
	slice := decoded[*discoveryv1.EndpointSlice](t, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\naddressType: IPv4\nendpoints: []\nports: [{port: 80}]")
	if port := slice.Ports[0]; *port.Name != "" || *port.Protocol != corev1.ProtocolTCP {
		t.Errorf("port %+v", port)
	}
	namespace := decoded[*corev1.Namespace](t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: ai}")
	if namespace.Namespace != "" {
		t.Errorf("a Namespace was put into %q", namespace.Namespace)
	}
}

func TestBothVersionsOfReferenceGrantAreOne(t *testing.T) {
	for _, version := range []string{"v1", "v1beta1"} {
		grant := decoded[*gwapiv1.ReferenceGrant](t, `
apiVersion: gateway.networking.k8s.io/`+version+`
kind: ReferenceGrant
metadata: {name: g}
spec: {from: [{group: ebbgate.dev, kind: Backend, namespace: a}], to: [{group: "", kind: Secret}]}`)
		if grant.APIVersion != "gateway.networking.k8s.io/v1" || len(grant.Spec.From) != 1 {
			t.Errorf("%s: %+v", version, grant)
		}
	}
}

func TestXBackendStaysUnstructured(t *testing.T) {
	decoded[*unstructured.Unstructured](t, `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: x}
spec: {type: ExternalHostname, externalHostname: {hostname: a.example}, port: {port: 443}}`)
}

func objectOf(gvk k8sschema.GroupVersionKind) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(gvk)
	obj.SetName("a")
	return obj
}

// TestNoSecretInIssues writes a secret where every kind of check may stumble over it.
func TestNoSecretInIssues(t *testing.T) {
	v := schema.New()
	for _, text := range []string{
		"apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {token: sk-hunter2}",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {token: 7}\ntype: [sk-hunter2]",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: k}\nstringData: sk-hunter2",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: sk-hunter2",
		"apiVersion: ebbgate.dev/v1alpha1\nkind: CredentialInjector\nmetadata: {name: k}\nspec: {targetRefs: [{group: ebbgate.dev, kind: Backend, name: b}], type: APIKey, apiKey: {secretRef: {name: k}, prefix: \"sk-hunter2\\n\"}, headers: [{name: a, value: \"sk-hunter2\\n\"}, {name: sk-hunter2 x, value: a}]}",
		"apiVersion: ebbgate.dev/v1alpha1\nkind: CredentialInjector\nmetadata: {name: k}\nspec: {targetRefs: [{group: ebbgate.dev, kind: Backend, name: b}], type: APIKey, apiKey: {secretRef: sk-hunter2}, headers: sk-hunter2}",
	} {
		issues := v.Check(t.Context(), object(t, text))
		if len(issues) == 0 {
			t.Errorf("no issue in %s", text)
		}
		if i := slices.IndexFunc(issues, func(i schema.Issue) bool { return contains(i, "sk-hunter2") }); i >= 0 {
			t.Errorf("secret in %v", issues[i])
		}
	}
}

func TestOneValidatorServesMany(t *testing.T) {
	v := schema.New()
	docs := folder(t)
	var wait sync.WaitGroup
	for range 8 {
		objects := make([]*unstructured.Unstructured, len(docs))
		for i, doc := range docs {
			objects[i] = object(t, doc)
		}
		wait.Go(func() {
			for _, obj := range objects {
				if issues := v.Check(t.Context(), obj); len(issues) > 0 {
					t.Errorf("%s: %v", obj.GetKind(), issues)
				}
			}
		})
	}
	wait.Wait()
}
