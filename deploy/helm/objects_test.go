package helm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// cluster is a real API server that also has the Prometheus operator's kinds, and the namespaces that values name.
type cluster struct {
	admin   *kubernetes.Clientset
	dynamic *dynamic.DynamicClient
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

var dryRun = []string{metav1.DryRunAll}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	server := suite.Server(t)
	c := &cluster{}
	var err error
	if c.admin, err = kubernetes.NewForConfig(server.Admin()); err != nil {
		t.Fatal(err)
	}
	if c.dynamic, err = dynamic.NewForConfig(server.Admin()); err != nil {
		t.Fatal(err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.admin.Discovery()))
	restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	for _, name := range []string{namespace, "team-a", "team-b", "elsewhere"} {
		c.put(t, object("v1", "Namespace", name, restricted))
	}
	files, err := filepath.Glob(tool(t, "crds/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, kind := range []string{"servicemonitors", "podmonitors", "prometheusrules"} {
			if strings.HasSuffix(file, "_"+kind+".yaml") {
				c.put(t, load(t, file))
			}
		}
	}
	return c
}

func object(apiVersion, kind, name string, labels map[string]string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetName(name)
	o.SetLabels(labels)
	return o
}

func load(t *testing.T, file string) *unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, &o.Object); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return o
}

// put applies an object, and waits until what it defines is served.
func (c *cluster) put(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	if _, err := c.apply(t, o, metav1.ApplyOptions{FieldManager: "test", Force: true}); err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	if o.GetKind() == "CustomResourceDefinition" {
		c.served(t, o)
	}
}

// served returns once the API server tells of a definition's kind.
func (c *cluster) served(t *testing.T, definition *unstructured.Unstructured) {
	t.Helper()
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	await(t, func() error {
		c.mapper.Reset()
		_, err := c.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
		return err
	})
}

// await asks until it is so.
func await(t *testing.T, so func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal(err)
		}
	}
}

func (c *cluster) apply(t *testing.T, o *unstructured.Unstructured, options metav1.ApplyOptions) (*unstructured.Unstructured, error) {
	t.Helper()
	in, err := c.of(o)
	if err != nil {
		return nil, err
	}
	return in.Apply(t.Context(), o.GetName(), o, options)
}

// of is where an object belongs.
func (c *cluster) of(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	switch inside := mapping.Scope.Name() == meta.RESTScopeNameNamespace; {
	case inside && o.GetNamespace() == "":
		return nil, fmt.Errorf("%s %s has no namespace", gvk.Kind, o.GetName())
	case inside:
		return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	case o.GetNamespace() != "":
		return nil, fmt.Errorf("%s %s has a namespace", gvk.Kind, o.GetName())
	}
	return c.dynamic.Resource(mapping.Resource), nil
}

// TestObjectsAreTaken has the API server judge, with its schemas and its admission, all that the chart makes.
func TestObjectsAreTaken(t *testing.T) {
	c := newCluster(t)
	kinds := map[string]bool{}
	for _, file := range values(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, o := range render(t, "--values", file) {
				kinds[o.GetKind()] = true
				in, err := c.of(o)
				if err != nil {
					t.Error(err)
					continue
				}
				data, err := o.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				force := true
				options := metav1.PatchOptions{FieldManager: "test", Force: &force, DryRun: dryRun, FieldValidation: metav1.FieldValidationStrict}
				if _, err := in.Patch(t.Context(), o.GetName(), "application/apply-patch+yaml", data, options); err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
		})
	}
	for _, kind := range []string{"Deployment", "PodDisruptionBudget", "GatewayClass", "ServiceMonitor", "PodMonitor", "PrometheusRule", "CustomResourceDefinition"} {
		if !kinds[kind] {
			t.Errorf("no values make a %s", kind)
		}
	}
}

// TestPodsAreRestricted has the API server's Pod security admission judge the Pods, in a namespace where "restricted" is enforced.
func TestPodsAreRestricted(t *testing.T) {
	c := newCluster(t)
	account := object("v1", "ServiceAccount", "ebbgate-controller", nil)
	account.SetNamespace(namespace)
	c.put(t, account)
	for _, file := range values(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			deployment := find[appsv1.Deployment](t, render(t, "--values", file), "Deployment", "ebbgate-controller")
			create := func(spec corev1.PodSpec) error {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "controller", Labels: deployment.Spec.Template.Labels}, Spec: spec}
				_, err := c.admin.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: dryRun})
				return err
			}
			spec := deployment.Spec.Template.Spec
			if err := create(spec); err != nil {
				t.Error(err)
			}
			spec.SecurityContext.SeccompProfile = nil
			if err := create(spec); err == nil || !strings.Contains(err.Error(), "seccompProfile") {
				t.Errorf("without a seccomp profile: error %v, want one that says so", err)
			}
		})
	}
}

// TestController holds what Kubernetes does not judge of the Deployment.
func TestController(t *testing.T) {
	pod := func(file string) (map[string]string, corev1.PodSpec) {
		d := find[appsv1.Deployment](t, render(t, "--values", "testdata/values/"+file), "Deployment", "ebbgate-controller")
		for key, value := range d.Spec.Selector.MatchLabels {
			if d.Spec.Template.Labels[key] != value {
				t.Errorf("%s: the Pods have %s %q, and the selector %q", file, key, d.Spec.Template.Labels[key], value)
			}
		}
		return d.Spec.Template.Labels, d.Spec.Template.Spec
	}
	_, plain := pod("default.yaml")
	labels, all := pod("all.yaml")
	_, least := pod("least.yaml")
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"image", plain.Containers[0].Image, "ebbgate.dev/ebbgate:0.1.0-dev"},
		{"args", plain.Containers[0].Args, []string{"controller", "--proxy-image=ebbgate.dev/ebbgate-proxy:0.1.0-dev", "--cluster-domain=cluster.local", "--log-level=info"}},
		{"image by digest", all.Containers[0].Image, "registry.example.com:5000/egress/ebbgate:v1@sha256:" + strings.Repeat("0123456789abcdef", 4)},
		{"all args", all.Containers[0].Args, []string{
			"controller", "--proxy-image=registry.example.com:5000/egress/ebbgate-proxy:v1", "--cluster-name=frankfurt-1", "--cluster-domain=k8s.example.com", "--log-level=debug",
			"--secret-namespaces=team-a,team-b", "--pprof",
		}},
		{"a label of the user's", labels["team"], "platform"},
		{"memory for Go, of 1Gi", env(all, "GOMEMLIMIT"), "966367638"},
		{"memory for Go, of 300Mi", env(least, "GOMEMLIMIT"), "283115520"},
		{"memory for Go, without a limit", env(plain, "GOMEMLIMIT"), ""},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	for _, name := range []string{"POD_NAME", "POD_NAMESPACE", "POD_IP"} {
		if env(plain, name) == "" {
			t.Errorf("no variable %s", name)
		}
	}
}

// TestCommandTakesArguments gives the command itself what the Pods give it: outside a cluster it misses nothing but the cluster.
func TestCommandTakesArguments(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "ebbgate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/ebbgate").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, file := range values(t) {
		spec := find[appsv1.Deployment](t, render(t, "--values", file), "Deployment", "ebbgate-controller").Spec.Template.Spec
		command := exec.CommandContext(t.Context(), binary, spec.Containers[0].Args...)
		command.Env = []string{"POD_NAMESPACE=" + namespace, "POD_NAME=a", "POD_IP=192.0.2.1"}
		if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "this is no Pod") {
			t.Errorf("%s: %v, %s; want that it is no Pod", file, err, out)
		}
	}
}

// env is a variable's value, or the field that it comes from.
func env(spec corev1.PodSpec, name string) string {
	for _, v := range spec.Containers[0].Env {
		if v.Name == name && v.ValueFrom != nil {
			return v.ValueFrom.FieldRef.FieldPath
		} else if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// TestClass holds the GatewayClass to the controller's name, and to the parameters that values name.
func TestClass(t *testing.T) {
	plain := find[gwapiv1.GatewayClass](t, render(t), "GatewayClass", "ebbgate")
	if plain == nil || plain.Spec.ControllerName != attach.Controller || plain.Spec.ParametersRef != nil {
		t.Errorf("%+v", plain)
	}
	inside := gwapiv1.Namespace(namespace)
	want := &gwapiv1.ParametersReference{Group: attach.Group, Kind: "GatewayParameters", Name: "ceilings", Namespace: &inside}
	all := find[gwapiv1.GatewayClass](t, render(t, "--values", "testdata/values/all.yaml"), "GatewayClass", "egress")
	if all == nil || !cmp.Equal(all.Spec.ParametersRef, want) {
		t.Errorf("%+v", all)
	}
}

// TestServices holds that the plan's Service has no selector, by which replicas that do not lead would be found too.
func TestServices(t *testing.T) {
	objects := render(t)
	plan := find[corev1.Service](t, objects, "Service", "ebbgate-controller")
	if plan == nil || plan.Spec.Selector != nil || len(plan.Spec.Ports) != 1 || plan.Spec.Ports[0].Port != 9443 {
		t.Errorf("the plan's Service is %+v", plan)
	}
	metrics := find[corev1.Service](t, objects, "Service", "ebbgate-controller-metrics")
	deployment := find[appsv1.Deployment](t, objects, "Deployment", "ebbgate-controller")
	if metrics == nil || !cmp.Equal(metrics.Spec.Selector, deployment.Spec.Selector.MatchLabels) {
		t.Errorf("the metrics' Service is %+v", metrics)
	}
}
