package controller

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

var suite apiserver.Suite

func TestMain(m *testing.M) {
	suite.Tests = m
	goleak.VerifyTestMain(&suite)
}

const (
	patience   = 30 * time.Second
	proxyImage = "ebbgate.test/proxy:1"
)

// cluster is a namespace of a real API server, and the controllers at work on it.
type cluster struct {
	t         *testing.T
	server    *apiserver.Server
	namespace string
	client    dynamic.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	server := suite.Server(t)
	client, err := dynamic.NewForConfig(server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t, server, server.Namespace(t), client}
}

// replica is a controller that runs until it is stopped.
type replica struct {
	*Controller
	stop   context.CancelFunc
	done   chan error
	serves chan net.Addr // has where it serves proxies, once it does
}

func (c *cluster) replica(name string) *replica {
	c.t.Helper()
	return c.runAs(Config{
		REST: c.server.Admin(), Identity: name, Logger: slog.New(slog.DiscardHandler), Lease: Lease{2 * time.Second, time.Second, 100 * time.Millisecond},
	})
}

// runAs has a controller run until the test ends, in the namespace.
func (c *cluster) runAs(config Config) *replica {
	c.t.Helper()
	r := &replica{done: make(chan error, 1), serves: make(chan net.Addr, 1)}
	config.Namespace, config.Image, config.Service, config.Listen = c.namespace, proxyImage, "ebbgate-controller", "127.0.0.1:0"
	config.Serving = func(address net.Addr) {
		select { // where it served before, if it leads again
		case <-r.serves:
		default:
		}
		r.serves <- address
	}
	var err error
	r.Controller, err = New(config)
	must(c.t, err)
	r.reports.every = 20 * time.Millisecond
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.WithoutCancel(c.t.Context()))
	go func() { r.done <- r.Run(ctx) }()
	c.t.Cleanup(r.end)
	return r
}

// end stops it; it may be called again.
func (r *replica) end() {
	r.stop()
	r.done <- <-r.done
}

var resources = map[string]schema.GroupVersionResource{
	"GatewayClass": {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"},
	"Gateway":      {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	"HTTPRoute":    {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	"Backend":      {Group: "ebbgate.dev", Version: "v1alpha1", Resource: "backends"},
	"EgressPolicy": {Group: "ebbgate.dev", Version: "v1alpha1", Resource: "egresspolicies"},

	"GatewayParameters": {Group: "ebbgate.dev", Version: "v1alpha1", Resource: "gatewayparameters"},
	"Deployment":        {Group: "apps", Version: "v1", Resource: "deployments"},
	"EndpointSlice":     {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	"Service":           {Version: "v1", Resource: "services"},
	"Event":             {Group: "events.k8s.io", Version: "v1", Resource: "events"},
}

func (c *cluster) of(kind string) dynamic.ResourceInterface {
	if kind == "GatewayClass" {
		return c.client.Resource(resources[kind])
	}
	return c.client.Resource(resources[kind]).Namespace(c.namespace)
}

// apply makes objects, or those that differ from what is there.
func (c *cluster) apply(text string) {
	c.t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(u)
		if err == io.EOF {
			return
		}
		if err == nil {
			_, err = c.of(u.GetKind()).Apply(c.t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "test", Force: true})
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) get(kind, name string) *unstructured.Unstructured {
	c.t.Helper()
	u, err := c.of(kind).Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// until asks again and again until the object is there, and as it should be; the asking is what takes the time.
func (c *cluster) until(kind, name, what string, holds func(*unstructured.Unstructured) bool) *unstructured.Unstructured {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		u, err := c.of(kind).Get(c.t.Context(), name, metav1.GetOptions{})
		if err == nil && holds(u) {
			return u
		}
		if err != nil && !errors.IsNotFound(err) || time.Now().After(end) {
			c.t.Fatalf("%s %s: not %s: %v %v", kind, name, what, err, u)
		}
	}
}

// conditions are those of an object, or of our entry among its parents or ancestors.
func conditions(u *unstructured.Unstructured) (list []metav1.Condition) {
	var status struct {
		Conditions         []metav1.Condition
		Parents, Ancestors []struct {
			ControllerName string
			Conditions     []metav1.Condition
		}
	}
	text, _ := json.Marshal(u.Object["status"])
	_ = json.Unmarshal(text, &status)
	for _, e := range slices.Concat(status.Parents, status.Ancestors) {
		if e.ControllerName == "ebbgate.dev/egress-gateway" {
			return e.Conditions
		}
	}
	return status.Conditions
}

func is(kind string, status metav1.ConditionStatus) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool {
		c := meta.FindStatusCondition(conditions(u), kind)
		return c != nil && c.Status == status && c.ObservedGeneration == u.GetGeneration()
	}
}

const manifests = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ebbgate}
spec: {controllerName: ebbgate.dev/egress-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: openai}
spec:
  type: ExternalHostname
  externalHostname: {hostname: api.openai.com}
  port: {number: 443}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: egress}]
  rules: [{backendRefs: [{group: ebbgate.dev, kind: Backend, name: openai}]}]
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: openai}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: openai}]
  region: us-1
`

// TestStatuses: a replica that leads tells of every object what it comes to, beside what other controllers say, and writes
// nothing that is there already.
func TestStatuses(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	foreign := `{"status":{"parents":[{"parentRef":{"name":"egress"},"controllerName":"example.com/other","conditions":[` +
		`{"type":"Accepted","status":"False","reason":"Foreign","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}}`
	if _, err := c.of("HTTPRoute").Patch(t.Context(), "chat", types.MergePatchType, []byte(foreign), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	c.replica("one")
	class := c.until("GatewayClass", "ebbgate", "accepted", is("Accepted", metav1.ConditionTrue))
	if had, _, _ := unstructured.NestedSlice(class.Object, "status", "supportedFeatures"); len(had) == 0 {
		t.Errorf("no supported features: %v", class.Object["status"])
	}
	c.until("Gateway", "egress", "accepted", is("Accepted", metav1.ConditionTrue))
	gateway := c.until("Gateway", "egress", "waiting for proxies", waits("no proxy is ready"))
	route := c.until("HTTPRoute", "chat", "accepted", is("Accepted", metav1.ConditionTrue))
	if text, _ := json.Marshal(route.Object["status"]); !strings.Contains(string(text), "example.com/other") {
		t.Errorf("another controller's entry is gone: %s", text)
	}
	c.until("EgressPolicy", "openai", "accepted", is("Accepted", metav1.ConditionTrue))
	c.until("Backend", "openai", "affected", is("ebbgate.dev/EgressPolicyAffected", metav1.ConditionTrue))

	c.apply(strings.Replace(manifests[strings.LastIndex(manifests, "---\n")+4:], "us-1", "eu-1", 1))
	c.until("EgressPolicy", "openai", "seen anew", is("Accepted", metav1.ConditionTrue))
	if now := c.get("Gateway", "egress"); now.GetResourceVersion() != gateway.GetResourceVersion() {
		t.Errorf("the Gateway was written again, for nothing: %v", now.Object["status"])
	}
	if err := c.of("EgressPolicy").Delete(t.Context(), "openai", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("Backend", "openai", "no longer affected", func(u *unstructured.Unstructured) bool {
		return meta.FindStatusCondition(conditions(u), "ebbgate.dev/EgressPolicyAffected") == nil
	})
	if err := c.of("Backend").Delete(t.Context(), "openai", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("HTTPRoute", "chat", "without its backend", is("ResolvedRefs", metav1.ConditionFalse))
	if err := c.of("Gateway").Delete(t.Context(), "egress", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("HTTPRoute", "chat", "without our word on a Gateway that is gone", func(u *unstructured.Unstructured) bool {
		text, _ := json.Marshal(u.Object["status"])
		return strings.Contains(string(text), "example.com/other") && !strings.Contains(string(text), "ebbgate.dev/egress-gateway")
	})
}

// TestOneReplicaLeads: of two one writes, and when it ends the other goes on.
func TestOneReplicaLeads(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	first := c.replica("one")
	c.until("HTTPRoute", "chat", "accepted", is("Accepted", metav1.ConditionTrue))
	second := c.replica("two")
	for end := time.Now().Add(patience); !second.Ready(); {
		if time.Now().After(end) {
			t.Fatal("the second replica has not read the cluster")
		}
		c.get("Gateway", "egress") // which takes a moment
	}
	if !first.Leads() || second.Leads() {
		t.Fatalf("the first leads: %t, the second: %t", first.Leads(), second.Leads())
	}
	first.end()
	c.apply(strings.Replace(manifests, "port: 8080, protocol: HTTP", "port: 8081, protocol: HTTP", 1))
	c.until("Gateway", "egress", "seen anew by the other", is("Accepted", metav1.ConditionTrue))
	if first.Leads() || !second.Leads() {
		t.Errorf("the first leads: %t, the second: %t", first.Leads(), second.Leads())
	}
}
