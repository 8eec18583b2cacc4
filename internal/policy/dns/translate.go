package dns

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

func translate(refs policy.References, object policy.Object) any {
	spec := &object.(*v1alpha1.DNSPolicy).Spec
	c := &Config{Resolvers: resolvers(refs, spec.Resolvers), Hosts: hosts(refs, spec.Hosts)}
	if t := spec.TTL; t != nil {
		const field = "spec.ttl."
		c.TTL = TTL{
			Min:        duration.Translate(refs, field+"min", t.Min),
			Max:        duration.Translate(refs, field+"max", t.Max),
			Negative:   duration.Translate(refs, field+"negative", t.Negative),
			ServeStale: duration.Translate(refs, field+"serveStale", t.ServeStale),
		}
	}
	if spec.Family != nil {
		c.Family = string(*spec.Family)
	}
	if a := spec.Addresses; a != nil {
		c.AllowPrivate = ranges.Translate(refs, "spec.addresses.allowPrivate", a.AllowPrivate)
		c.Deny = ranges.Translate(refs, "spec.addresses.deny", a.Deny)
	}
	closed(refs, c, spec.Hosts)
	return c
}

func resolvers(refs policy.References, written []v1alpha1.Resolver) []Resolver {
	var list []Resolver
	for i, r := range written {
		address, err := netip.ParseAddrPort(r.Address)
		if err != nil {
			refs.Invalid(fmt.Sprintf("spec.resolvers[%d].address", i), "not an IP address and a port", "write it as 9.9.9.9:53 or [2620:fe::fe]:53")
			continue
		}
		list = append(list, Resolver{Address: netip.AddrPortFrom(address.Addr().Unmap(), address.Port()), Protocol: string(r.Protocol)})
	}
	return list
}

func hosts(refs policy.References, written []v1alpha1.HostAddresses) map[string][]netip.Addr {
	if written == nil {
		return nil
	}
	pinned := make(map[string][]netip.Addr, len(written))
	for i, h := range written {
		name := strings.ToLower(strings.TrimSuffix(string(h.Hostname), "."))
		for _, a := range h.Addresses {
			address, err := netip.ParseAddr(string(a))
			if err != nil || address.Zone() != "" {
				refs.Invalid(fmt.Sprintf("spec.hosts[%d].addresses", i), "not an IP address", "write it as 192.0.2.10 or 2001:db8::10")
				continue
			}
			pinned[name] = append(pinned[name], address.Unmap())
		}
	}
	return pinned
}

// effective says where there is no name for what the policy states: only its denials reach a backend whose addresses
// are written down.
func effective(config any, target *plan.Backend) string {
	c := config.(*Config)
	switch {
	case len(c.Deny) > 0:
		return ""
	case target != nil && target.Origin != plan.Resolved:
		return "the destination has addresses and no name to resolve, so that of a DNSPolicy addresses.deny alone would act on it"
	case c.Resolvers == nil && c.Hosts == nil && c.TTL == (TTL{}) && c.Family == "" && c.AllowPrivate == nil:
		return "the policy states nothing"
	}
	return ""
}

// closed warns of pinned addresses that the policy itself does not open. Standalone alone it is certain what opens them.
func closed(refs policy.References, c *Config, written []v1alpha1.HostAddresses) {
	for i, h := range written {
		for j, text := range h.Addresses {
			address, err := netip.ParseAddr(string(text))
			if err != nil || c.AllowPrivate.Holds(address) {
				continue
			}
			switch class := policy.Classify(address); {
			case !refs.Standalone():
			case class == policy.AddressPrivate, class == policy.AddressLoopback:
				refs.Warn(fmt.Sprintf("spec.hosts[%d].addresses[%d]", i, j),
					"a "+class.String()+" address is refused (address_denied) unless a DNSPolicy opens it", "add it to spec.addresses.allowPrivate, such as "+netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()).String())
			}
		}
	}
}
