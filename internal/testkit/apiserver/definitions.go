package apiserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"
)

// readDefinitions reads the CRDs as a cluster gets them: ours, and those of the Gateway API version that go.mod names.
func readDefinitions(ctx context.Context) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ebbgate/ebbgate", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return nil, fmt.Errorf("find CRDs: %w", err)
	}
	ours, standard, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	var list []*apiextensionsv1.CustomResourceDefinition
	for _, folder := range []string{filepath.Join(ours, "deploy", "crds"), filepath.Join(standard, "config", "crd", "experimental")} {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil {
			return nil, err
		}
		found := len(list)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			crd := &apiextensionsv1.CustomResourceDefinition{}
			if err := yaml.Unmarshal(data, crd); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			if crd.Kind == "CustomResourceDefinition" { // and not a kustomization or an admission policy for upgrades
				list = append(list, crd)
			}
		}
		if len(list) == found {
			return nil, fmt.Errorf("%s holds no CRDs", folder)
		}
	}
	return list, nil
}

// install creates the CRDs and returns once all are served.
func (s *Server) install(ctx context.Context, definitions []*apiextensionsv1.CustomResourceDefinition) error {
	clients, err := clientset.NewForConfig(s.admin)
	if err != nil {
		return err
	}
	client := clients.ApiextensionsV1().CustomResourceDefinitions()
	for _, crd := range definitions {
		if _, err := client.Create(ctx, crd, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("install CRD: %w", err)
		}
	}
	return s.await(ctx, func(context.Context) error { return discover(clients.Discovery(), definitions) })
}

// discover fails where the server does not tell of a CRD's resources, as it does once they are served.
func discover(client discovery.DiscoveryInterface, definitions []*apiextensionsv1.CustomResourceDefinition) error {
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		return err
	}
	resources := map[string]bool{} // group, version and plural
	for _, list := range lists {
		for _, resource := range list.APIResources {
			resources[list.GroupVersion+"/"+resource.Name] = true
		}
	}
	for _, crd := range definitions {
		for _, version := range crd.Spec.Versions {
			name := crd.Spec.Group + "/" + version.Name + "/" + crd.Spec.Names.Plural
			if version.Served && !resources[name] {
				return fmt.Errorf("%s is not served", name)
			}
		}
	}
	return nil
}
