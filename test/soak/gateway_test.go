package soak

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const patience = 60 * time.Second // for anything awaited: the machine may be busy

// gateway is the command as a process that serves a folder of YAML.
type gateway struct {
	*command.Process
	folder         string
	address, admin string
}

// serve starts the command of that name, with what is added to its environment and its arguments.
func serve(t *testing.T, name string, environment []string, objects string, more ...string) *gateway {
	t.Helper()
	ports := testkit.Ports(t, 2)
	g := &gateway{folder: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", ports[0]), admin: fmt.Sprintf("127.0.0.1:%d", ports[1])}
	g.write(t, "all.yaml", fmt.Sprintf(gatewayYAML, ports[0])+objects)
	args := []string{"run", "-f", g.folder, "--admin", g.admin, "--health=", "--pprof", "--access-log", "off", "--audit-log", filepath.Join(t.TempDir(), "audit.log")}
	g.Process = command.Start(t, os.Getenv(name), environment, append(args, more...)...)
	g.Await(t, "serving on ")
	return g
}

// write puts a file into the folder, whole at once.
func (g *gateway) write(t *testing.T, name, text string) {
	t.Helper()
	hidden := filepath.Join(g.folder, "."+name)
	if err := os.WriteFile(hidden, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(g.folder, name)); err != nil {
		t.Fatal(err)
	}
}

// page is one of the admin pages.
func (g *gateway) page(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true} // a connection of it would be counted
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(path, res.Status, err)
	}
	return string(text)
}

// metric is the value of the first line that begins so.
func (g *gateway) metric(t *testing.T, name string) (value float64) {
	t.Helper()
	return metricOf(t, g.page(t, "/metrics"), name)
}

func metricOf(t *testing.T, page, name string) (value float64) {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				t.Fatal(line, err)
			}
			return value
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

const gatewayYAML = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: soak}
spec:
  gatewayClassName: ebbgate
  listeners:
  - {name: http, port: %d, protocol: HTTP}
`

// backend is a Backend at an address with its route; what else its rule, and its EgressPolicy, have are lines of their own.
func backend(name, address, protocol, rule, policy string) string {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`---
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: %[1]s, namespace: soak}
spec:
  type: Addresses
  addresses: {addresses: ["127.0.0.1"], hostname: %[1]s.test}
  port: {number: %[2]s}
  protocol: %[3]s
  tls: {mode: None}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: soak}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /%[1]s}}]
    backendRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]
    %[4]s
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: %[1]s, namespace: soak}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]
  %[5]s
`, name, port, protocol, rule, policy)
}
