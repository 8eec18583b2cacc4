//go:build cluster

package kube_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// outside are the addresses that destinations have: public ones, since a gateway refuses others, that for the time of the
// tests belong to the node's bridge. Pods reach them by way of their node, as they would reach the Internet.
const outside = "11.0.31."

// names are what the cluster's DNS knows of the outside.
var names = map[string]string{
	"api.openai.test":  outside + "1",
	"api.mistral.test": outside + "2",
	"api.vendor.test":  outside + "3",

	"payouts.vendor.test":     outside + "3",
	"tenant.vendor.test":      outside + "4",
	"mesh.vendor.test":        outside + "5",
	"pixel.tracker.test":      outside + "6",
	"api.bank.test":           outside + "7",
	"api.insurer.test":        outside + "8",
	"api.anthropic.test":      outside + "9",
	"api.provider.test":       outside + "10",
	"preview.provider.test":   outside + "11",
	"frankfurt.provider.test": outside + "12",
	"paris.provider.test":     outside + "13",
	"virginia.provider.test":  outside + "14",
	"gateway.inference.test":  outside + "15", // a Service's, by externalIPs
}

// zone is the ConfigMap of cluster DNS with the names of the outside in it.
const zone = `
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        health
        ready
        kubernetes cluster.local in-addr.arpa ip6.arpa {
            ttl 5
        }
        hosts {
            %s
            fallthrough
        }
        cache 5
        reload
    }
`

// prepare gives the bridge the addresses and cluster DNS the names of the outside. What it gives back undoes the first; the
// second goes with the next cluster.sh up.
func prepare() (stop func(), err error) {
	ctx := context.Background()
	var taken, lines []string
	stop = func() {
		for _, address := range taken {
			_ = exec.CommandContext(ctx, "ip", "address", "del", address+"/32", "dev", "kube0").Run()
		}
	}
	for name, address := range names {
		if out, err := exec.CommandContext(ctx, "ip", "address", "replace", address+"/32", "dev", "kube0").CombinedOutput(); err != nil {
			stop()
			return nil, fmt.Errorf("give the node %s: %w: %s", address, err, out)
		}
		taken = append(taken, address)
		lines = append(lines, address+" "+name)
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "--force-conflicts", "-f", "-"},
		{"-n", "kube-system", "rollout", "restart", "deployment/coredns"},
		{"-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s"},
	} {
		if _, err := try(ctx, fmt.Sprintf(zone, strings.Join(lines, "\n            ")), args...); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// destination is a far side with a name of the outside, which echoes what it is asked with the credential that it was shown.
func destination(t testing.TB, authority *ca.CA, name string, handler http.Handler) *upstream.Upstream {
	t.Helper()
	return far(t, name, upstream.Config{Certificate: testkit.Issue(t, authority, ca.Leaf{DNSNames: []string{name}}), Handler: handler})
}

// far is what has a name of the outside.
func far(t testing.TB, name string, config upstream.Config) *upstream.Upstream {
	t.Helper()
	if names[name] == "" {
		t.Fatalf("the outside has no %s", name)
	}
	config.Address = names[name] + ":8443"
	return testkit.Upstream(t, config)
}
