package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const limited = `apiVersion: ebbgate.dev/v1alpha1
kind: GatewayParameters
metadata: {name: ceiling}
spec:
  deployment: {autoscaling: {min: 1, max: 3}, nodeSelector: {pool: egress}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: limited}
spec:
  controllerName: ebbgate.dev/egress-gateway
  parametersRef: {group: ebbgate.dev, kind: GatewayParameters, name: ceiling, namespace: %s}
---
apiVersion: ebbgate.dev/v1alpha1
kind: GatewayParameters
metadata: {name: greedy}
spec:
  deployment: {replicas: 50}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress}
spec:
  gatewayClassName: limited
  listeners: [{name: http, port: 8080, protocol: HTTP}]
  infrastructure:
    parametersRef: {group: ebbgate.dev, kind: GatewayParameters, name: greedy}
`

// TestClassCeiling: what runs keeps to the ceiling of the class, also while that is gone.
func TestClassCeiling(t *testing.T) {
	c := newCluster(t)
	text := fmt.Sprintf(limited, c.namespace)
	c.apply(text)
	t.Cleanup(func() {
		must(t, c.client.Resource(resources["GatewayClass"]).Delete(context.WithoutCancel(t.Context()), "limited", metav1.DeleteOptions{}))
	})
	c.replica("one")
	c.until("GatewayClass", "limited", "accepted", is("Accepted", metav1.ConditionTrue))
	within := func(n int64) func(*unstructured.Unstructured) bool {
		return func(u *unstructured.Unstructured) bool {
			pool, _, _ := unstructured.NestedString(u.Object, "spec", "template", "spec", "nodeSelector", "pool")
			return replicas(n)(u) && pool == "egress"
		}
	}
	c.until("Deployment", "egress-limited", "at the ceiling", within(3))
	gateway := c.until("Gateway", "egress", "limited", is("ebbgate.dev/Limited", metav1.ConditionTrue))
	said := meta.FindStatusCondition(conditions(gateway), "ebbgate.dev/Limited")
	for _, part := range []string{"spec.deployment.replicas", "50 is above 3", "GatewayParameters " + c.namespace + "/ceiling"} {
		if !strings.Contains(said.Message, part) {
			t.Errorf("it does not say %q: %s", part, said.Message)
		}
	}
	if err := c.of("GatewayParameters").Delete(t.Context(), "ceiling", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	class := c.until("GatewayClass", "limited", "without its parameters", is("Accepted", metav1.ConditionFalse))
	if reason := meta.FindStatusCondition(conditions(class), "Accepted").Reason; reason != "InvalidParameters" {
		t.Errorf("reason %s", reason)
	}
	c.apply(strings.Replace(text[strings.Index(text, "name: greedy")-len("apiVersion: ebbgate.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {"):], "replicas: 50", "replicas: 2", 1))
	c.until("Deployment", "egress-limited", "within what was", within(2))
	c.until("Gateway", "egress", "no longer limited", func(u *unstructured.Unstructured) bool {
		return meta.FindStatusCondition(conditions(u), "ebbgate.dev/Limited") == nil && is("Accepted", metav1.ConditionTrue)(u)
	})
}
