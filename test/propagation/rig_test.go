package propagation

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const (
	patience = 2 * time.Minute
	image    = "ebbgate.test/proxy:1"
	running  = "egress-ebbgate" // what Kubernetes has of the Gateway egress
)

var (
	classes   = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"}
	gateways  = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
	routesGVR = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is an API server with the real controller, and a real proxy that is believed to be in a Pod.
type rig struct {
	t                 *testing.T
	client            dynamic.Interface
	typed             kubernetes.Interface
	namespace         string
	address           string   // of the Gateway's listener
	folder            string   // with what proves proxy and controller to each other
	connect           []string // flags by which a proxy reaches the controller
	program           string   // the proxy's
	controller, proxy *command.Process

	owners []metav1.OwnerReference // of Pods, for each ten
}

func newRig(t *testing.T, server *apiserver.Server) *rig {
	r := &rig{t: t, namespace: server.Namespace(t)}
	config := server.Admin()
	config.QPS, config.Burst = 1000, 1000
	var err error
	r.client, err = dynamic.NewForConfig(config)
	must(t, err)
	r.typed, err = kubernetes.NewForConfig(config)
	must(t, err)
	folder, ports := t.TempDir(), testkit.Ports(t, 2)
	r.address = "127.0.0.1:" + strconv.Itoa(ports[0])
	r.create(classes, map[string]any{"kind": "GatewayClass", "metadata": map[string]any{"name": "ebbgate"}, "spec": map[string]any{"controllerName": "ebbgate.dev/egress-gateway"}})
	r.create(gateways, map[string]any{"kind": "Gateway", "metadata": map[string]any{"name": "egress"}, "spec": map[string]any{
		"gatewayClassName": "ebbgate", "listeners": []any{map[string]any{"name": "http", "port": int64(ports[0]), "protocol": "HTTP"}},
	}})
	binary, err := command.Build(t.Context(), folder)
	must(t, err)
	r.controller = command.Start(t, binary, nil, "controller", "--kubeconfig", kubeconfig(t, folder, config), "--proxy-image", image,
		"--namespace", r.namespace, "--identity", "one", "--address=", "--listen", "127.0.0.1:"+strconv.Itoa(ports[1]), "--admin=", "--health=")
	r.program, err = command.BuildOf(t.Context(), folder, "ebbgate-proxy")
	must(t, err)
	r.folder = folder
	r.credentials(folder)
	r.connect = []string{"--controller", "127.0.0.1:" + strconv.Itoa(ports[1]), "--controller-name", "ebbgate-controller." + r.namespace + ".svc",
		"--controller-ca", filepath.Join(folder, "ca.crt"), "--token", filepath.Join(folder, "token")}
	r.proxy = r.start()
	r.proxy.Await(t, "plan taken")
	return r
}

// start starts a proxy.
func (r *rig) start() *command.Process {
	r.t.Helper()
	return command.Start(r.t, r.program, nil, append([]string{"--gateway", r.namespace + "/egress", "--admin=", "--health=", "--access-log", filepath.Join(r.folder, "access.log")}, r.connect...)...)
}

// kubeconfig writes how the API server is reached.
func kubeconfig(t *testing.T, folder string, c *rest.Config) string {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthority: c.CAFile, CertificateAuthorityData: c.CAData}
	file.AuthInfos["u"] = &clientcmdapi.AuthInfo{
		Token: c.BearerToken, ClientCertificate: c.CertFile, ClientKey: c.KeyFile, ClientCertificateData: c.CertData, ClientKeyData: c.KeyData,
	}
	file.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	file.CurrentContext = "c"
	path := filepath.Join(folder, "kubeconfig")
	must(t, clientcmd.WriteToFile(*file, path))
	return path
}

func (r *rig) create(resource schema.GroupVersionResource, object map[string]any) {
	r.t.Helper()
	u := &unstructured.Unstructured{Object: object}
	u.SetAPIVersion(resource.GroupVersion().String())
	var in dynamic.ResourceInterface = r.client.Resource(resource)
	if resource != classes {
		in = r.client.Resource(resource).Namespace(r.namespace)
	}
	_, err := in.Create(r.t.Context(), u, metav1.CreateOptions{})
	must(r.t, err)
}

// credentials are what the kubelet would mount into the proxy's Pod, which nothing but the API server knows of.
func (r *rig) credentials(folder string) {
	r.t.Helper()
	ctx := r.t.Context()
	var d *appsv1.Deployment
	for end := time.Now().Add(patience); d == nil; {
		found, err := r.typed.AppsV1().Deployments(r.namespace).Get(ctx, running, metav1.GetOptions{})
		if err == nil {
			d = found
		} else if time.Now().After(end) {
			r.t.Fatal(err)
		}
	}
	set, err := r.typed.AppsV1().ReplicaSets(r.namespace).Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: running + "-1", OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	}, metav1.CreateOptions{})
	must(r.t, err)
	pod, err := r.typed.CoreV1().Pods(r.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: running + "-1-1", Labels: d.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: d.Spec.Template.Spec,
	}, metav1.CreateOptions{})
	must(r.t, err)
	token, err := r.typed.CoreV1().ServiceAccounts(r.namespace).CreateToken(ctx, running, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{plan.TokenAudience}, BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}, metav1.CreateOptions{})
	must(r.t, err)
	trust, err := r.typed.CoreV1().ConfigMaps(r.namespace).Get(ctx, running, metav1.GetOptions{})
	must(r.t, err)
	must(r.t, os.WriteFile(filepath.Join(folder, "token"), []byte(token.Status.Token), 0o600))
	must(r.t, os.WriteFile(filepath.Join(folder, "ca.crt"), []byte(trust.Data["ca.crt"]), 0o600))
}

// cost is what a process has used.
type cost struct {
	cpu    time.Duration
	memory int // MiB, resident
}

// costOf reads it from /proc (proc(5)).
func costOf(t *testing.T, p *command.Process) cost {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	must(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] { // utime and stime, 100 to the second
		n, err := strconv.Atoi(f)
		must(t, err)
		ticks += n
	}
	pages, err := strconv.Atoi(fields[21])
	must(t, err)
	return cost{time.Duration(ticks) * 10 * time.Millisecond, pages * os.Getpagesize() >> 20}
}
