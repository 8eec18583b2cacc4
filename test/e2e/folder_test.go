package e2e_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

func buildInto(ctx context.Context, folder string) (string, error) { return command.Build(ctx, folder) }

// folder is configuration as a user keeps it: files of YAML.
type folder struct {
	t   testing.TB
	dir string
}

func newFolder(t testing.TB) folder { return folder{t, t.TempDir()} }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// write puts documents into a file, which appears whole or not at all.
func (f folder) write(name string, documents ...string) {
	f.t.Helper()
	hidden := f.path("." + name + ".new")
	if err := os.WriteFile(hidden, []byte(strings.Join(documents, "\n---\n")), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(hidden, f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) remove(name string) {
	f.t.Helper()
	if err := os.Remove(f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

// The objects, as a user would write them.

func gatewayOn(name string, port int, more ...string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: t}
spec:
  gatewayClassName: ebbgate
  listeners:
  - {name: http, port: %d, protocol: HTTP}
  %s`, name, port, strings.Join(more, "\n  "))
}

// route is the route "/name" to the Backend of the name, whatever else its rule has.
func route(name string, more ...string) string {
	return routeTo(name, fmt.Sprintf("backendRefs: [{group: ebbgate.dev, kind: Backend, name: %s}]", name), more...)
}

func routeTo(name, backends string, more ...string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: t}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /%[1]s}}]
    %[2]s
    %[3]s`, name, backends, strings.Join(more, "\n    "))
}

// backend is a Backend of a name; tls is its tls block, or "mode: None".
func backend(name, hostname string, port int, tls string) string {
	return fmt.Sprintf(`apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: %s, namespace: t}
spec:
  type: ExternalHostname
  externalHostname: {hostname: %s}
  port: {number: %d}
  tls: {%s}`, name, hostname, port, tls)
}

const plain = "mode: None"

func verified(hostname, root string) string {
	return fmt.Sprintf("validation: {hostname: %s, caCertificateRefs: [{kind: ConfigMap, name: %s}]}", hostname, root)
}

func root(name string, authority *ca.CA) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: t}\ndata:\n  ca.crt: |\n%s", name, indent(string(authority.PEM())))
}

// dns is a DNSPolicy for a Backend.
func dns(name, spec string) string {
	return attached("DNSPolicy", name, spec)
}

// pinned makes a name stand for loopback.
func pinned(name, hostname string) string {
	return dns(name, fmt.Sprintf("hosts: [{hostname: %s, addresses: [127.0.0.1]}]\n  addresses: {allowPrivate: [127.0.0.1/32]}", hostname))
}

// attached is a policy for the Backend of the same name.
func attached(kind, name, spec string) string {
	return fmt.Sprintf(`apiVersion: ebbgate.dev/v1alpha1
kind: %s
metadata: {name: %s, namespace: t}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: %[2]s}]
  %s`, kind, name, spec)
}

// bearer makes a Backend's requests carry the key "token" of the Secret.
func bearer(name, secret string) string {
	return attached("CredentialInjector", name, fmt.Sprintf("type: APIKey\n  apiKey: {secretRef: {name: %s, key: token}}", secret))
}

func secret(name string, values ...string) string {
	text := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: t}\nstringData:", name)
	for i := 0; i+1 < len(values); i += 2 {
		text += fmt.Sprintf("\n  %s: %q", values[i], values[i+1])
	}
	return text
}

func certificateSecret(t testing.TB, name string, authority *ca.CA, names ...string) string {
	t.Helper()
	pair, err := authority.Issue(ca.Leaf{DNSNames: names, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.KeyPEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: t}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n%s\n  tls.key: |\n%s",
		name, indent(string(ca.CertificatePEM(pair))), indent(string(key)))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

func portOf(t testing.TB, address string) int {
	t.Helper()
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return resolved.Port
}
