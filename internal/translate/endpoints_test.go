package translate

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/source"
)

// spread puts EndpointSlices of a Service web, of 1,000 addresses each that begin with a prefix.
func spread(s *source.Snapshot, prefix string, count int) {
	for n := range count {
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "ai", Name: fmt.Sprintf("web-%s%d", prefix, n), Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
		}
		for i := range 1000 {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("%s.%d.%d", prefix, 4*n+i/250, i%250)}})
		}
		put(s, "EndpointSlice", slice)
	}
}

// TestEndpointsAreBounded: whatever a namespace writes into EndpointSlices, a port has so many addresses, the same ones each
// time, and so many problems.
func TestEndpointsAreBounded(t *testing.T) {
	const most, named = 10_000, 20
	for _, c := range []struct {
		title            string
		good, bad        int // thousands of addresses
		want             int
		refused, tooMany int // problems
	}{
		{"as many as there may be", 10, 0, most, 0, 0},
		{"more", 11, 0, most, 0, 1},
		{"what cannot be dialled", 1, 2, 1000, named, 0},
	} {
		s := estate(0)
		put(s, "Service", &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
		route := path("web", "/")
		route.Spec.Rules[0].BackendRefs[0].BackendObjectReference = gwapiv1.BackendObjectReference{Name: "web", Port: new(gwapiv1.PortNumber(80))}
		put(s, "HTTPRoute", route)
		spread(s, "10.0", c.good)
		spread(s, "169.254", c.bad)
		result := New(Config{Kinds: kinds()}).Apply(s)
		var got, first int
		for _, b := range result.Plan.Backends {
			if b.Name == "Service/ai/web:80" {
				got = len(b.Addresses)
				if b.Addresses[0].Address != "10.0.0.0" {
					first++
				}
			}
		}
		var refused, tooMany int
		for _, p := range result.Problems {
			switch p.Reason {
			case "AddressRefused":
				refused++
			case "TooManyEndpoints":
				tooMany++
				if p.Object != "Service/ai/web" || !p.Warning || !strings.Contains(p.Message, "11000 endpoints") {
					t.Errorf("%s: %+v", c.title, p)
				}
			}
		}
		if got != c.want || first != 0 || refused != c.refused || tooMany != c.tooMany {
			t.Errorf("%s: %d addresses, %d refused, %d times too many; want %d, %d, %d", c.title, got, refused, tooMany, c.want, c.refused, c.tooMany)
		}
	}
}
