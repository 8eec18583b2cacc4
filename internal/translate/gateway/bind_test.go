package gateway

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestOverlap(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		if overlap([]string{a}, []string{b}) != want || overlap([]string{b}, []string{"192.0.2.9", a}) != want {
			t.Errorf("%s and %s: want %v", a, b, want)
		}
	}
	f("127.0.0.1", "127.0.0.1", true)
	f("127.0.0.1", "127.0.0.2", false)
	f("0.0.0.0", "127.0.0.2", true)
	f("0.0.0.0", "0.0.0.0", true)
	f("0.0.0.0", "::1", false)
	f("::", "::1", true)
	f("::", "10.0.0.1", false)
	f("::ffff:10.0.0.1", "10.0.0.1", true)
}

// A Gateway that has lost a port keeps nobody else from it.
func TestAPortGoesToEachWhoseAddressesAreFree(t *testing.T) {
	gateway := func(name string, age time.Duration, addresses ...string) *Checked {
		return &Checked{Name: name, Addresses: addresses, Gateway: &gwapiv1.Gateway{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age))},
		}}
	}
	first := gateway("first", 3, "127.0.0.1")
	second := gateway("second", 2, "0.0.0.0")
	third := gateway("third", 1, "10.0.0.1")
	for c, want := range map[*Checked]*Checked{first: nil, second: first, third: nil} {
		if got := holder([]*Checked{third, first, second}, c); got != want {
			t.Errorf("%s: got %v", c.Name, got)
		}
	}
}
