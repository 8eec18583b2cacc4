// Package ranges holds addresses against the ranges that policies list, so that the forms which carry an IPv4 address
// (mapped, NAT64, 6to4) lead around no list. It decides nothing: the kinds of policy that list addresses call it.
package ranges

import (
	"net/netip"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// List is ranges of addresses.
type List []netip.Prefix

// Translate makes a List of what a user wrote; what was not written is nil. What is no range is reported under the
// field and left out.
func Translate(refs policy.References, field string, written []v1alpha1.CIDR) List {
	if written == nil {
		return nil
	}
	list := make(List, 0, len(written))
	for _, w := range written {
		p, err := netip.ParsePrefix(string(w))
		if err != nil {
			refs.Invalid(field, "not a range of addresses: "+err.Error(), "write it as 10.8.0.0/16 or 2001:db8::/32")
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 { // addresses are compared unmapped
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		list = append(list, p.Masked())
	}
	return list
}

// Touches reports whether an address, or the IPv4 address it carries, is in a range: the question of a denial.
func (l List) Touches(a netip.Addr) bool {
	inner := policy.Embedded(a)
	for _, p := range l {
		if p.Contains(a) || p.Contains(inner) {
			return true
		}
	}
	return false
}

// Holds reports whether the address that is really reached, which is the IPv4 address where one is carried, is in a
// range: the question of a permission.
func (l List) Holds(a netip.Addr) bool {
	inner := policy.Embedded(a)
	for _, p := range l {
		if p.Contains(inner) {
			return true
		}
	}
	return false
}

// Singles reports whether the address that is really reached is listed as itself, a range of one: what nobody may open
// by writing a wide range that happens to hold it.
func (l List) Singles(a netip.Addr) bool {
	inner := policy.Embedded(a)
	for _, p := range l {
		if p.IsSingleIP() && p.Addr() == inner {
			return true
		}
	}
	return false
}
