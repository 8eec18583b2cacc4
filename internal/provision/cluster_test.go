package provision

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

var suite apiserver.Suite

func TestMain(m *testing.M) { suite.Tests = m; goleak.VerifyTestMain(&suite) }

// cluster is a real API server, with a Gateway in a namespace, and an Applier that has the rights of Rules and no others.
type cluster struct {
	*testing.T
	admin   *kubernetes.Clientset
	config  *rest.Config
	applier *Applier
	gateway *gwapiv1.Gateway

	mu      sync.Mutex
	written []string
	before  func(*http.Request) // called before each request
}

func newCluster(t *testing.T) *cluster {
	server := suite.Server(t)
	namespace := server.Namespace(t)
	c := &cluster{T: t, config: server.Admin()}
	var err error
	c.admin, err = kubernetes.NewForConfig(server.Admin())
	c.must(err)
	account := server.ServiceAccount(t, namespace, "controller")
	_, err = c.admin.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "controller"}, Rules: Rules()}, metav1.CreateOptions{})
	c.must(err)
	_, err = c.admin.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "controller"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "controller"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "controller"}},
	}, metav1.CreateOptions{})
	c.must(err)
	account.Wrap(func(next http.RoundTripper) http.RoundTripper { return &recorder{cluster: c, next: next} })
	client, err := kubernetes.NewForConfig(account)
	c.must(err)
	c.applier = NewApplier(Cluster{Client: client})
	c.gateway = c.newGateway(namespace, "egress")
	return c
}

// recorder notes the requests that write.
type recorder struct {
	*cluster
	next http.RoundTripper
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	if r.before != nil {
		r.before(request)
	}
	if request.Method != http.MethodGet {
		r.mu.Lock()
		r.written = append(r.written, request.Method)
		r.mu.Unlock()
	}
	return r.next.RoundTrip(request)
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) newGateway(namespace, name string) *gwapiv1.Gateway {
	g := &gwapiv1.Gateway{
		TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       gwapiv1.GatewaySpec{GatewayClassName: "ebbgate", Listeners: []gwapiv1.Listener{{Name: "http", Port: 80, Protocol: gwapiv1.HTTPProtocolType}}},
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(g)
	c.must(err)
	client, err := dynamic.NewForConfig(c.config)
	c.must(err)
	made, err := client.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}).Namespace(namespace).
		Create(c.Context(), &unstructured.Unstructured{Object: fields}, metav1.CreateOptions{})
	c.must(err)
	g.UID = made.GetUID()
	return g
}

// apply gives what came of it, and how many requests wrote.
func (c *cluster) apply(spec v1alpha1.GatewayParametersSpec) (Applied, int) {
	c.Helper()
	objects, _ := Objects(c.gateway, &v1alpha1.GatewayParameters{Spec: spec}, config)
	c.written = nil
	applied, err := c.applier.Apply(c.Context(), c.gateway, objects)
	c.must(err)
	return applied, len(c.written)
}

func deployed(d v1alpha1.ProxyDeployment) v1alpha1.GatewayParametersSpec {
	return v1alpha1.GatewayParametersSpec{Deployment: &d}
}

func (c *cluster) same(what string, want, got any) {
	c.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("%s:\n%s", what, diff)
	}
}

func reasons(applied Applied) (list []string) {
	for _, p := range applied.Problems {
		list = append(list, p.Reason)
	}
	return list
}

// TestClusterSettles has an API server default what is applied: what it adds is no difference.
func TestClusterSettles(t *testing.T) {
	full := v1alpha1.ProxyDeployment{
		Resources:    &v1alpha1.ProxyResources{},
		NodeSelector: map[string]string{"pool": "egress"},
		Tolerations:  []corev1.Toleration{{Key: "pool", Value: "egress"}},
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{},
		}}}},
		TopologySpread: []v1alpha1.ProxySpread{{TopologyKey: "zone", MaxSkew: 2, WhenUnsatisfiable: corev1.DoNotSchedule}},
	}
	scaled := full
	scaled.Autoscaling = &v1alpha1.ProxyAutoscaling{Min: 2, Max: 5, CPU: 70}
	for _, c := range []struct {
		title string
		spec  v1alpha1.GatewayParametersSpec
		first int
	}{
		{"defaults", deployed(v1alpha1.ProxyDeployment{}), 6},
		{"all fields", deployed(full), 6},
		{"autoscaling", deployed(scaled), 7},
		{"a load balancer", v1alpha1.GatewayParametersSpec{Service: &v1alpha1.ProxyService{Type: v1alpha1.ProxyServiceLoadBalancer}}, 6},
	} {
		t.Run(c.title, func(t *testing.T) {
			w := newCluster(t)
			applied, written := w.apply(c.spec)
			w.same("problems", []string(nil), reasons(applied))
			w.same("written at first", c.first, written)
			_, written = w.apply(c.spec)
			w.same("written again", 0, written)
			_, written = w.apply(v1alpha1.GatewayParametersSpec{})
			if c.title != "defaults" && written == 0 {
				t.Error("nothing is written for other parameters")
			}
			_, written = w.apply(v1alpha1.GatewayParametersSpec{})
			w.same("written again for the defaults", 0, written)
			d, err := w.admin.AppsV1().Deployments(w.gateway.Namespace).Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
			w.must(err)
			if pod := d.Spec.Template.Spec; pod.NodeSelector != nil || pod.Affinity != nil || pod.Tolerations != nil || pod.TopologySpreadConstraints[0].TopologyKey != corev1.LabelHostname {
				t.Errorf("left of former parameters: %+v", pod)
			}
			if _, err := w.applier.Apply(t.Context(), w.gateway, nil); err != nil {
				t.Error(err)
			}
			services, err := w.admin.CoreV1().Services(w.gateway.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: Selector().String()})
			w.must(err)
			if len(services.Items) > 0 {
				t.Errorf("left: %v", services.Items)
			}
		})
	}
}

// TestClusterAddresses has an API server give and refuse addresses, of 10.96.0.0/16.
func TestClusterAddresses(t *testing.T) {
	w := newCluster(t)
	ask := func(addresses ...string) (Applied, []string, []string) {
		t.Helper()
		w.gateway.Spec.Addresses = nil
		for _, a := range addresses {
			w.gateway.Spec.Addresses = append(w.gateway.Spec.Addresses, gwapiv1.GatewaySpecAddress{Value: a})
		}
		applied, _ := w.apply(v1alpha1.GatewayParametersSpec{})
		where, problems := Addresses(w.gateway, applied.Service, "cluster.local")
		var values []string
		for _, a := range where {
			values = append(values, a.Value)
		}
		return applied, values, append(reasons(applied), reasons(Applied{Problems: problems})...)
	}
	applied, values, problems := ask("192.0.2.1")
	if applied.Service != nil || len(values) > 0 {
		t.Errorf("out of range: %v, %v", applied.Service, values)
	}
	w.same("out of range", []string{"AddressNotUsable"}, problems)

	applied, values, problems = ask("10.96.7.7")
	w.same("in range: problems", []string(nil), problems)
	w.same("in range", []string{"10.96.7.7"}, values)
	first := applied.Service

	applied, values, problems = ask("192.0.2.1")
	w.same("then out of range: the Service stays", first.UID, applied.Service.UID)
	w.same("then out of range", []string(nil), values)
	w.same("then out of range: problems", []string{"AddressNotUsable", "AddressNotUsable"}, problems)

	applied, values, problems = ask("10.96.7.8")
	w.same("another in range: problems", []string(nil), problems)
	w.same("another in range", []string{"10.96.7.8"}, values)
	if applied.Service.UID == first.UID {
		t.Error("the Service is the same")
	}

	_, values, problems = ask()
	w.same("any: problems", []string(nil), problems)
	w.same("any: the address stays", []string{"10.96.7.8", fmt.Sprintf("egress-ebbgate.%s.svc.cluster.local", w.gateway.Namespace)}, values)

	other := w.newGateway(w.gateway.Namespace, "other")
	other.Spec.Addresses = []gwapiv1.GatewaySpecAddress{{Value: "10.96.7.8"}}
	w.gateway = other
	applied, _ = w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("another's", []string{"AddressNotUsable"}, reasons(applied))
}

func TestClusterTypes(t *testing.T) {
	w := newCluster(t)
	balanced := v1alpha1.GatewayParametersSpec{Service: &v1alpha1.ProxyService{Type: v1alpha1.ProxyServiceLoadBalancer}}
	inside := v1alpha1.GatewayParametersSpec{}
	for _, spec := range []v1alpha1.GatewayParametersSpec{inside, balanced, inside} {
		applied, _ := w.apply(spec)
		w.same("problems", []string(nil), reasons(applied))
		_, written := w.apply(spec)
		w.same("written again", 0, written)
	}
}

func TestClusterAutoscaling(t *testing.T) {
	w := newCluster(t)
	replicas := func() int32 {
		t.Helper()
		d, err := w.admin.AppsV1().Deployments(w.gateway.Namespace).Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
		w.must(err)
		return *d.Spec.Replicas
	}
	scaled := v1alpha1.ProxyDeployment{Autoscaling: &v1alpha1.ProxyAutoscaling{Min: 2, Max: 9, CPU: 70}}
	w.apply(deployed(v1alpha1.ProxyDeployment{Replicas: new(int32(3))}))
	w.apply(deployed(scaled))
	w.same("before the autoscaler has counted", int32(3), replicas())
	deployments := w.admin.AppsV1().Deployments(w.gateway.Namespace)
	scale, err := deployments.GetScale(t.Context(), "egress-ebbgate", metav1.GetOptions{})
	w.must(err)
	scale.Spec.Replicas = 7
	_, err = deployments.UpdateScale(t.Context(), "egress-ebbgate", scale, metav1.UpdateOptions{FieldManager: "kube-controller-manager"})
	w.must(err)
	_, written := w.apply(deployed(scaled))
	w.same("written after it has", 0, written)
	scaled.NodeSelector = map[string]string{"pool": "egress"}
	w.apply(deployed(scaled))
	w.same("its number", int32(7), replicas())
	w.apply(deployed(v1alpha1.ProxyDeployment{}))
	w.same("switched off", int32(2), replicas())
}

func TestClusterRefusals(t *testing.T) {
	w := newCluster(t)
	_, err := w.admin.CoreV1().ServiceAccounts(w.gateway.Namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "egress-ebbgate"}}, metav1.CreateOptions{})
	w.must(err)
	applied, _ := w.apply(deployed(v1alpha1.ProxyDeployment{Tolerations: []corev1.Toleration{{Operator: "Never"}}}))
	w.same("problems", []string{"NameTaken", "Invalid"}, reasons(applied))
	for _, p := range applied.Problems {
		t.Log(p)
	}
	theirs, err := w.admin.CoreV1().ServiceAccounts(w.gateway.Namespace).Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
	w.must(err)
	if len(theirs.OwnerReferences)+len(theirs.Labels) > 0 {
		t.Errorf("taken over: %+v", theirs)
	}
}

// TestClusterPodIsRestricted asks the API server whether the proxies' Pods are what the strictest standard has them be.
func TestClusterPodIsRestricted(t *testing.T) {
	w := newCluster(t)
	namespace, err := w.admin.CoreV1().Namespaces().Get(t.Context(), w.gateway.Namespace, metav1.GetOptions{})
	w.must(err)
	namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	_, err = w.admin.CoreV1().Namespaces().Update(t.Context(), namespace, metav1.UpdateOptions{})
	w.must(err)
	w.apply(v1alpha1.GatewayParametersSpec{})
	d, err := w.admin.AppsV1().Deployments(w.gateway.Namespace).Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
	w.must(err)
	pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
	pod.GenerateName = "egress-"
	_, err = w.admin.CoreV1().Pods(w.gateway.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	w.must(err)
	pod.Spec.HostNetwork = true
	if _, err = w.admin.CoreV1().Pods(w.gateway.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err == nil {
		t.Error("nothing is enforced")
	}
}

// TestClusterKeepsWhatAppearsMeanwhile applies to an object that another has replaced since it was judged.
func TestClusterKeepsWhatAppearsMeanwhile(t *testing.T) {
	w := newCluster(t)
	applied, _ := w.apply(v1alpha1.GatewayParametersSpec{})
	fields, err := encode(applied.Service)
	w.must(err)
	fields["apiVersion"], fields["kind"] = "v1", "Service"
	unstructured.RemoveNestedField(fields, "metadata", "managedFields")
	unstructured.RemoveNestedField(fields, "metadata", "resourceVersion")
	former := applied.Service.DeepCopy()
	former.UID = "another"
	for _, k := range w.applier.kinds {
		if k.name != "Service" {
			continue
		}
		if _, wrong, err := w.applier.write(t.Context(), w.gateway, k, fields, former); err == nil || wrong != nil {
			t.Errorf("another UID: %v, %v", wrong, err)
		} else {
			t.Log(err)
		}
	}
}
