package helm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const backends = "ebbgate.dev_backends.yaml"

// TestUpgrade installs a chart whose Backends know no protocol yet, upgrades to this one, and uninstalls it: the CRDs follow
// each step but the last, which leaves them and what users wrote.
func TestUpgrade(t *testing.T) {
	c := newCluster(t)
	c.forget(t)
	config := kubeconfig(t, suite.Server(t).Admin())
	old := copied(t)
	older(t, filepath.Join(old, "files", "crds", backends))

	notes, err := helm(t, "install", release, old, "--kubeconfig", config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kubectl get gatewayclass ebbgate", "Secrets of all namespaces"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
	definition := load(t, filepath.Join("ebbgate", "files", "crds", backends))
	c.served(t, definition)
	await(t, func() error { return c.write(t, "plain", nil) })
	if err := c.write(t, "grpc", "GRPC"); err == nil || !strings.Contains(err.Error(), "protocol") {
		t.Fatalf("the old definition takes a new field: %v", err)
	}

	if _, err := helm(t, "upgrade", release, "ebbgate", "--kubeconfig", config); err != nil {
		t.Fatal(err)
	}
	await(t, func() error { return c.write(t, "grpc", "GRPC") })

	if _, err := helm(t, "uninstall", release, "--kubeconfig", config); err != nil {
		t.Fatal(err)
	}
	if _, err := c.admin.AppsV1().Deployments(namespace).Get(t.Context(), "ebbgate-controller", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment after uninstalling: %v", err)
	}
	for _, name := range []string{"plain", "grpc"} {
		b := object("ebbgate.dev/v1alpha1", "Backend", name, nil)
		b.SetNamespace("team-a")
		in, err := c.of(b)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := in.Get(t.Context(), name, metav1.GetOptions{}); err != nil || left.GetDeletionTimestamp() != nil {
			t.Errorf("Backend %s after uninstalling: %v", name, err)
		}
	}
}

// forget removes our CRDs, as a cluster has none before the chart comes.
func (c *cluster) forget(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir("ebbgate/files/crds")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		o := load(t, filepath.Join("ebbgate", "files", "crds", file.Name()))
		in, err := c.of(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		await(t, func() error {
			if _, err := in.Get(t.Context(), o.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s is still there: %w", o.GetName(), err)
			}
			return nil
		})
	}
}

// write creates a Backend, with a protocol where one is given.
func (c *cluster) write(t *testing.T, name string, protocol any) error {
	t.Helper()
	b := object("ebbgate.dev/v1alpha1", "Backend", name, nil)
	b.SetNamespace("team-a")
	spec := map[string]any{"type": "ExternalHostname", "externalHostname": map[string]any{"hostname": "api.example.com"}, "port": map[string]any{"number": int64(443)}}
	if protocol != nil {
		spec["protocol"] = protocol
	}
	b.Object["spec"] = spec
	in, err := c.of(b)
	if err != nil {
		return err
	}
	_, err = in.Create(t.Context(), b, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	return err
}

// older takes a field and the rules about it from a definition.
func older(t *testing.T, file string) {
	t.Helper()
	o := load(t, file)
	versions, _, err := unstructured.NestedSlice(o.Object, "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions: %v", len(versions), err)
	}
	version := versions[0].(map[string]any)
	fields := []string{"schema", "openAPIV3Schema", "properties", "spec"}
	unstructured.RemoveNestedField(version, append(fields, "properties", "protocol")...)
	unstructured.RemoveNestedField(version, append(fields, "x-kubernetes-validations")...)
	if err := unstructured.SetNestedSlice(o.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	data, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// copied is a copy of the chart that a test may change.
func copied(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("ebbgate")); err != nil {
		t.Fatal(err)
	}
	return folder
}

// kubeconfig writes a file by which Helm finds the API server.
func kubeconfig(t *testing.T, c *rest.Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: c.Host, CertificateAuthorityData: c.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {Token: c.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCRDs holds the chart's CRDs to those of deploy/crds, with the annotation that keeps them when the chart goes.
func TestCRDs(t *testing.T) {
	made := map[string]*unstructured.Unstructured{}
	for _, o := range render(t) {
		if o.GetKind() == "CustomResourceDefinition" {
			made[o.GetName()] = o
		}
	}
	files, err := fs.Glob(os.DirFS("../crds"), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(made) {
		t.Errorf("the chart has %d CRDs, of %d", len(made), len(files))
	}
	for _, file := range files {
		want := load(t, filepath.Join("..", "crds", file))
		got := made[want.GetName()]
		if got == nil {
			t.Errorf("the chart has no %s", want.GetName())
			continue
		}
		annotations := want.GetAnnotations()
		annotations["helm.sh/resource-policy"] = "keep"
		want.SetAnnotations(annotations)
		if diff := cmp.Diff(want.Object, got.Object); diff != "" {
			t.Errorf("%s (-deploy/crds +chart):\n%s", want.GetName(), diff)
		}
	}
}

// TestValuesRefused holds that a wrong value is refused, with its name.
func TestValuesRefused(t *testing.T) {
	for _, c := range []struct{ value, says string }{
		{"replicas=3", "'replicas'"},
		{"controller.replica=3", "'replica'"},
		{"controller.replicas=0", "/controller/replicas"},
		{"controller.replicas=two", "/controller/replicas"},
		{"controller.logLevel=verbose", "/controller/logLevel"},
		{"controller.resources.limits.memory=1G", "/controller/resources/limits/memory"},
		{"controller.resources.limits.gpu=1", "'gpu'"},
		{"controller.affinity.nodes=a", "'nodes'"},
		{"controller.podLabels.tier=1", "/controller/podLabels/tier"},
		{"secretNamespaces=team-a", "/secretNamespaces"},
		{"secretNamespaces={team_a}", "/secretNamespaces/0"},
		{"secretNamespaces={a,a}", "/secretNamespaces"},
		{"image.tag=v1@sha256", "/image/tag"},
		{"image.digest=latest", "/image/digest"},
		{"proxyImage.pullPolicy=Always", "'pullPolicy'"},
		{"clusterDomain=cluster_local", "/clusterDomain"},
		{"clusterName=a.b", "/clusterName"},
		{"crds.install=maybe", "/crds/install"},
		{"gatewayClass.name=Egress", "/gatewayClass/name"},
		{"monitoring.interval=often", "/monitoring/interval"},
		{"monitoring.rules=true", "/monitoring/rules"},
	} {
		t.Run(c.value, func(t *testing.T) {
			_, err := helm(t, "template", release, "ebbgate", "--set", c.value)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %s", err, c.says)
			}
		})
	}
}

// TestValuesAreWritten holds that values.yaml has every value that the schema knows, each with a word on what it is.
func TestValuesAreWritten(t *testing.T) {
	written := load(t, "ebbgate/values.yaml").Object
	rules := load(t, "ebbgate/values.schema.json").Object
	var compare func(path string, rules, written map[string]any) error
	compare = func(path string, rules, written map[string]any) error {
		properties, closed := rules["properties"].(map[string]any)
		if !closed {
			return nil
		}
		var errs []error
		if rules["additionalProperties"] != false {
			errs = append(errs, fmt.Errorf("%s takes values of any name", path))
		}
		for name, rule := range properties {
			value, ok := written[name]
			inner := path + "." + name
			if !ok && inner != ".global" && inner != ".controller.resources.limits" {
				errs = append(errs, fmt.Errorf("values.yaml has no %s", inner))
			}
			if nested, ok := value.(map[string]any); ok && len(nested) > 0 {
				errs = append(errs, compare(inner, rule.(map[string]any), nested))
			}
		}
		return errors.Join(errs...)
	}
	if err := compare("", rules, written); err != nil {
		t.Error(err)
	}
	if _, err := helm(t, "lint", "ebbgate", "--strict"); err != nil {
		t.Error(err)
	}
}
