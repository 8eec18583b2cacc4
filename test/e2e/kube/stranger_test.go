//go:build cluster

package kube_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ebbgate/ebbgate/internal/distribute"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
)

// transcript is a log that may be read while it is written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *transcript) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// told asks the controller for a plan as who has the token would, and gives the plan's Gateways, or what the connection broke on.
func told(t *testing.T, token string) (gateways []string, refusal string) {
	t.Helper()
	folder, log := t.TempDir(), &transcript{}
	for file, text := range map[string]string{
		"token": token, "ca.crt": kubectl(t, "", "-n", "ai", "get", "configmap", "egress-ebbgate", "-o", `jsonpath={.data.ca\.crt}`),
	} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got atomic.Pointer[plan.Plan]
	client, err := distribute.NewClient(distribute.ClientConfig{
		Address:    net.JoinHostPort(kubectl(t, "", "-n", system, "get", "service", "ebbgate-controller", "-o", "jsonpath={.spec.clusterIP}"), "9443"),
		ServerName: "ebbgate-controller." + system + ".svc",
		CA:         filepath.Join(folder, "ca.crt"), Token: filepath.Join(folder, "token"),
		Configs: func(kind string) any {
			for _, k := range order.Kinds() {
				if k.Name == kind {
					return k.Config()
				}
			}
			return nil
		},
		Update: func(_ context.Context, p *plan.Plan) error { got.Store(p); return nil },
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { client.Run(ctx) })
	eventually(t, "the controller says something", func() bool { return got.Load() != nil || log.String() != "" })
	if p := got.Load(); p != nil {
		for _, g := range p.Gateways {
			gateways = append(gateways, g.Name)
		}
		return gateways, ""
	}
	return nil, log.String()
}

// TestStranger: a plan, with the keys in it, is for the Pods of the Gateway's own Deployment. Who may create a Pod in the
// Gateway's namespace, under the proxies' own ServiceAccount and with their labels, is told nothing.
func TestStranger(t *testing.T) {
	startProviders(t)
	proxy := pods(t, "ai", proxies)[0]
	apply(t, `
apiVersion: v1
kind: Pod
metadata:
  name: stranger
  namespace: ai
  labels: {app.kubernetes.io/name: ebbgate-proxy, gateway.networking.k8s.io/gateway-name: egress-copy}
spec:
  serviceAccountName: egress-ebbgate
  terminationGracePeriodSeconds: 0
  containers: [{name: client, image: "kube.local/client:1", imagePullPolicy: IfNotPresent}]
`)
	kubectl(t, "", "-n", "ai", "wait", "--for=condition=Ready", "pod/stranger", "--timeout=90s")
	token := func(account string, args ...string) string {
		return kubectl(t, "", append([]string{"-n", "ai", "create", "token", account}, args...)...)
	}
	bound := func(pod, audience string) []string {
		return []string{"--audience", audience, "--bound-object-kind", "Pod", "--bound-object-name", pod}
	}
	if gateways, refusal := told(t, token("egress-ebbgate", bound(proxy, plan.TokenAudience)...)); len(gateways) != 1 || gateways[0] != "ai/egress" {
		t.Fatalf("a proxy of the Deployment is told of %v: %s", gateways, refusal)
	}
	for name, shown := range map[string]string{
		"a Pod beside the Deployment": token("egress-ebbgate", bound("stranger", plan.TokenAudience)...),
		"no Pod":                      token("egress-ebbgate", "--audience", plan.TokenAudience),
		"another audience":            token("egress-ebbgate", bound(proxy, "https://kubernetes.default.svc.cluster.local")...),
		"another ServiceAccount":      token("default", "--audience", plan.TokenAudience),
		"no token":                    "nonsense",
	} {
		gateways, refusal := told(t, shown)
		if gateways != nil {
			t.Errorf("%s: told of %v", name, gateways)
		}
		if !strings.Contains(refusal, "Unauthenticated") && !strings.Contains(refusal, "PermissionDenied") {
			t.Errorf("%s: refused with %s", name, refusal)
		}
	}
	for _, what := range []string{"get secrets", "list secrets", "get configmaps", "list pods", "get httproutes.gateway.networking.k8s.io"} {
		verb, resource, _ := strings.Cut(what, " ")
		out, err := try(t.Context(), "", "auth", "can-i", verb, resource, "-n", "ai", "--as", "system:serviceaccount:ai:egress-ebbgate")
		if err == nil || strings.TrimSpace(out) == "yes" {
			t.Errorf("the proxies' ServiceAccount may %s", what)
		}
	}
}
