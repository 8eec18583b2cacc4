package backend

import (
	"net/netip"
	"strings"
)

// external says what keeps a name from being a destination outside; nothing where it is one. Our own schema says the
// same, that of XBackend lets most of it through: a name that is an address would be dialled past the rules for names,
// and names inside the cluster belong to Services.
func external(hostname string) (what, mend string) {
	name := strings.TrimSuffix(strings.TrimPrefix(hostname, "*."), ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	_, err := netip.ParseAddr(name)
	switch {
	case name == "":
		return "there is no name", "write a fully qualified name"
	case err == nil || numeric(last):
		return "an IP address is no host name", "write the destination's name, or a Backend of type Addresses"
	case last == "localhost" || last == "svc" || name == "cluster.local" || strings.HasSuffix(name, ".cluster.local"):
		return "the name is inside the cluster or of this machine", "name a Service as backendRef"
	case name == last:
		return "the name is not fully qualified", "write one such as api.example.com"
	}
	return "", ""
}

// numeric reports a last label that makes resolvers take a name for an address in one of its old forms (WHATWG URL,
// "ends in a number").
func numeric(label string) bool {
	digits, allowed := label, "0123456789"
	if rest, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		digits, allowed = rest, "0123456789abcdef"
	}
	return strings.Trim(digits, allowed) == "" && label != ""
}
