package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	backends = schema.GroupVersionResource{Group: v1alpha1.GroupName, Version: "v1alpha1", Resource: "backends"}
	routes   = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	rails    = schema.GroupVersionResource{Group: v1alpha1.GroupName, Version: "v1alpha1", Resource: "guardrailspolicies"}
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// cluster is an API server that serves three kinds, and what a Source makes of it.
type cluster struct {
	t         *testing.T
	client    *dynamicfake.FakeDynamicClient
	snapshots chan *source.Snapshot
}

func start(t *testing.T, namespaces []string, objects ...runtime.Object) *cluster {
	t.Helper()
	lists := map[schema.GroupVersionResource]string{backends: "BackendList", rails: "GuardRailsPolicyList", routes: "HTTPRouteList", secrets: "SecretList"}
	c := &cluster{t, dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...), make(chan *source.Snapshot, 100)}
	discovered := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{
		{GroupVersion: backends.GroupVersion().String(), APIResources: []metav1.APIResource{
			{Name: "backends/status", Kind: "Backend"}, {Name: "backends", Kind: "Backend"}, {Name: "guardrailspolicies", Kind: "GuardRailsPolicy"},
		}},
		{GroupVersion: routes.GroupVersion().String(), APIResources: []metav1.APIResource{{Name: "httproutes", Kind: "HTTPRoute"}}},
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "secrets", Kind: "Secret"}}},
	}}}
	s := New(Config{Client: c.client, Discovery: discovered, SecretNamespaces: namespaces, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(snapshot *source.Snapshot) { c.snapshots <- snapshot }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// until waits for a snapshot that is as it should be.
func (c *cluster) until(what string, holds func(map[string]source.Object) bool) *source.Snapshot {
	c.t.Helper()
	for late := time.After(10 * time.Second); ; {
		select {
		case s := <-c.snapshots:
			if holds(s.Objects) {
				return s
			}
		case <-late:
			c.t.Fatalf("no snapshot with %s", what)
		}
	}
}

func backend(name, version string, port any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": backends.GroupVersion().String(), "kind": "Backend",
		"metadata": map[string]any{
			"namespace": "ai", "name": name, "resourceVersion": version, "uid": name,
			"managedFields": []any{map[string]any{"manager": "kubectl"}},
			"annotations":   map[string]any{corev1.LastAppliedConfigAnnotation: "{}", "kept": "yes"},
		},
		"spec": map[string]any{"type": "ExternalHostname", "externalHostname": map[string]any{"hostname": "api.example.com"}, "port": map[string]any{"number": port}},
	}}
}

func secret(namespace string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"namespace": namespace, "name": "key", "resourceVersion": "1", "uid": namespace},
		"data": map[string]any{"token": "c2VjcmV0"},
	}}
}

func (c *cluster) do(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

func port(o source.Object) int32 {
	b, ok := o.(*v1alpha1.Backend)
	if !ok {
		return -1
	}
	return int32(b.Spec.Port.Number)
}

func TestSnapshots(t *testing.T) {
	c := start(t, nil, backend("a", "1", int64(443)), secret("ai"), secret("other"))
	const a, b = "Backend/ai/a", "Backend/ai/b"
	first := c.until("all that is there", func(o map[string]source.Object) bool { return len(o) == 3 }).Objects
	if port(first[a]) != 443 || len(first[a].GetManagedFields()) != 0 || len(first[a].GetAnnotations()) != 1 {
		t.Errorf("%+v", first[a])
	}
	if s, ok := first["Secret/ai/key"].(*corev1.Secret); !ok || string(s.Data["token"]) != "secret" {
		t.Errorf("%T", first["Secret/ai/key"])
	}
	at := c.client.Resource(backends).Namespace("ai")
	_, err := at.Create(t.Context(), backend("b", "2", int64(443)), metav1.CreateOptions{})
	c.do("create", err)
	second := c.until("the new one", func(o map[string]source.Object) bool { return len(o) == 4 }).Objects
	if second[a] != first[a] {
		t.Error("what did not change is another object")
	}
	_, err = at.Update(t.Context(), backend("b", "3", int64(8443)), metav1.UpdateOptions{})
	c.do("update", err)
	third := c.until("the change", func(o map[string]source.Object) bool { return port(o[b]) == 8443 }).Objects
	_, err = at.Update(t.Context(), backend("b", "4", "no number"), metav1.UpdateOptions{})
	c.do("break", err)
	_, err = at.Update(t.Context(), backend("a", "5", int64(444)), metav1.UpdateOptions{})
	c.do("update", err)
	fourth := c.until("the change beside a broken object", func(o map[string]source.Object) bool { return port(o[a]) == 444 }).Objects
	if fourth[b] != third[b] {
		t.Errorf("a broken object is not as it was before: %+v", fourth[b])
	}
	c.do("delete", at.Delete(t.Context(), "b", metav1.DeleteOptions{}))
	c.until("one less", func(o map[string]source.Object) bool { return o[b] == nil && len(o) == 3 })
}

func guardRails(version string, spec map[string]any) *unstructured.Unstructured {
	spec["targetRefs"] = []any{map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "egress"}}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": rails.GroupVersion().String(), "kind": "GuardRailsPolicy", "spec": spec,
		"metadata": map[string]any{"namespace": "ai", "name": "all", "resourceVersion": version, "uid": "all"},
	}}
}

// TestUnreadPolicies: of a policy that was never read whole the targets are there, and it is said; once it was, it stays as
// it was. What a newer version has in a spec is nothing to pass over.
func TestUnreadPolicies(t *testing.T) {
	const key = "GuardRailsPolicy/ai/all"
	newer := func() map[string]any { return map[string]any{"ports": map[string]any{"deny": []any{int64(25)}}} }
	for name, spec := range map[string]map[string]any{"newer": newer(), "no fit": {"hosts": "everything"}} {
		c := start(t, nil, guardRails("1", spec))
		first := c.until("what can be read", func(o map[string]source.Object) bool { return o[key] != nil })
		if p := first.Objects[key].(*v1alpha1.GuardRailsPolicy); len(p.Spec.TargetRefs) != 1 || first.Unread[key] == "" {
			t.Errorf("%s: %+v, unread %q", name, p.Spec, first.Unread)
		}
		at := c.client.Resource(rails).Namespace("ai")
		_, err := at.Update(t.Context(), guardRails("2", map[string]any{"hosts": map[string]any{"deny": []any{"a.test"}}}), metav1.UpdateOptions{})
		c.do("mend", err)
		second := c.until("it whole", func(o map[string]source.Object) bool { return o[key].GetResourceVersion() == "2" })
		if len(second.Unread) > 0 {
			t.Errorf("%s: mended, and unread %q", name, second.Unread)
		}
		_, err = at.Update(t.Context(), guardRails("3", newer()), metav1.UpdateOptions{})
		c.do("break", err)
		_, err = c.client.Resource(backends).Namespace("ai").Create(t.Context(), backend("b", "4", int64(443)), metav1.CreateOptions{})
		c.do("create", err)
		third := c.until("a later change", func(o map[string]source.Object) bool { return len(o) == 2 })
		if third.Objects[key] != second.Objects[key] || len(third.Unread) > 0 {
			t.Errorf("%s: it is not as it was: %+v, unread %q", name, third.Objects[key], third.Unread)
		}
	}
}

func httpRoute(version string, spec map[string]any) *unstructured.Unstructured {
	spec["parentRefs"] = []any{map[string]any{"name": "egress"}}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": routes.GroupVersion().String(), "kind": "HTTPRoute", "spec": spec,
		"metadata": map[string]any{"namespace": "ai", "name": "r", "resourceVersion": version, "uid": "r", "generation": int64(7)},
		"status":   map[string]any{"parents": []any{map[string]any{"parentRef": map[string]any{"name": "other"}, "controllerName": "example.com/other"}}},
	}}
}

// TestUnreadRoutesAndBackends: of what was never read whole there is what a status needs, and why; once it was read, it stays
// as it was.
func TestUnreadRoutesAndBackends(t *testing.T) {
	const route, back = "HTTPRoute/ai/r", "Backend/ai/b"
	other := func() map[string]any {
		return map[string]any{"rules": []any{map[string]any{"timeouts": map[string]any{"request": int64(5)}}}}
	}
	c := start(t, nil, httpRoute("1", other()), backend("b", "1", "no number"))
	first := c.until("both", func(o map[string]source.Object) bool { return len(o) == 2 })
	r, b := first.Objects[route].(*gwapiv1.HTTPRoute), first.Objects[back].(*v1alpha1.Backend)
	if len(r.Spec.ParentRefs) != 1 || len(r.Spec.Rules) != 0 || r.Generation != 7 || len(r.Status.Parents) != 1 || b.Spec.ExternalHostname != nil {
		t.Errorf("%+v, %+v", r, b)
	}
	if !strings.HasSuffix(first.Unread[route], " at spec.rules.timeouts.request") || !strings.HasSuffix(first.Unread[back], " at spec.port.number") {
		t.Errorf("unread %q", first.Unread)
	}
	_, err := c.client.Resource(routes).Namespace("ai").Update(t.Context(), httpRoute("2", map[string]any{"rules": []any{map[string]any{}}}), metav1.UpdateOptions{})
	c.do("mend", err)
	second := c.until("the route whole", func(o map[string]source.Object) bool { return o[route].GetResourceVersion() == "2" })
	_, err = c.client.Resource(routes).Namespace("ai").Update(t.Context(), httpRoute("3", other()), metav1.UpdateOptions{})
	c.do("break", err)
	_, err = c.client.Resource(backends).Namespace("ai").Update(t.Context(), backend("b", "4", int64(443)), metav1.UpdateOptions{})
	c.do("mend", err)
	third := c.until("the Backend whole", func(o map[string]source.Object) bool { return port(o[back]) == 443 })
	if third.Objects[route] != second.Objects[route] || len(third.Unread) > 0 {
		t.Errorf("it is not as it was: %+v, unread %q", third.Objects[route], third.Unread)
	}
}

// TestOutageIsNoKinds: that the API server is away is said once, by whoever sees all requests, and not for each kind.
func TestOutageIsNoKinds(t *testing.T) {
	var log bytes.Buffer
	s := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.grumble("Backend", fmt.Errorf("failed to list: %w", &url.Error{Op: "Get", URL: "https://10.96.0.1", Err: errors.New("connection refused")}))
	if log.Len() > 0 {
		t.Errorf("an outage: %q", log.String())
	}
	s.grumble("Backend", apierrors.NewForbidden(backends.GroupResource(), "", errors.New("no right")))
	if !strings.Contains(log.String(), "kind=Backend") {
		t.Errorf("a refusal: %q", log.String())
	}
}

func TestSecretsOfSomeNamespaces(t *testing.T) {
	c := start(t, []string{"ai"}, secret("ai"), secret("other"))
	objects := c.until("the Secret", func(o map[string]source.Object) bool { return len(o) > 0 }).Objects
	if len(objects) != 1 || objects["Secret/ai/key"] == nil {
		t.Errorf("%v", objects)
	}
}

// TestTellsWhatIsNotServed asks a cluster without Gateway API what it serves, and again once it has Gateways.
func TestTellsWhatIsNotServed(t *testing.T) {
	gateways := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{gateways: "GatewayList"})
	discovered := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}}
	var log bytes.Buffer
	s := New(Config{Client: client, Discovery: discovered, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	find := func() string {
		t.Helper()
		log.Reset()
		if err := s.find(ctx, &watching); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if said := find(); !strings.Contains(said, "level=WARN") || !strings.Contains(said, "Gateway.gateway.networking.k8s.io") || !strings.Contains(said, "Backend.ebbgate.dev") {
		t.Errorf("it said %q", said)
	}
	if said := find(); said != "" {
		t.Errorf("a second time it said %q", said)
	}
	discovered.Resources = []*metav1.APIResourceList{{GroupVersion: gateways.GroupVersion().String(), APIResources: []metav1.APIResource{{Name: "gateways", Kind: "Gateway"}}}}
	if said := find(); strings.Contains(said, " Gateway.gateway") || !strings.Contains(said, "GatewayClass.gateway.networking.k8s.io") {
		t.Errorf("with Gateways it said %q", said)
	}
}
