package spec_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/source/file"
	"github.com/ebbgate/ebbgate/internal/standalone"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// world is one gateway, the far sides behind it and the clients before it.
type world struct {
	folder  string
	steps   chan chan struct{}
	ports   map[string]int // by the name that rows know them by
	fars    map[string]*far
	root    *ca.CA // of all certificates that are meant to be good
	clients map[string]*client
	expand  *strings.Replacer
	asked   int

	mu       sync.Mutex
	problems []problem.Problem // of the configuration in force
}

// The ports that rows use: Gateway gw listens on http and https, the others are for Gateways of a row's own.
var (
	plainPorts  = []string{"http", "plain1", "plain2", "plain3"}
	securePorts = []string{"https", "tls1", "tls2", "tls3"}
)

func newWorld(t *testing.T) *world {
	w := &world{
		folder: t.TempDir(), steps: make(chan chan struct{}), ports: map[string]int{}, fars: map[string]*far{},
		root: testkit.CA(t, "spec"), clients: map[string]*client{},
	}
	pairs := []string{"$gateway", "gateway.networking.k8s.io"}
	names := append(slices.Clone(securePorts), plainPorts...) // https before http: the first that fits is replaced
	for i, port := range testkit.Ports(t, len(names)) {
		name := names[i]
		w.ports[name] = port
		pairs = append(pairs, "$"+name, fmt.Sprint(port))
	}
	base := &strings.Builder{}
	base.WriteString(baseObjects)
	for _, name := range []string{"one", "two", "three"} {
		w.far(t, name)
		pairs = append(pairs, "{"+name, fmt.Sprintf("{name: %s, port: 80", name))
		service(base, "spec", name, "", w.fars[name].address)
	}
	service(base, "other", "four", "", w.far(t, "four").address)
	service(base, "spec", "h2c", "kubernetes.io/h2c", w.far(t, "h2c").address)
	service(base, "spec", "ws", "kubernetes.io/ws", w.far(t, "ws").address)
	service(base, "spec", "dead", "", fmt.Sprint("127.0.0.1:", testkit.Ports(t, 1)[0]))
	service(base, "spec", "empty", "")
	service(base, "spec", "many", "", w.far(t, "many-1").address, w.far(t, "many-2").address, w.far(t, "many-3").address)
	w.secret(t, base, "listener", testkit.Loopback(t, w.root, "spec.test"))
	w.expand = strings.NewReplacer(pairs...)
	w.write(t, "base.yaml", w.expand.Replace(base.String()))
	w.start(t)
	return w
}

const baseObjects = `
apiVersion: $gateway/v1
kind: Gateway
metadata: {name: gw, namespace: spec}
spec:
  gatewayClassName: ebbgate
  infrastructure: {parametersRef: {group: ebbgate.dev, kind: GatewayParameters, name: named}}
  listeners:
  - {name: http, port: $http, protocol: HTTP}
  - {name: https, port: $https, protocol: HTTPS, tls: {certificateRefs: [{name: listener}]}}
---
# Clients have a name: only of those without one on loopback are pages of other origins refused.
apiVersion: ebbgate.dev/v1alpha1
kind: GatewayParameters
metadata: {name: named, namespace: spec}
spec: {identity: [{type: Static, entries: [{cidr: 127.0.0.0/8, namespace: spec, serviceAccount: client}]}]}
---
# The rows that retry do so more often than the default lets.
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: generous, namespace: spec}
spec: {targetRefs: [{group: "", kind: Service, name: one}], retryConstraint: {budget: {percent: 100}, minRetryRate: {count: 100000}}}
`

// service writes a Service with a port 80 and its endpoints.
func service(w io.Writer, namespace, name, protocol string, addresses ...string) {
	if protocol != "" {
		protocol = ", appProtocol: " + protocol
	}
	fmt.Fprintf(w, "---\n{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s}, spec: {ports: [{name: p, port: 80%s}]}}\n",
		name, namespace, protocol)
	for i, address := range addresses {
		host, port, _ := net.SplitHostPort(address)
		fmt.Fprintf(w, `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s-%d, namespace: %s, labels: {kubernetes.io/service-name: %s}}
addressType: IPv4
ports: [{name: p, port: %s}]
endpoints: [{addresses: [%s]}]
`, name, i, namespace, name, port, host)
	}
}

// stepped is a source of files that looks at them when it is told to.
type stepped struct {
	*file.Source
	steps <-chan chan struct{}
}

func (s stepped) Watch(ctx context.Context, changed func(*source.Snapshot, []problem.Problem)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case done := <-s.steps:
			changed(s.Load(ctx))
			close(done)
		}
	}
}

func (w *world) start(t *testing.T) {
	files, err := file.New(file.Config{Paths: []string{w.folder}, Schema: schema.New()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- standalone.Run(ctx, standalone.Config{
			Source: stepped{files, w.steps}, Logger: slog.New(slog.DiscardHandler), Audit: io.Discard, Drain: 5 * time.Second,
			Ready: func([]string) { close(ready) },
			Problems: func(list []problem.Problem) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.problems = list
			},
		})
	}()
	t.Cleanup(func() {
		for _, c := range w.clients {
			c.close()
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("%v: %v", err, w.problems)
	}
}

func (w *world) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve puts a row's objects in force, in the place of the former row's. A document without a kind is the spec of an
// HTTPRoute of the Gateway gw. What is wrong with them must be wrong as the row says: "ResolvedRefs InvalidKind".
func (w *world) serve(t *testing.T, row, objects string, wrong ...string) {
	t.Helper()
	documents := strings.Split(objects, "\n---\n")
	for i, d := range documents {
		if kinded.MatchString(d) {
			continue
		}
		if !strings.Contains(d, "parentRefs:") {
			d += "\nparentRefs: [{name: gw}]"
		}
		documents[i] = fmt.Sprintf("apiVersion: $gateway/v1\nkind: HTTPRoute\nmetadata: {name: row-%d, namespace: spec}\nspec:\n%s",
			i, "  "+strings.ReplaceAll(strings.TrimSpace(d), "\n", "\n  "))
	}
	w.write(t, "row.yaml", w.expand.Replace(strings.Join(documents, "\n---\n")))
	done := make(chan struct{})
	w.steps <- done
	<-done
	w.judge(t, row, wrong)
}

var kinded = regexp.MustCompile(`(?m)(^kind:|^\{apiVersion: \S+ kind:)`)

// judge holds what the gateway says is wrong against what should be.
func (w *world) judge(t *testing.T, row string, wrong []string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string]bool{}
	for _, p := range w.problems {
		found[p.Condition+" "+p.Reason] = true
		expected := false
		for _, about := range wrong {
			expected = expected || about == p.Condition+" "+p.Reason
		}
		if !expected && !p.Warning {
			t.Errorf("%s: %s %s: %v", row, p.Condition, p.Reason, p)
		}
	}
	for _, about := range wrong {
		if !found[about] {
			t.Errorf("%s: not found wrong: %s: %v", row, about, w.problems)
		}
	}
}

// secret writes a pair as a Secret of the namespace spec.
func (w *world) secret(t *testing.T, into io.Writer, name string, pair certificate) {
	t.Helper()
	fmt.Fprint(into, "---\n", keyPair(t, name, pair))
}
