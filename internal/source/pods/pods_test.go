package pods

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

var suite apiserver.Suite

func TestMain(m *testing.M) {
	suite.Tests = m
	goleak.VerifyTestMain(&suite)
}

// cluster is a namespace of a real API server, and what a Watcher that may do what Rules say tells of it.
type cluster struct {
	*testing.T
	admin     kubernetes.Interface
	namespace string
	changes   chan map[string]*plan.Workload
	known     map[string]*plan.Workload // of the namespace
}

func newCluster(t *testing.T) (*cluster, *Watcher) {
	t.Helper()
	server := suite.Server(t)
	c := &cluster{T: t, namespace: server.Namespace(t), changes: make(chan map[string]*plan.Workload, 1000), known: map[string]*plan.Workload{}}
	var err error
	c.admin, err = kubernetes.NewForConfig(server.Admin())
	c.must(err)
	account := server.ServiceAccount(t, c.namespace, "controller")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}, Rules: Rules()}
	_, err = c.admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	c.must(err)
	_, err = c.admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: c.namespace, Name: "controller"}},
	}, metav1.CreateOptions{})
	c.must(err)
	client, err := kubernetes.NewForConfig(account)
	c.must(err)
	objects, err := metadata.NewForConfig(account)
	c.must(err)
	return c, New(Config{Client: client, Metadata: objects, Logger: slog.New(slog.DiscardHandler)})
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) run(w *Watcher) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, func(list map[string]*plan.Workload) { c.changes <- list })
	}()
	c.Cleanup(func() { cancel(); <-done })
}

// until waits until the known Pods of the namespace are these.
func (c *cluster) until(want ...plan.Workload) {
	c.Helper()
	named := map[string]*plan.Workload{}
	for _, w := range want {
		w.Name = "Pod/" + c.namespace + "/" + w.Name
		named[w.Name] = &w
	}
	diff := ""
	for late := time.After(30 * time.Second); ; {
		options := cmp.Options{cmpopts.IgnoreFields(plan.Workload{}, "UID"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}
		if diff = cmp.Diff(named, c.known, options); diff == "" {
			return
		}
		select {
		case list := <-c.changes:
			for name, workload := range list {
				switch {
				case workload == nil:
					delete(c.known, name)
				case workload.Namespace() == c.namespace:
					c.known[name] = workload
				}
			}
		case <-late:
			c.Fatal(diff)
		}
	}
}

// spec is a Pod as a test wants it.
type spec struct {
	name, node, account string
	host                bool
	addresses           []string
	owner               *metav1.OwnerReference
	finalizer           string
}

func (c *cluster) pod(s spec) *corev1.Pod {
	c.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: corev1.PodSpec{
			NodeName: s.node, ServiceAccountName: s.account, HostNetwork: s.host,
			Containers: []corev1.Container{{Name: "c", Image: "example.test/c:1"}},
		},
	}
	if s.owner != nil {
		p.OwnerReferences = []metav1.OwnerReference{*s.owner}
	}
	if s.finalizer != "" {
		p.Finalizers = []string{s.finalizer}
	}
	p, err := c.admin.CoreV1().Pods(c.namespace).Create(c.Context(), p, metav1.CreateOptions{})
	c.must(err)
	p.Status.Phase, p.Status.HostIP = corev1.PodRunning, "192.0.2.1"
	p.Status.HostIPs = []corev1.HostIP{{IP: "192.0.2.1"}, {IP: "2001:db8::1"}}
	for _, a := range s.addresses {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a})
	}
	if len(s.addresses) > 0 {
		p.Status.PodIP = s.addresses[0]
	}
	p, err = c.admin.CoreV1().Pods(c.namespace).UpdateStatus(c.Context(), p, metav1.UpdateOptions{})
	c.must(err)
	return p
}

// finish has a Pod come to its end, as the kubelet says it: object and address stay.
func (c *cluster) finish(name string, phase corev1.PodPhase) {
	c.Helper()
	p, err := c.admin.CoreV1().Pods(c.namespace).Get(c.Context(), name, metav1.GetOptions{})
	c.must(err)
	p.Status.Phase = phase
	_, err = c.admin.CoreV1().Pods(c.namespace).UpdateStatus(c.Context(), p, metav1.UpdateOptions{})
	c.must(err)
}

func (c *cluster) delete(name string, grace int64) {
	c.Helper()
	c.must(c.admin.CoreV1().Pods(c.namespace).Delete(c.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &grace}))
}

func madeBy(kind, version string, m metav1.ObjectMeta) *metav1.OwnerReference {
	yes := true
	return &metav1.OwnerReference{APIVersion: version, Kind: kind, Name: m.Name, UID: m.UID, Controller: &yes}
}

func (c *cluster) replicaSet(name string, of *metav1.OwnerReference) metav1.ObjectMeta {
	c.Helper()
	labels := map[string]string{"app": name}
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.test/c:1"}}},
		}},
	}
	if of != nil {
		set.OwnerReferences = []metav1.OwnerReference{*of}
	}
	set, err := c.admin.AppsV1().ReplicaSets(c.namespace).Create(c.Context(), set, metav1.CreateOptions{})
	c.must(err)
	return set.ObjectMeta
}

func (c *cluster) job(name string, of *metav1.OwnerReference) metav1.ObjectMeta {
	c.Helper()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{*of}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "example.test/c:1"}},
		}}},
	}
	job, err := c.admin.BatchV1().Jobs(c.namespace).Create(c.Context(), job, metav1.CreateOptions{})
	c.must(err)
	return job.ObjectMeta
}

func at(list ...string) []netip.Addr {
	var addresses []netip.Addr
	for _, text := range list {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses
}

// TestPodsComeAndGo follows Pods from their node to their end.
func TestPodsComeAndGo(t *testing.T) {
	c, w := newCluster(t)
	_, err := c.admin.CoreV1().ServiceAccounts(c.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{})
	c.must(err)
	deployment := madeBy("Deployment", "apps/v1", metav1.ObjectMeta{Name: "web", UID: "d"})
	set := c.replicaSet("web-1", deployment)
	first := c.pod(spec{name: "web-1-a", node: "n", account: "web", addresses: []string{"10.1.0.1", "fd00::1"}, owner: madeBy("ReplicaSet", "apps/v1", set)})
	c.pod(spec{name: "agent", node: "n", host: true, addresses: []string{"192.0.2.1"}})
	c.pod(spec{name: "waits"})
	c.pod(spec{name: "failed", node: "n", addresses: []string{"10.1.0.9"}})
	c.finish("failed", corev1.PodFailed)
	c.run(w)
	web := plan.Workload{Name: "web-1-a", ServiceAccount: "web", Owner: "Deployment/web", Addresses: at("10.1.0.1", "fd00::1")}
	agent := plan.Workload{Name: "agent", ServiceAccount: "default"}
	c.until(web, agent)
	if known := c.known["Pod/"+c.namespace+"/web-1-a"]; known.UID != string(first.UID) {
		t.Errorf("UID %q, want %q", known.UID, first.UID)
	}
	if known := c.known["Pod/"+c.namespace+"/waits"]; known != nil {
		t.Errorf("a Pod without a node is known: %+v", known)
	}

	// Who made it may be heard of later; an address of the node's is nobody's.
	yes := true
	job := c.job("nightly-1", &metav1.OwnerReference{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: "c", Controller: &yes})
	c.pod(spec{name: "nightly-1-a", node: "n", addresses: []string{"10.1.0.2", "2001:db8::1"}, owner: madeBy("Job", "batch/v1", job)})
	c.pod(spec{name: "db-0", node: "n", addresses: []string{"10.1.0.3"}, owner: madeBy("StatefulSet", "apps/v1", metav1.ObjectMeta{Name: "db", UID: "s"})})
	c.pod(spec{name: "orphan", node: "n", addresses: []string{"10.1.0.4"}, owner: madeBy("ReplicaSet", "apps/v1", metav1.ObjectMeta{Name: "web-1", UID: "another"})})
	nightly := plan.Workload{Name: "nightly-1-a", ServiceAccount: "default", Owner: "CronJob/nightly", Addresses: at("10.1.0.2")}
	db := plan.Workload{Name: "db-0", ServiceAccount: "default", Owner: "StatefulSet/db", Addresses: at("10.1.0.3")}
	orphan := plan.Workload{Name: "orphan", ServiceAccount: "default", Owner: "ReplicaSet/web-1", Addresses: at("10.1.0.4")}
	c.until(web, agent, nightly, db, orphan)

	// Ending, then gone.
	c.delete("web-1-a", 600)
	web.Ending = true
	c.until(web, agent, nightly, db, orphan)
	c.delete("web-1-a", 0)
	c.until(agent, nightly, db, orphan)

	// At its end it is gone, though the object stays, with an address that is another's by now.
	c.finish("nightly-1-a", corev1.PodSucceeded)
	c.until(agent, db, orphan)
	c.pod(spec{name: "successor", node: "n", addresses: []string{"10.1.0.2"}})
	successor := plan.Workload{Name: "successor", ServiceAccount: "default", Addresses: at("10.1.0.2")}
	c.until(agent, db, orphan, successor)
	if left, err := c.admin.CoreV1().Pods(c.namespace).Get(t.Context(), "nightly-1-a", metav1.GetOptions{}); err != nil || left.Status.PodIP != "10.1.0.2" {
		t.Errorf("the former does not have it, and nothing was tested: %v", err)
	}
	c.finish("db-0", corev1.PodFailed)
	c.until(agent, orphan, successor)
	c.pod(spec{name: "db-1", node: "n", addresses: []string{"10.1.0.3"}})
	db = plan.Workload{Name: "db-1", ServiceAccount: "default", Addresses: at("10.1.0.3")}
	c.until(agent, db, orphan, successor)

	// Its time is over, and somebody holds the object.
	c.pod(spec{name: "held", node: "n", addresses: []string{"10.1.0.5"}, finalizer: "example.test/hold"})
	held := plan.Workload{Name: "held", ServiceAccount: "default", Addresses: at("10.1.0.5")}
	c.until(agent, db, orphan, successor, held)
	c.delete("held", 1)
	c.until(agent, db, orphan, successor)
	if _, err := c.admin.CoreV1().Pods(c.namespace).Get(t.Context(), "held", metav1.GetOptions{}); err != nil {
		t.Errorf("the object is gone, and nothing was tested: %v", err)
	}
}
