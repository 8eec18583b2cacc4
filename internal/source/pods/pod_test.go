package pods

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestMakersAreNamed: what whoever creates a Pod may say of its maker is kept, and told, within bounds.
func TestMakersAreNamed(t *testing.T) {
	yes, long := true, strings.Repeat("x", 254)
	for _, test := range []struct{ kind, name, want string }{
		{"Deployment", "web", "Deployment/web"},
		{"Deployment", long[:253], "Deployment/" + long[:253]},
		{"Deployment", long, ""},
		{long, "web", ""},
	} {
		from := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node"}}
		from.OwnerReferences = []metav1.OwnerReference{{Kind: test.kind, Name: test.name, Controller: &yes}}
		kept, err := slim(from)
		if err != nil {
			t.Fatal(err)
		}
		is := kept.(*pod)
		if w := is.workload(func(string, *owner) *owner { return nil }); w.Owner != test.want || (len(is.OwnerReferences) > 0) != (test.want != "") {
			t.Errorf("%.20s/%.20s: told of %q, kept %d", test.kind, test.name, w.Owner, len(is.OwnerReferences))
		}
	}
}

func TestAddresses(t *testing.T) {
	f := func(host bool, written []string, want ...string) {
		t.Helper()
		p := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: host}}
		p.Status.HostIP = "192.0.2.1"
		p.Status.HostIPs = []corev1.HostIP{{IP: "192.0.2.1"}, {IP: "2001:db8::1"}}
		for _, ip := range written {
			p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		if len(written) > 0 {
			p.Status.PodIP = written[0]
		}
		if got := addresses(p); !slices.Equal(got, at(want...)) {
			t.Errorf("%q: %v, want %v", written, got, want)
		}
	}
	f(false, nil)
	f(false, []string{"10.1.0.1"}, "10.1.0.1")
	f(false, []string{"10.1.0.1", "fd00::1"}, "10.1.0.1", "fd00::1")
	f(true, []string{"192.0.2.1"})
	f(true, []string{"10.1.0.1"})
	f(false, []string{"192.0.2.1", "2001:db8::1"})
	f(false, []string{"::ffff:192.0.2.1", "::ffff:10.1.0.1"}, "10.1.0.1")
	f(false, []string{"127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "", "x", "fe80::1%eth0", "10.1.0.1%x"})
	f(false, []string{"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"}, "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4")
}
