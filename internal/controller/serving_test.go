package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ebbgate/ebbgate/internal/distribute"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/report"
)

// typed are the clients of what runs.
func (c *cluster) typed() kubernetes.Interface {
	c.t.Helper()
	clients, err := kubernetes.NewForConfig(c.server.Admin())
	must(c.t, err)
	return clients
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// set is what Kubernetes makes of a Deployment, which nothing does on an API server alone.
func (c *cluster) set(deployment string) *appsv1.ReplicaSet {
	c.t.Helper()
	d, err := c.typed().AppsV1().Deployments(c.namespace).Get(c.t.Context(), deployment, metav1.GetOptions{})
	must(c.t, err)
	set, err := c.typed().AppsV1().ReplicaSets(c.namespace).Create(c.t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: deployment + "-", Labels: d.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	}, metav1.CreateOptions{})
	must(c.t, err)
	return set
}

// pod is what Kubernetes makes of a ReplicaSet, changed.
func (c *cluster) pod(set *appsv1.ReplicaSet, change func(*corev1.Pod)) *corev1.Pod {
	c.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: set.Name + "-", Labels: set.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	if change != nil {
		change(pod)
	}
	made, err := c.typed().CoreV1().Pods(c.namespace).Create(c.t.Context(), pod, metav1.CreateOptions{})
	must(c.t, err)
	return made
}

// token is what the kubelet mounts into a Pod; of no Pod where that is nil.
func (c *cluster) token(account string, pod *corev1.Pod, audience string) string {
	c.t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	made, err := c.typed().CoreV1().ServiceAccounts(c.namespace).CreateToken(c.t.Context(), account, request, metav1.CreateOptions{})
	must(c.t, err)
	return made.Status.Token
}

// proxy is what a Pod of ours does with what it is sent.
type proxy struct {
	plans   chan *plan.Plan
	hears   chan heard
	refuses atomic.Pointer[string]
	tells   atomic.Pointer[report.Report] // once; then of its backends alone
	stop    func()
}

// proxy connects to the controller that leads, as a Pod would with a token.
func (c *cluster) proxy(r *replica, token string) *proxy {
	c.t.Helper()
	config, err := c.typed().CoreV1().ConfigMaps(c.namespace).Get(c.t.Context(), "egress-ebbgate", metav1.GetOptions{})
	must(c.t, err)
	folder := c.t.TempDir()
	must(c.t, os.WriteFile(filepath.Join(folder, "ca.crt"), []byte(config.Data["ca.crt"]), 0o600))
	must(c.t, os.WriteFile(filepath.Join(folder, "token"), []byte(token), 0o600))
	p := &proxy{plans: make(chan *plan.Plan, 100), hears: make(chan heard, 100)}
	client, err := distribute.NewClient(distribute.ClientConfig{
		Address: r.address(c.t), ServerName: "ebbgate-controller." + c.namespace + ".svc",
		CA: filepath.Join(folder, "ca.crt"), Token: filepath.Join(folder, "token"), Logger: slog.New(slog.DiscardHandler),
		Configs: func(kind string) any {
			for _, k := range order.Kinds() {
				if k.Name == kind {
					return k.Config()
				}
			}
			return nil
		},
		Workloads: func(changed map[string]*plan.Workload, whole bool) {
			select {
			case p.hears <- heard{changed, whole}:
			default: // of a test that does not look
			}
		},
		Update: func(_ context.Context, newest *plan.Plan) error {
			p.plans <- newest
			if why := p.refuses.Load(); why != nil {
				return fmt.Errorf("%s", *why)
			}
			return nil
		},
		Report: func() *report.Report {
			told := p.tells.Load()
			if told == nil {
				return &report.Report{}
			}
			p.tells.CompareAndSwap(told, &report.Report{Backends: told.Backends})
			return told
		},
		ReportEvery: 10 * time.Millisecond,
		Backoff:     50 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	})
	must(c.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { client.Run(ctx) })
	p.stop = func() { cancel(); running.Wait() }
	c.t.Cleanup(p.stop)
	return p
}

// address is where a replica serves, once it does.
func (r *replica) address(t *testing.T) string {
	t.Helper()
	select {
	case address := <-r.serves:
		r.serves <- address
		return address.String()
	case <-time.After(patience):
		t.Fatal("the controller serves no proxies")
		return ""
	}
}

// until waits for a plan that is as it should be.
func (p *proxy) until(t *testing.T, what string, holds func(*plan.Plan) bool) {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case newest := <-p.plans:
			if holds(newest) {
				return
			}
		case <-late:
			t.Fatalf("no plan came with %s", what)
		}
	}
}

// readyOf says what the kubelet would say of a Deployment's Pods.
func (c *cluster) readyOf(deployment string, n int) {
	c.t.Helper()
	status := fmt.Appendf(nil, `{"status":{"replicas":%d,"updatedReplicas":%[1]d,"readyReplicas":%[1]d,"availableReplicas":%[1]d}}`, n)
	_, err := c.of("Deployment").Patch(c.t.Context(), deployment, types.MergePatchType, status, metav1.PatchOptions{}, "status")
	must(c.t, err)
}

func isProgrammed(u *unstructured.Unstructured) bool {
	return meta.IsStatusConditionTrue(conditions(u), "Programmed")
}

// TestProxiesAreTold: a proxy is sent what its Gateway has, the Gateway is Programmed once it has taken that, and says so
// where it could not; another controller that takes over changes nothing of that.
func TestProxiesAreTold(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	one := c.replica("one")
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	pod := c.pod(c.set("egress-ebbgate"), nil)
	p := c.proxy(one, c.token("egress-ebbgate", pod, plan.TokenAudience))
	select {
	case newest := <-p.plans:
		if len(newest.Gateways) != 1 || newest.Gateways[0].Name != c.namespace+"/egress" {
			t.Fatalf("plan of %v", newest.Gateways)
		}
	case <-time.After(patience):
		t.Fatal("no plan came")
	}
	c.until("Gateway", "egress", "without ready proxies", waits("no proxy is ready"))
	c.readyOf("egress-ebbgate", 1)
	c.until("Gateway", "egress", "programmed", isProgrammed)
	was := c.until("Gateway", "egress", "programmed", isProgrammed)
	two := c.replica("two")
	one.end()
	p.stop()
	p = c.proxy(two, c.token("egress-ebbgate", pod, plan.TokenAudience))
	select {
	case <-p.plans:
	case <-time.After(patience):
		t.Fatal("no plan came from the other")
	}
	if is := c.get("Gateway", "egress"); is.GetResourceVersion() != was.GetResourceVersion() {
		t.Errorf("the other says something else: %v", is.Object["status"])
	}
	why := "no memory for it"
	p.refuses.Store(&why)
	c.apply(strings.Replace(manifests, "port: 8080", "port: 8081", 1))
	c.until("Gateway", "egress", "refused by its proxy", waits("proxies could not take all of the configuration: "+why))
}

// TestServiceLeadsToIt: the replica that leads is behind the controller's Service, and again after that has been made anew,
// when Kubernetes takes the EndpointSlice away with the former one.
func TestServiceLeadsToIt(t *testing.T) {
	c := newCluster(t)
	ctx, stop := context.WithCancel(t.Context())
	s := &serving{
		client: c.typed(), namespace: c.namespace, service: "ebbgate-controller", address: "192.0.2.7",
		authority: &authority{trust: Trust{Check: 10 * time.Millisecond}}, logger: slog.New(slog.DiscardHandler),
	}
	c.apply("{apiVersion: v1, kind: Service, metadata: {name: ebbgate-controller}, spec: {ports: [{name: plan, port: 9443}]}}")
	var staying sync.WaitGroup
	defer staying.Wait()
	defer stop()
	staying.Go(func() { s.stay(ctx, &net.TCPAddr{Port: 9443}) })
	const slice = "ebbgate-controller-leader"
	first := c.until("EndpointSlice", slice, "there", func(*unstructured.Unstructured) bool { return true })
	must(t, c.of("EndpointSlice").Delete(t.Context(), slice, metav1.DeleteOptions{}))
	c.until("EndpointSlice", slice, "there again", func(u *unstructured.Unstructured) bool { return u.GetUID() != first.GetUID() })
}

// TestTokensTakeNobodysShare: whoever shows tokens, good or not, uses up the requests of nothing else to the API server.
func TestTokensTakeNobodysShare(t *testing.T) {
	made, err := New(Config{REST: &rest.Config{Host: "127.0.0.1:1"}, Namespace: "ebbgate-system", Service: "ebbgate-controller", Listen: ":9443", Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	judging := made.serving.admission.client.CoreV1().RESTClient().GetRateLimiter()
	for _, other := range []kubernetes.Interface{made.clients, made.fleets.client, made.serving.client} {
		if judging == nil || judging == other.CoreV1().RESTClient().GetRateLimiter() {
			t.Error("tokens are judged with the requests that running Gateways needs")
		}
	}
}

// counted counts requests.
type counted struct {
	http.RoundTripper
	asked atomic.Int64
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// TestATokenIsJudgedOnce: for all streams of a proxy, which begin together; one that was refused is judged anew.
func TestATokenIsJudgedOnce(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	r := c.replica("one")
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	r.address(t)
	token := c.token("egress-ebbgate", c.pod(c.set("egress-ebbgate"), nil), plan.TokenAudience)
	count := &counted{}
	config := rest.CopyConfig(c.server.Admin())
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { count.RoundTripper = next; return count })
	clients, err := kubernetes.NewForConfig(config)
	must(t, err)
	a := &admission{client: clients, proxy: r.serving.admission.proxy, ours: r.fleets.ours, refused: r.fleets.refused}
	var streams sync.WaitGroup
	for range 3 {
		streams.Go(func() {
			if gateway, err := a.authenticate(t.Context(), token); err != nil || gateway != c.namespace+"/egress" {
				t.Errorf("%q, %v", gateway, err)
			}
		})
	}
	streams.Wait()
	if n := count.asked.Load(); n != 4 {
		t.Errorf("%d requests: a token, a Pod, a ReplicaSet and a Deployment are 4", n)
	}
	for range 2 {
		before := count.asked.Load()
		if _, err := a.authenticate(t.Context(), "nonsense"); err == nil || count.asked.Load() != before+1 || len(a.judged) != 1 {
			t.Errorf("a token of nobody: %v, %d requests, %d are remembered", err, count.asked.Load()-before, len(a.judged))
		}
	}
}

// TestStrangers: a token is worth what its Pod is.
func TestStrangers(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	r := c.replica("one")
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	r.address(t)
	set := c.set("egress-ebbgate")
	const account = "egress-ebbgate"
	own := c.pod(set, nil)
	older := c.pod(set, func(p *corev1.Pod) {
		p.Spec.Containers[0].Image = "ebbgate.test/proxy@sha256:" + strings.Repeat("0", 64)
	})
	for _, admitted := range []*corev1.Pod{own, older} {
		gateway, err := r.serving.admission.authenticate(t.Context(), c.token(account, admitted, plan.TokenAudience))
		if err != nil || gateway != c.namespace+"/egress" {
			t.Errorf("a proxy of ours: %q, %v", gateway, err)
		}
	}
	container := func(change func(*corev1.Container)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { change(&p.Spec.Containers[0]) }
	}
	// the image has the certificates of public CAs
	elsewhere := []string{"/ebbgate-proxy", "--gateway", c.namespace + "/egress", "--controller", "stranger.example:443", "--controller-ca", "/etc/ssl/certs/ca-certificates.crt"}
	for name, change := range map[string]func(*corev1.Pod){
		"no owner":          func(p *corev1.Pod) { p.OwnerReferences = nil },
		"of no controller":  func(p *corev1.Pod) { *p.OwnerReferences[0].Controller = false },
		"former ReplicaSet": func(p *corev1.Pod) { p.OwnerReferences[0].UID = "5eb5b1f2-8d2f-4a3c-9a3e-000000000000" },
		"another image":     container(func(c *corev1.Container) { c.Image = "ebbgate.test/proxy-with-a-shell:1" }),
		"another command":   container(func(c *corev1.Container) { c.Command = []string{"sleep"} }),
		"more arguments":    container(func(c *corev1.Container) { c.Args = append(c.Args, "--pprof") }),
		"another Gateway":   container(func(c *corev1.Container) { c.Args[1] = "a/b" }),
		"environment":       container(func(c *corev1.Container) { c.Env = append(c.Env, corev1.EnvVar{Name: "GODEBUG", Value: "x=1"}) }),
		"a sidecar": func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "beside", Image: "beside"})
		},
		"a first container": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "before", Image: "before"}}
		},
		"its node's processes": func(p *corev1.Pod) { p.Spec.HostPID = true },
		"another controller":   container(func(c *corev1.Container) { c.Args[3] = "controller.stranger.example:443" }),
		"another ConfigMap":    func(p *corev1.Pod) { p.Spec.Volumes[0].Projected.Sources[1].ConfigMap.Name = "stranger" },
		"a Secret in its volume": func(p *corev1.Pod) {
			sources := &p.Spec.Volumes[0].Projected.Sources
			*sources = append(*sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "stranger"}}})
		},
		"another mount": container(func(c *corev1.Container) { c.VolumeMounts[0].MountPath = "/etc/ssl/certs" }),
		"a name of its own": func(p *corev1.Pod) {
			p.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.1", Hostnames: []string{"ebbgate-controller." + c.namespace + ".svc"}}}
		},
		"another name server": func(p *corev1.Pod) { p.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}} },
		"another domain":      func(p *corev1.Pod) { p.Spec.DNSConfig = &corev1.PodDNSConfig{Searches: []string{"stranger.example"}} },
		"a command at its start": container(func(c *corev1.Container) {
			c.Lifecycle.PostStart = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: elsewhere}}
		}),
		"a command at its end": container(func(c *corev1.Container) {
			c.Lifecycle.PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: elsewhere}}
		}),
		"a command as its probe": container(func(c *corev1.Container) {
			c.LivenessProbe.ProbeHandler = corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: elsewhere}}
		}),
		"its node's files": func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
		},
	} {
		gateway, err := r.serving.admission.authenticate(t.Context(), c.token(account, c.pod(set, change), plan.TokenAudience))
		if err == nil || gateway != "" {
			t.Errorf("%s: admitted to %q", name, gateway)
		}
	}
	_, err := c.typed().CoreV1().ServiceAccounts(c.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "stranger"}}, metav1.CreateOptions{})
	must(t, err)
	other := c.pod(set, func(p *corev1.Pod) {
		p.Spec.ServiceAccountName, p.Spec.Volumes[0].Projected.Sources[1].ConfigMap.Name = "stranger", "stranger"
	})
	if gateway, err := r.serving.admission.authenticate(t.Context(), c.token("stranger", other, plan.TokenAudience)); err == nil {
		t.Errorf("with a ServiceAccount and a ConfigMap of its own: admitted to %q", gateway)
	}
	c.until("Gateway", "egress", "telling of a Pod that is refused", waits("is refused: it"))
	deleted := c.pod(set, nil)
	late := c.token(account, deleted, plan.TokenAudience)
	var now int64
	must(t, c.typed().CoreV1().Pods(c.namespace).Delete(t.Context(), deleted.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	for name, token := range map[string]string{
		"another audience": c.token(account, own, "https://kubernetes.default.svc"),
		"of no Pod":        c.token(account, nil, plan.TokenAudience),
		"a gone Pod":       late,
		"none of anybody":  "eyJhbGciOiJub25lIn0.e30.",
	} {
		if gateway, err := r.serving.admission.authenticate(t.Context(), token); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: admitted to %q, or quoted: %v", name, gateway, err)
		}
	}
	// What ran in a Pod before its image was changed may have shown the token to anybody.
	changed := c.pod(set, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "stranger.example/reader:1" })
	taken := c.token(account, changed, plan.TokenAudience)
	_, err = c.typed().CoreV1().Pods(c.namespace).Patch(t.Context(), changed.Name, types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"proxy","image":"ebbgate.test/proxy:1"}]}}`), metav1.PatchOptions{})
	must(t, err)
	running := func(image string, restarts int) {
		status := fmt.Sprintf(`{"status":{"containerStatuses":[{"name":"proxy","image":%q,"imageID":"","restartCount":%d}]}}`, image, restarts)
		_, err := c.typed().CoreV1().Pods(c.namespace).Patch(t.Context(), changed.Name, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status")
		must(t, err)
	}
	for _, refused := range []func(){func() {}, func() { running("stranger.example/reader:1", 0) }, func() { running("ebbgate.test/proxy:1", 1) }} {
		refused()
		if gateway, err := r.serving.admission.authenticate(t.Context(), taken); err == nil {
			t.Errorf("a Pod that has run something else: admitted to %q", gateway)
		}
	}
	running("ebbgate.test/proxy:1", 0) // it was changed before it ran, or in its resources
	if _, err := r.serving.admission.authenticate(t.Context(), taken); err != nil {
		t.Errorf("a Pod that has run the proxy alone: %v", err)
	}
	must(t, c.of("Gateway").Delete(t.Context(), "egress", metav1.DeleteOptions{}))
	for end := time.Now().Add(patience); ; {
		_, err := r.serving.admission.authenticate(t.Context(), c.token(account, own, plan.TokenAudience))
		if err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a proxy of a Gateway that is gone is admitted")
		}
	}
}
