package helm_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/provision"
)

// pod is one end of a connection inside the cluster.
type pod struct {
	namespace string
	labels    map[string]string
}

// provisioned is the Deployment of a Gateway's proxies.
func provisioned(t *testing.T) *appsv1.Deployment {
	t.Helper()
	gateway := &gwapiv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "egress", Name: "egress"},
		Spec:       gwapiv1.GatewaySpec{GatewayClassName: "ebbgate", Listeners: []gwapiv1.Listener{{Name: "http", Port: 8080, Protocol: gwapiv1.HTTPProtocolType}}},
	}
	objects, _ := provision.Objects(gateway, nil, provision.Config{Image: "proxy", Controller: "controller:9443"})
	for _, o := range objects {
		if d, ok := o.(*appsv1.Deployment); ok {
			return d
		}
	}
	t.Fatal("a Gateway has no Deployment")
	return nil
}

func matches(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(of))
}

// policies are those of deploy/networkpolicies.
func policies(t *testing.T) (objects []*unstructured.Unstructured, typed []*networkingv1.NetworkPolicy) {
	t.Helper()
	files, err := filepath.Glob("../networkpolicies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range parse(t, string(data)) {
			objects = append(objects, o)
			typed = append(typed, find[networkingv1.NetworkPolicy](t, []*unstructured.Unstructured{o}, "NetworkPolicy", o.GetName()))
		}
	}
	return objects, typed
}

// lets reports whether the policies of a Pod let it open a connection to a peer, or be reached by one, on a port.
func lets(t *testing.T, all []*networkingv1.NetworkPolicy, p pod, direction networkingv1.PolicyType, port int, to func([]networkingv1.NetworkPolicyPeer, string) bool) bool {
	t.Helper()
	bound := false
	for _, policy := range all {
		if policy.Namespace != p.namespace || !matches(t, &policy.Spec.PodSelector, p.labels) {
			continue
		}
		for _, kind := range policy.Spec.PolicyTypes {
			bound = bound || kind == direction
		}
		if direction == networkingv1.PolicyTypeEgress {
			for _, rule := range policy.Spec.Egress {
				if opens(rule.Ports, port) && to(rule.To, policy.Namespace) {
					return true
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Ingress {
			if opens(rule.Ports, port) && to(rule.From, policy.Namespace) {
				return true
			}
		}
	}
	return !bound
}

func opens(ports []networkingv1.NetworkPolicyPort, port int) bool {
	for _, p := range ports {
		if p.Port.IntValue() == port && *p.Protocol == corev1.ProtocolTCP {
			return true
		}
	}
	return len(ports) == 0
}

// within finds a Pod among peers, and outside an address.
func within(t *testing.T, p pod) func([]networkingv1.NetworkPolicyPeer, string) bool {
	return func(peers []networkingv1.NetworkPolicyPeer, own string) bool {
		for _, peer := range peers {
			if peer.IPBlock != nil {
				continue
			}
			if peer.NamespaceSelector == nil && p.namespace != own || peer.NamespaceSelector != nil && !matches(t, peer.NamespaceSelector, map[string]string{"kubernetes.io/metadata.name": p.namespace}) {
				continue
			}
			if peer.PodSelector == nil || matches(t, peer.PodSelector, p.labels) {
				return true
			}
		}
		return len(peers) == 0
	}
}

func outside(address string) func([]networkingv1.NetworkPolicyPeer, string) bool {
	a := netip.MustParseAddr(address)
	return func(peers []networkingv1.NetworkPolicyPeer, _ string) bool {
		for _, peer := range peers {
			if peer.IPBlock == nil || !netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(a) {
				continue
			}
			excepted := false
			for _, except := range peer.IPBlock.Except {
				excepted = excepted || netip.MustParsePrefix(except).Contains(a)
			}
			if !excepted {
				return true
			}
		}
		return len(peers) == 0
	}
}

// TestNetworkPolicies reads the policies as a network that enforces them does, with the labels that the Pods really have.
func TestNetworkPolicies(t *testing.T) {
	_, all := policies(t)
	workload := pod{"team-a", map[string]string{"app": "chat"}}
	proxy := pod{"egress", provisioned(t).Spec.Template.Labels}
	impostor := pod{"egress", map[string]string{"app": "chat"}}
	controller := pod{namespace, find[appsv1.Deployment](t, render(t), "Deployment", "ebbgate-controller").Spec.Template.Labels}
	dns := pod{"kube-system", map[string]string{"k8s-app": "kube-dns"}}
	prometheus := pod{"monitoring", map[string]string{"app": "prometheus"}}
	for _, c := range []struct {
		from, to pod
		port     int
		want     bool
	}{
		{workload, proxy, 8080, true},
		{workload, proxy, 9901, false},
		{workload, proxy, 9902, false},
		{workload, dns, 53, true},
		{workload, controller, 9443, false},
		{workload, workload, 8080, false},
		{workload, impostor, 8080, false},
		{proxy, controller, 9443, true},
		{proxy, controller, 9902, false},
		{proxy, dns, 53, true},
		{proxy, workload, 8080, false},
		{impostor, controller, 9443, false},
		{impostor, dns, 53, false},
		{prometheus, proxy, 9902, true},
		{prometheus, controller, 9902, true},
		{controller, proxy, 8080, false},
		{controller, dns, 53, false},
	} {
		got := lets(t, all, c.from, networkingv1.PolicyTypeEgress, c.port, within(t, c.to)) && lets(t, all, c.to, networkingv1.PolicyTypeIngress, c.port, within(t, c.from))
		if got != c.want {
			t.Errorf("%v to %v, port %d: let through %t, want %t", c.from, c.to, c.port, got, c.want)
		}
	}
	for _, c := range []struct {
		from    pod
		address string
		port    int
		want    bool
	}{
		{proxy, "203.0.113.7", 443, true},
		{proxy, "2001:db8::7", 443, true},
		{proxy, "203.0.113.7", 25, false},
		{proxy, "169.254.169.254", 443, false},
		{proxy, "64:ff9b::a9fe:a9fe", 443, false},
		{proxy, "fd00:ec2::254", 443, false},
		{proxy, "fe80::1", 443, false},
		{proxy, "10.96.0.1", 443, false},
		{workload, "203.0.113.7", 443, false},
		{workload, "169.254.169.254", 443, false},
		{impostor, "203.0.113.7", 443, false},
		{controller, "203.0.113.7", 443, false},
		{controller, "192.0.2.10", 6443, true},
	} {
		if got := lets(t, all, c.from, networkingv1.PolicyTypeEgress, c.port, outside(c.address)); got != c.want {
			t.Errorf("%v to %s, port %d: let through %t, want %t", c.from, c.address, c.port, got, c.want)
		}
	}
}

// TestNetworkPoliciesAreTaken has the API server judge them.
func TestNetworkPoliciesAreTaken(t *testing.T) {
	c := newCluster(t)
	c.put(t, object("v1", "Namespace", "egress", nil))
	objects, _ := policies(t)
	for _, o := range objects {
		in, err := c.of(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Create(t.Context(), o, metav1.CreateOptions{DryRun: dryRun, FieldValidation: metav1.FieldValidationStrict}); err != nil {
			t.Errorf("%s: %v", o.GetName(), err)
		}
	}
}
