package policy

import "net/netip"

// AddressClass is what an address is to a gateway.
type AddressClass uint8

// The classes, from harmless to never.
const (
	AddressPublic AddressClass = iota
	AddressPrivate
	AddressLoopback
	AddressLinkLocal
	AddressMetadata // cloud instance metadata services
	AddressSpecial  // unspecified, multicast, broadcast, reserved: never dialled
)

func (c AddressClass) String() string {
	return [...]string{"public", "private", "loopback", "link-local", "metadata", "special-purpose"}[c]
}

var (
	metadata = []netip.Addr{ // link-local and private addresses at which clouds serve instance metadata
		netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"), netip.MustParseAddr("fd20:ce::254"),
	}
	private = []netip.Prefix{ // RFC 1918, 6598, 4193; RFC 2544 and 5737 ranges are no destinations of the Internet either
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("5f00::/16"),
	}
	special = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("ff00::/8"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"),
	}
	// embedding are the prefixes that carry an IPv4 address: NAT64 (RFC 6052, 8215) and 6to4 (RFC 3056).
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

// Classify tells what an address is; mapped, NAT64 and 6to4 forms count as the IPv4 address inside (RFC 6890 and the
// IANA special-purpose registries).
func Classify(a netip.Addr) AddressClass {
	a = a.Unmap().WithZone("")
	if inner, ok := embedded(a); ok {
		return Classify(inner)
	}
	for _, m := range metadata {
		if a == m {
			return AddressMetadata
		}
	}
	switch {
	case a.IsLoopback():
		return AddressLoopback
	case a.IsLinkLocalUnicast():
		return AddressLinkLocal
	case !a.IsValid(), contains(special, a), nat64Local.Contains(a):
		return AddressSpecial
	case contains(private, a):
		return AddressPrivate
	}
	return AddressPublic
}

// Embedded is the IPv4 address that a NAT64 or 6to4 address carries, else the address itself, unmapped.
func Embedded(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if inner, ok := embedded(a); ok {
		return inner
	}
	return a
}

func embedded(a netip.Addr) (netip.Addr, bool) {
	if a.Is4() {
		return a, false
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return a, false
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
