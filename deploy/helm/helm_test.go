// Package helm_test holds the chart to what a cluster takes: Helm itself renders and installs it, and a real API server judges
// what comes of it. It does not run the controller: test/e2e does.
package helm_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

const (
	release   = "ebbgate"
	namespace = "ebbgate-system"
)

var suite apiserver.Suite

func TestMain(m *testing.M) { suite.Tests = m; goleak.VerifyTestMain(&suite) }

// tools is the folder of helm and of the Prometheus operator's CRDs.
var tools = sync.OnceValues(func() (string, error) {
	command := exec.Command("./tools.sh")
	command.Stderr = os.Stderr
	out, err := command.Output()
	return strings.TrimSpace(string(out)), err
})

func tool(t *testing.T, name string) string {
	t.Helper()
	folder, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

// helm runs Helm, which finds nothing of this machine's user, and returns what it printed.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	command := exec.CommandContext(t.Context(), tool(t, "helm"), args...)
	command.Env = []string{"HOME=" + home, "HELM_NAMESPACE=" + namespace}
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	if err := command.Run(); err != nil {
		return out.String(), errors.Join(err, errors.New(errOut.String()))
	}
	return out.String(), nil
}

// values are the files of values that the chart is rendered with; the chart's own defaults are one that is empty.
func values(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values: %v", err)
	}
	return files
}

// render is what the chart makes of values.
func render(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	text, err := helm(t, append([]string{"template", release, "ebbgate"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func parse(t *testing.T, text string) (objects []*unstructured.Unstructured) {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// find is the rendered object of a kind and name, in the namespace or in none, as its Go type; nil where there is none.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() != kind || o.GetName() != name {
			continue
		}
		made := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, made, true); err != nil {
			t.Fatalf("%s %s: %v", kind, name, err)
		}
		return made
	}
	return nil
}
