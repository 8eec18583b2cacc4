package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
)

const toPods = `apiVersion: v1
kind: Service
metadata: {name: model}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: model-1, labels: {kubernetes.io/service-name: model}}
addressType: IPv4
ports: [{port: 8000}]
endpoints: [{addresses: [10.1.2.3]}, {addresses: [10.1.2.4]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: model}
spec:
  parentRefs: [{name: egress}]
  hostnames: [model.test]
  rules: [{backendRefs: [{name: model, port: 80}]}]
`

// runs puts a Pod on a node, at an address.
func (c *cluster) runs(name, address string) *corev1.Pod {
	c.t.Helper()
	pods := c.typed().CoreV1().Pods(c.namespace)
	pod, err := pods.Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "example.test/c:1"}}},
	}, metav1.CreateOptions{})
	must(c.t, err)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "192.0.2.1", PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}}
	pod, err = pods.UpdateStatus(c.t.Context(), pod, metav1.UpdateOptions{})
	must(c.t, err)
	return pod
}

// TestServicesLeadToKnownPods: an endpoint is a known Pod from the Pod's begin to its end.
func TestServicesLeadToKnownPods(t *testing.T) {
	c := newCluster(t)
	c.runs("model-a", "10.1.2.3")
	c.apply(manifests)
	c.apply(toPods)
	r := c.replica("one")
	f := func(want string) {
		t.Helper()
		got := ""
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			p := r.Plan()
			if p == nil {
				continue
			}
			var known []string
			for _, b := range p.Backends {
				for _, e := range b.Addresses {
					if b.Origin == plan.Endpoints && e.Pod {
						known = append(known, e.Address)
					}
				}
			}
			if got = strings.Join(known, " "); got == want {
				return
			}
		}
		t.Fatalf("known Pods at %q, want %q", got, want)
	}
	f("10.1.2.3")
	b := c.runs("model-b", "10.1.2.4")
	f("10.1.2.3 10.1.2.4")
	var now int64
	must(t, c.typed().CoreV1().Pods(c.namespace).Delete(t.Context(), b.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	f("10.1.2.3")
}

// TestTokensAreVerifiable: a Gateway that knows clients by ServiceAccount tokens has the cluster's issuer and its keys.
func TestTokensAreVerifiable(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	c.apply(strings.Replace(parameters, "deployment: {replicas: 3}", "identity: [{type: ServiceAccountToken}]", 1))
	r := c.replica("one")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if p := r.Plan(); p != nil {
			for _, g := range p.Gateways {
				if g.Name == c.namespace+"/egress" && g.Token != nil && strings.HasPrefix(g.Token.Issuer.URL, "https://") && strings.Contains(g.Token.Issuer.Keys, `"kid"`) {
					return
				}
			}
		}
		if time.Now().After(end) {
			t.Fatal("no keys came")
		}
	}
}
