package campaign

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// gateway is the real command.
type gateway struct {
	address string
	process *command.Process
}

// serve starts the command over a folder in which nothing but timeouts is out of the ordinary, besides what is added to
// the EgressPolicy of the Gateway.
func serve(t *testing.T, w *world, added string) *gateway {
	t.Helper()
	binary, err := command.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, port := t.TempDir(), testkit.Ports(t, 1)[0]
	write(t, filepath.Join(root, "config", "all.yaml"), manifest(w, port, added))
	write(t, filepath.Join(root, "secrets", "ai", "ca", "ca.crt"), string(w.root.PEM()))
	for _, f := range w.fars {
		write(t, filepath.Join(root, "secrets", "ai", f.name, "token"), keyOf(f.name))
	}
	g := &gateway{address: fmt.Sprintf("127.0.0.1:%d", port)}
	g.process = command.Start(t, binary, nil, "run", "-f", filepath.Join(root, "config"), "--secrets", filepath.Join(root, "secrets"), "--admin=", "--health=")
	g.process.Await(t, "serving on ")
	return g
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const gatewayYAML = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec:
  gatewayClassName: ebbgate
  listeners:
  - {name: http, port: %d, protocol: HTTP}
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: egress, namespace: ai}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: egress}]
  timeouts: {connect: 1s, firstByte: 1s, streamIdle: 1s}
%s---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: providers, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules:
`

const ruleYAML = `  - matches: [{headers: [{name: x-provider, value: %s}]}]
    backendRefs:
`

const farYAML = `---
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: %[1]s, namespace: ai}
spec:
  type: Addresses
  addresses: {addresses: ["127.0.0.1"], hostname: %[1]s.test}
  port: {number: %[2]d}
  protocol: %[3]s
  tls: {validation: {caCertificateRefs: [{kind: Secret, name: ca}]}}
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: %[1]s, namespace: ai}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]
  priority: %[4]d
---
apiVersion: ebbgate.dev/v1alpha1
kind: CredentialInjector
metadata: {name: %[1]s, namespace: ai}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]
  type: APIKey
  apiKey: {secretRef: {name: %[1]s}%[5]s}
`

func manifest(w *world, port int, added string) string {
	var text strings.Builder
	fmt.Fprintf(&text, gatewayYAML, port, added)
	last := provider.Kind("")
	for _, f := range w.fars {
		if f.provider != last {
			fmt.Fprintf(&text, ruleYAML, f.provider)
		}
		last = f.provider
		fmt.Fprintf(&text, "    - {group: ebbgate.dev, kind: Backend, name: %s}\n", f.name)
	}
	for _, f := range w.fars {
		header := map[provider.Kind]string{provider.Anthropic: ", header: x-api-key", provider.Gemini: ", header: x-goog-api-key"}[f.provider]
		fmt.Fprintf(&text, farYAML, f.name, f.port, f.protocol, f.tier, header)
	}
	return text.String()
}
