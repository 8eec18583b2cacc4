// Command rules writes the controller's rights, which internal/controller has in Go, into the chart's files/rbac. `make
// generate` runs it; with -check it says whether a file is stale.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/controller"
)

const (
	folder = "deploy/helm/ebbgate/files/rbac"
	head   = "# Written by make generate, from internal/controller/rules.go.\n"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail where a file is stale")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	for name, rules := range map[string][]rbacv1.PolicyRule{
		"cluster.yaml": controller.ClusterRules(), "namespace.yaml": controller.NamespaceRules(), "secrets.yaml": controller.SecretRules(),
	} {
		data, err := yaml.Marshal(rules)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		data = append([]byte(head), data...)
		file := filepath.Join(folder, name)
		if !check {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				return err
			}
			continue
		}
		if is, err := os.ReadFile(file); err != nil || !bytes.Equal(is, data) {
			return fmt.Errorf("%s is stale: run make generate and commit the result", file)
		}
	}
	return nil
}
