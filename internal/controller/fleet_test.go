package controller

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/provision"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
)

const parameters = `apiVersion: ebbgate.dev/v1alpha1
kind: GatewayParameters
metadata: {name: egress}
spec:
  deployment: {replicas: 3}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: 8080, protocol: HTTP}]
  infrastructure:
    labels: {team: platform}
    parametersRef: {group: ebbgate.dev, kind: GatewayParameters, name: egress}
`

func (c *cluster) gone(kind, name string) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		_, err := c.of(kind).Get(c.t.Context(), name, metav1.GetOptions{})
		if errors.IsNotFound(err) {
			return
		}
		if err != nil || time.Now().After(end) {
			c.t.Fatalf("%s %s is there still: %v", kind, name, err)
		}
	}
}

func replicas(n int64) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool {
		is, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
		return is == n
	}
}

func waits(text string) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool {
		p := meta.FindStatusCondition(conditions(u), "Programmed")
		return p != nil && p.Status == metav1.ConditionFalse && strings.Contains(p.Message, text)
	}
}

// TestFleet: a Gateway gets proxies and addresses, keeps them whatever somebody does to them, and has none when it is
// another's.
func TestFleet(t *testing.T) {
	const name = "egress-ebbgate"
	c := newCluster(t)
	c.apply(manifests)
	c.replica("one")
	c.until("Deployment", name, "running", replicas(2))
	service := c.until("Service", name, "there", func(*unstructured.Unstructured) bool { return true })
	ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP")
	gateway := c.until("Gateway", "egress", "without ready proxies", waits("no proxy is ready (see the Pods of Deployment "+c.namespace+"/"+name+","))
	addresses, _, _ := unstructured.NestedSlice(gateway.Object, "status", "addresses")
	if len(addresses) != 2 || addresses[0].(map[string]any)["value"] != ip || addresses[1].(map[string]any)["value"] != name+"."+c.namespace+".svc.cluster.local" {
		t.Errorf("addresses %v, of a Service with %s", addresses, ip)
	}
	ready := []byte(`{"status":{"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}`)
	if _, err := c.of("Deployment").Patch(t.Context(), name, types.MergePatchType, ready, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	c.until("Gateway", "egress", "waiting for the proxies' word", waits("of 2 ready proxies 0 have taken"))

	c.apply(parameters)
	c.until("Deployment", name, "of three", func(u *unstructured.Unstructured) bool { return replicas(3)(u) && u.GetLabels()["team"] == "platform" })
	sidecar := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"example.com/other"}]}}}}`)
	if _, err := c.of("Deployment").Patch(t.Context(), name, types.MergePatchType, sidecar, metav1.PatchOptions{FieldManager: "kubectl-patch"}); err != nil {
		t.Fatal(err)
	}
	c.until("Deployment", name, "with the proxy alone", func(u *unstructured.Unstructured) bool {
		list, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
		return len(list) == 1 && list[0].(map[string]any)["name"] == "proxy"
	})
	if err := c.of("Service").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("Service", name, "made again", func(u *unstructured.Unstructured) bool { return u.GetUID() != service.GetUID() })
	c.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: another}
spec: {controllerName: example.com/other}
`)
	c.apply(strings.Replace(parameters, "gatewayClassName: ebbgate", "gatewayClassName: another", 1))
	c.gone("Deployment", name)
	c.gone("Service", name)
}

// TestHeld: a Gateway that cannot be accepted any longer keeps what runs of it, with its addresses, and is told to serve
// nothing; one that went to another's class while no controller ran has nothing left.
func TestHeld(t *testing.T) {
	const name = "egress-ebbgate"
	c := newCluster(t)
	c.apply(manifests)
	first := c.replica("one")
	service := c.until("Service", name, "there", func(*unstructured.Unstructured) bool { return true })
	c.until("Deployment", name, "running", replicas(2))
	pod := c.pod(c.set(name), nil)
	p := c.proxy(first, c.token(name, pod, plan.TokenAudience))
	gatewaysOf := func(want int) {
		t.Helper()
		p.until(t, fmt.Sprintf("%d Gateways", want), func(newest *plan.Plan) bool { return len(newest.Gateways) == want })
	}
	gatewaysOf(1)
	c.apply(parameters[strings.Index(parameters, "---\n")+4:]) // without the parameters that it names
	c.until("Gateway", "egress", "refused", is("Accepted", metav1.ConditionFalse))
	gatewaysOf(0)
	if c.get("Service", name).GetUID() != service.GetUID() || c.get("Deployment", name).GetDeletionTimestamp() != nil {
		t.Error("what runs of it was not left")
	}
	first.end()
	c.apply(strings.Replace(manifests, "gatewayClassName: ebbgate", "gatewayClassName: another", 1))
	c.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: another}
spec: {controllerName: example.com/other}
`)
	c.replica("two")
	c.gone("Deployment", name)
	c.gone("Service", name)
}

// TestNameTaken: what is somebody else's stays so, and the Gateway says what is in its way.
func TestNameTaken(t *testing.T) {
	c := newCluster(t)
	c.apply(`apiVersion: v1
kind: Service
metadata: {name: egress-ebbgate, labels: {app: mine}}
spec: {ports: [{port: 80}]}
`)
	c.apply(manifests)
	c.replica("one")
	c.until("Gateway", "egress", "hindered", waits("egress-ebbgate is needed"))
	if u := c.get("Service", "egress-ebbgate"); u.GetLabels()["app"] != "mine" || len(u.GetOwnerReferences()) != 0 {
		t.Errorf("somebody's Service was taken over: %v", u.Object["metadata"])
	}
}

// TestConnectedProxies: as many may be connected as the parameters, the class's ceiling applied, bring about; of whose Deployment
// nothing is known nobody says.
func TestConnectedProxies(t *testing.T) {
	f := newFleets(provision.Config{}, "cluster.local", nil, slog.New(slog.DiscardHandler))
	of := func(name string) *gwapiv1.Gateway {
		return &gwapiv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: name}}
	}
	deployments := map[string]*v1alpha1.ProxyDeployment{
		"Gateway/ai/plain": nil, "Gateway/ai/many": {Replicas: new(int32(1000))}, "Gateway/ai/scaled": {Autoscaling: &v1alpha1.ProxyAutoscaling{Min: 1, Max: 101}},
	}
	s := &source.Snapshot{Objects: map[string]source.Object{"Gateway/ai/held": of("held")}}
	var served []*plan.Gateway
	for key := range deployments {
		name := strings.TrimPrefix(key, "Gateway/ai/")
		s.Objects[key] = of(name)
		served = append(served, &plan.Gateway{Name: "ai/" + name})
	}
	f.set(s, served, func(key string) *v1alpha1.GatewayParameters {
		return &v1alpha1.GatewayParameters{Spec: v1alpha1.GatewayParametersSpec{Deployment: deployments[key]}}
	})
	for name, want := range map[string]int{"ai/plain": fewest, "ai/many": 2 * 1250, "ai/scaled": 2 * (101 + 26), "ai/held": 0, "ai/none": 0} {
		if got := f.proxies(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestMadeAnew: of a Gateway that was deleted and made again between two looks nothing counts that ran of the former.
func TestMadeAnew(t *testing.T) {
	const key = "Gateway/ai/egress"
	f := newFleets(provision.Config{}, "cluster.local", nil, slog.New(slog.DiscardHandler))
	see := func(uid types.UID) map[string]*translate.Fleet {
		g := &gwapiv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "egress", UID: uid, Generation: 1}}
		s := &source.Snapshot{Objects: map[string]source.Object{key: g}}
		f.set(s, []*plan.Gateway{{Name: "ai/egress"}}, func(string) *v1alpha1.GatewayParameters { return nil })
		return f.observed(s)
	}
	see("former")
	f.applied[key], f.standings[key] = provision.Applied{}, standing{generation: 1}
	f.facts[key] = &translate.Fleet{Programmed: true}
	if facts := see("former"); facts[key] == nil || !facts[key].Programmed {
		t.Fatalf("the same Gateway: %v", facts)
	}
	facts := see("latter")
	_, applied := f.applied[key]
	_, stands := f.standings[key]
	if len(facts) > 0 || applied || stands {
		t.Errorf("another Gateway: facts %v, applied %v, standing %v", facts, applied, stands)
	}
}

// delayed is a queue that knows how long what is added waits.
type delayed struct {
	workqueue.TypedDelayingInterface[string]
	added map[string]time.Duration
}

func (q *delayed) Add(key string)                           { q.added[key] = 0 }
func (q *delayed) AddAfter(key string, after time.Duration) { q.added[key] = after }

// TestWhatIsTouchedIsGathered: who changes a Gateway's objects without end has them written at most so often.
func TestWhatIsTouchedIsGathered(t *testing.T) {
	yes := true
	of := func(kind string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "x", OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: "egress", Controller: &yes}}}}
	}
	for name, test := range map[string]struct {
		object any
		want   map[string]time.Duration
	}{
		"a Gateway's":                   {of("Gateway"), map[string]time.Duration{"Gateway/ai/egress": gathers}},
		"one whose deletion was missed": {cache.DeletedFinalStateUnknown{Obj: of("Gateway")}, map[string]time.Duration{"Gateway/ai/egress": gathers}},
		"another's":                     {of("Deployment"), map[string]time.Duration{}},
		"nobody's":                      {&corev1.ConfigMap{}, map[string]time.Duration{}},
	} {
		q := &delayed{added: map[string]time.Duration{}}
		if touch(q, test.object); !maps.Equal(q.added, test.want) {
			t.Errorf("%s: queued %v, want %v", name, q.added, test.want)
		}
	}
}

// TestWhatIsGoneIsForgotten: of a Gateway that could not be run, and is gone, no count of tries stays.
func TestWhatIsGoneIsForgotten(t *testing.T) {
	f := newFleets(provision.Config{}, "cluster.local", nil, slog.New(slog.DiscardHandler))
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry))
	defer queue.ShutDown()
	queue.AddRateLimited("Gateway/ai/gone")
	if f.try(t.Context(), provision.NewApplier(provision.Cluster{Client: fake.NewClientset()}), queue, "Gateway/ai/gone"); queue.NumRequeues("Gateway/ai/gone") != 0 {
		t.Error("its tries are still counted")
	}
}
