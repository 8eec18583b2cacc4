package ranges

import (
	"net/netip"
	"testing"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
)

type refs struct {
	policy.References
	invalid []string
}

func (r *refs) Invalid(field, message, _ string) { r.invalid = append(r.invalid, field+": "+message) }

func TestList(t *testing.T) {
	f := func(cidr, address string, touches, holds, singles bool) {
		t.Helper()
		r := &refs{}
		l := Translate(r, "f", []v1alpha1.CIDR{"198.18.0.0/32", v1alpha1.CIDR(cidr)})
		if r.invalid != nil {
			t.Fatal(r.invalid)
		}
		a := netip.MustParseAddr(address).Unmap()
		if l.Touches(a) != touches || l.Holds(a) != holds || l.Singles(a) != singles {
			t.Errorf("%s on %s: touches %t, holds %t, singles %t", cidr, address, l.Touches(a), l.Holds(a), l.Singles(a))
		}
	}
	f("10.0.0.0/8", "10.1.2.3", true, true, false)
	f("10.0.0.0/8", "11.1.2.3", false, false, false)
	f("10.0.0.0/8", "::ffff:10.1.2.3", true, true, false)
	f("::ffff:10.0.0.0/104", "10.1.2.3", true, true, false)
	f("10.0.0.0/8", "64:ff9b::a01:203", true, true, false)
	f("64:ff9b::/96", "64:ff9b::a01:203", true, false, false)
	f("2002::/16", "2002:a01:203::1", true, false, false)
	f("169.254.169.254/32", "169.254.169.254", true, true, true)
	f("169.254.169.254/32", "64:ff9b::a9fe:a9fe", true, true, true)
	f("169.254.0.0/16", "169.254.169.254", true, true, false)
	f("fd00:ec2::254/128", "fd00:ec2::254", true, true, true)
}

func TestTranslate(t *testing.T) {
	r := &refs{}
	if Translate(r, "f", nil) != nil {
		t.Error("nothing written is something")
	}
	if l := Translate(r, "f", []v1alpha1.CIDR{}); l == nil {
		t.Error("an empty list written is nothing")
	}
	if l := Translate(r, "spec.x", []v1alpha1.CIDR{"10.0.0.1"}); len(l) != 0 || len(r.invalid) != 1 {
		t.Errorf("%v, %v", l, r.invalid)
	}
}
