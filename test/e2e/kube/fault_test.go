//go:build cluster

package kube_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	controllers = "app.kubernetes.io/name=ebbgate-controller"
	proxies     = "gateway.networking.k8s.io/gateway-name=egress"
)

// leader is the Pod that leads.
func leader(t testing.TB) string {
	t.Helper()
	return kubectl(t, "", "-n", system, "get", "lease", "ebbgate-controller", "-o", "jsonpath={.spec.holderIdentity}")
}

// route is one of many routes, told apart by its path.
func route(i int) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: churn-%d, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /churn-%d}}]
    backendRefs: [{group: ebbgate.dev, kind: Backend, name: openai}]
---
`, i, i)
}

// churn writes routes until it is stopped, and says how many stand.
func churn(t testing.TB) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan int)
	go func() {
		i := 0
		for ; ctx.Err() == nil; i++ {
			if _, err := try(context.WithoutCancel(ctx), route(i), "apply", "-f", "-"); err != nil {
				t.Error(err)
				break
			}
		}
		done <- i
	}()
	return func() int { cancel(); return <-done }
}

// script calls cluster.sh.
func script(t testing.TB, args ...string) {
	t.Helper()
	cluster := os.Getenv("EBBGATE_CLUSTER")
	if cluster == "" {
		t.Fatal("EBBGATE_CLUSTER is not set: run.sh sets it")
	}
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), cluster, args...).CombinedOutput(); err != nil {
		t.Fatalf("cluster.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// kill ends a Pod at once.
func kill(t testing.TB, namespace, name string) {
	t.Helper()
	kubectl(t, "", "-n", namespace, "delete", "pod", name, "--grace-period=0", "--force")
}

// TestControllerKilledUnderChurn: traffic does not notice that the controller that leads is killed while routes come in; another
// leads, and serves every route that was written meanwhile.
func TestControllerKilledUnderChurn(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	stop := churn(t)
	p.more(50)
	was := leader(t)
	kill(t, system, was)
	eventually(t, "another leads", func() bool { now := leader(t); return now != "" && now != was })
	p.more(200)
	last := stop() - 1
	if last < 1 {
		t.Fatalf("%d routes are no churn", last+1)
	}
	for _, i := range []int{0, last / 2, last} {
		a := p.call
		a.URL = strings.Replace(a.URL, "/v1/chat", fmt.Sprintf("/churn-%d", i), 1)
		p.served(a, http.StatusOK)
	}
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}

// TestEveryControllerAway: with no controller at all traffic goes on; a proxy that starts meanwhile waits, unready, and is
// ready once there is one again.
func TestEveryControllerAway(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	before := kubectl(t, "", "-n", system, "get", "deployment", "ebbgate-controller", "-o", "jsonpath={.spec.replicas}")
	back := func() {
		kubectl(t, "", "-n", system, "scale", "deployment/ebbgate-controller", "--replicas="+before)
		kubectl(t, "", "-n", system, "rollout", "status", "deployment/ebbgate-controller", "--timeout=90s")
	}
	defer back()
	p.load(p.call)
	kubectl(t, "", "-n", system, "scale", "deployment/ebbgate-controller", "--replicas=0")
	eventually(t, "no controller runs", func() bool { return len(pods(t, system, controllers)) == 0 })
	p.more(100)
	old := pods(t, "ai", proxies)
	kubectl(t, "", "-n", "ai", "delete", "pod", old[0], "--wait=false")
	var fresh string
	eventually(t, "a new proxy runs", func() bool {
		for _, name := range pods(t, "ai", proxies) {
			if !strings.Contains(strings.Join(old, " "), name) {
				fresh = name
			}
		}
		return fresh != "" && kubectl(t, "", "-n", "ai", "get", "pod", fresh, "-o", "jsonpath={.status.phase}") == "Running"
	})
	p.more(200)
	ready := func() string {
		return kubectl(t, "", "-n", "ai", "get", "pod", fresh, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	}
	if got := ready(); got != "False" {
		t.Errorf("a proxy that no controller has told anything is Ready=%s", got)
	}
	back()
	eventually(t, "the new proxy is ready", func() bool { return ready() == "True" })
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}

// TestProxyEnds: a proxy that is told to end, as in a rollout or when a node is emptied, fails no request.
func TestProxyEnds(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	p.more(50)
	for _, name := range pods(t, "ai", proxies) {
		kubectl(t, "", "-n", "ai", "delete", "pod", name)
		kubectl(t, "", "-n", "ai", "rollout", "status", "deployment/egress-ebbgate", "--timeout=90s")
		p.more(50)
	}
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}

// TestProxyKilled: a proxy that is killed without a word takes what it has in hand with it, and what is sent to it until the
// cluster knows. The rest is served, and it runs again.
func TestProxyKilled(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	p.more(50)
	killed := pods(t, "ai", proxies)[0]
	script(t, "crash", "ai", killed)
	status := func(of string) string {
		return kubectl(t, "", "-n", "ai", "get", "pod", killed, "-o", "jsonpath={.status.containerStatuses[0]."+of+"}")
	}
	eventually(t, "it runs again", func() bool { return status("restartCount") == "1" && status("ready") == "true" })
	p.more(200)
	result := p.end()
	n, what := result.failed()
	t.Logf("of %d requests %d failed: %s", result.total(), n, what)
	for outcome := range result {
		if strings.HasPrefix(outcome, "5") {
			t.Errorf("a gateway that lives answered %s", outcome)
		}
	}
	if most := result.total() / 4; n > most { // until the kubelet has seen it, every second new connection is refused
		t.Errorf("%d requests failed: %s", n, what)
	}
}

// TestAPIServerAway: the API server is gone for a minute. Traffic does not notice, and a route that is written afterwards is
// served.
func TestAPIServerAway(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	script(t, "apiserver", "stop")
	away := time.After(time.Minute)
	for range 6 {
		p.more(100)
	}
	<-away
	p.more(50)
	script(t, "apiserver", "start")
	apply(t, route(0))
	a := p.call
	a.URL = strings.Replace(a.URL, "/v1/chat", "/churn-0", 1)
	p.wait = 5 * time.Minute // kube-proxy first has to find the way to the API server again, and then the controllers: each tries every minute at worst
	p.served(a, http.StatusOK)
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}

// TestAuthorityLost: somebody deletes the CA by which proxies know the controller. Another takes its place, every proxy comes to
// believe it, and traffic does not notice.
func TestAuthorityLost(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	p.more(50)
	kubectl(t, "", "-n", system, "delete", "secret", "ebbgate-controller-ca")
	kubectl(t, "", "-n", system, "rollout", "restart", "deployment/ebbgate-controller")
	kubectl(t, "", "-n", system, "rollout", "status", "deployment/ebbgate-controller", "--timeout=120s")
	eventually(t, "there is a CA again", func() bool {
		_, err := try(t.Context(), "", "-n", system, "get", "secret", "ebbgate-controller-ca")
		return err == nil
	})
	apply(t, route(0))
	a := p.call
	a.URL = strings.Replace(a.URL, "/v1/chat", "/churn-0", 1)
	p.wait = 5 * time.Minute // a kubelet brings a changed ConfigMap to Pods within a minute or two
	p.served(a, http.StatusOK)
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}
