package resolve

import (
	"net/netip"
	"slices"

	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	maxAddresses = 16 // kept of one family
	maxRotations = 8  // orders kept of one answer
	turnMask     = 1<<16 - 1
)

// wanted reports whether the settings use the address's family.
func wanted(a netip.Addr, family policy.Family) bool {
	switch family {
	case policy.FamilyIPv4:
		return a.Is4()
	case policy.FamilyIPv6:
		return !a.Is4()
	}
	return true
}

// split sorts addresses by family, unmapped, without doubles and within bounds.
func split(list []netip.Addr, family policy.Family) (v4, v6 []netip.Addr) {
	for _, a := range list {
		a = a.Unmap()
		switch {
		case !a.IsValid() || !wanted(a, family):
		case a.Is4():
			v4 = keep(v4, a)
		default:
			v6 = keep(v6, a)
		}
	}
	return v4, v6
}

func keep(list []netip.Addr, a netip.Addr) []netip.Addr {
	if len(list) == maxAddresses || slices.Contains(list, a) {
		return list
	}
	return append(list, a)
}

// interleave alternates the families, IPv6 first (RFC 8305, section 4), each begun at its turn-th address.
func interleave(v6, v4 []netip.Addr, turn int) []netip.Addr {
	out := make([]netip.Addr, 0, len(v6)+len(v4))
	for i := range max(len(v6), len(v4)) {
		if i < len(v6) {
			out = append(out, v6[(i+turn)%len(v6)])
		}
		if i < len(v4) {
			out = append(out, v4[(i+turn)%len(v4)])
		}
	}
	return out
}

// rotations are the orders in which an answer is handed out, made once so that a hit allocates nothing.
func rotations(v6, v4 []netip.Addr) [][]netip.Addr {
	n := min(max(len(v6), len(v4)), maxRotations)
	orders := make([][]netip.Addr, n)
	for turn := range orders {
		orders[turn] = interleave(v6, v4, turn)
	}
	return orders
}
