package controller

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
)

// heard is what a proxy is told of Pods at once.
type heard struct {
	changed map[string]*plan.Workload
	whole   bool
}

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
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	p := c.proxy(r, c.token("egress-ebbgate", c.pod(c.set("egress-ebbgate"), nil), plan.TokenAudience))
	f := func(want string) {
		t.Helper()
		p.until(t, "known Pods at "+want, func(newest *plan.Plan) bool {
			var known []string
			for _, b := range newest.Backends {
				for _, e := range b.Addresses {
					if b.Origin == plan.Endpoints && e.Pod {
						known = append(known, e.Address)
					}
				}
			}
			return strings.Join(known, " ") == want
		})
	}
	f("10.1.2.3")
	b := c.runs("model-b", "10.1.2.4")
	f("10.1.2.3 10.1.2.4")
	var now int64
	must(t, c.typed().CoreV1().Pods(c.namespace).Delete(t.Context(), b.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	f("10.1.2.3")
}

// TestProxiesKnowWhoCalls: a proxy hears of Pods and of the keys of tokens; what it is told is what the API server signs with.
func TestProxiesKnowWhoCalls(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	c.apply(strings.Replace(parameters, "deployment: {replicas: 3}", "identity: [{type: ServiceAccountToken}, {type: PodAddress}]", 1))
	client := c.runs("caller", "10.1.2.5")
	r := c.replica("one")
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	own := c.pod(c.set("egress-ebbgate"), nil)
	p := c.proxy(r, c.token("egress-ebbgate", own, plan.TokenAudience))
	var g *plan.Gateway
	select {
	case newest := <-p.plans:
		g = newest.Gateways[0]
	case <-time.After(patience):
		t.Fatal("no plan came")
	}
	if !g.PodAddress || g.Token == nil {
		t.Fatalf("%+v", g)
	}
	pods := new(identify.Pods)
	for !pods.Known() {
		select {
		case heard := <-p.hears:
			pods.Update(heard.changed, heard.whole)
		case <-time.After(patience):
			t.Fatal("no Pods came")
		}
	}
	verifier, err := identify.NewVerifier(g.Token, pods)
	must(t, err)
	id, err := identify.New(g, true, pods, verifier)
	must(t, err)
	f := func(what, address, token, want string, source exchange.Source) {
		t.Helper()
		o := pods.Connect(netip.MustParseAddr(address), func() {})
		defer o.Gone()
		o.Settle(t.Context())
		got, _, err := id.Identify(identify.Connection{
			Address: netip.AddrPortFrom(netip.MustParseAddr(address), 1), Origin: o, Proxy: "Bearer " + token, Now: time.Now(),
		}, &exchange.Header{})
		if got.String() != want || got.Source != source || err != nil {
			t.Errorf("%s: %s by %s, want %s (%v)", what, got, got.Source, want, err)
		}
	}
	name := c.namespace + "/default"
	token := c.token("default", client, "ebbgate")
	f("by its address", "10.1.2.5", "", name, exchange.SourcePodAddress)
	f("by its token", "10.1.2.5", token, name, exchange.SourceToken)
	f("by its token alone", "192.0.2.77", token, name, exchange.SourceToken)
	f("by a token for somebody else", "192.0.2.77", c.token("default", client, plan.TokenAudience), "unknown/unknown", exchange.SourceNone)
	f("by a proxy's token", "10.1.2.5", c.token("egress-ebbgate", own, "ebbgate"), name, exchange.SourcePodAddress)
	f("by nothing", "192.0.2.77", "", "unknown/unknown", exchange.SourceNone)
}
