package gateway

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Limited is the condition of a Gateway whose parameters go beyond its class's. It is absent where none do.
const Limited = attach.Group + "/Limited"

// exceeds is its reason.
const exceeds = "ExceedsCeiling"

// limited is what the parameters of a Gateway come to under those of its class: what its own leave out is the class's, and
// what goes beyond the class's is cut back to it. Where the class says nothing there is no ceiling.
type limited struct {
	spec     v1alpha1.GatewayParametersSpec // identity and trustedPeers aside
	identity []sourced
	peers    []v1alpha1.TrustedPeer
	name     string            // of those that a problem is in
	named    bool              // somebody has written sources
	excess   []problem.Problem // of their own, each with the ceiling that holds
	class    *v1alpha1.GatewayParameters
}

// sourced is a source of identity, and whose it is: what it refers to is in that one's namespace.
type sourced struct {
	v1alpha1.IdentitySource
	of    *v1alpha1.GatewayParameters
	field string
}

// limit never changes what it is given. Either may be nil, not both.
func limit(class, own *v1alpha1.GatewayParameters) *limited {
	l := &limited{class: class, named: class != nil && len(class.Spec.Identity) > 0 || own != nil && len(own.Spec.Identity) > 0}
	switch {
	case class == nil:
		l.name = parametersName(own)
		l.spec, l.identity, l.peers = own.Spec, sources(own), own.Spec.TrustedPeers
		return l
	case own == nil:
		l.name = parametersName(class)
		l.spec, l.identity, l.peers = class.Spec, sources(class), class.Spec.TrustedPeers
		l.spec.HopName = "" // no two gateways may have the same
		return l
	}
	l.name = parametersName(own)
	l.spec.HopName = own.Spec.HopName
	l.spec.Deployment = l.deployment(class.Spec.Deployment, own.Spec.Deployment)
	l.spec.Service = l.service(class.Spec.Service, own.Spec.Service)
	l.limitIdentity(own)
	l.limitPeers(own.Spec.TrustedPeers)
	l.peers = slices.DeleteFunc(l.peers, func(p v1alpha1.TrustedPeer) bool { return l.unverified(own, p) })
	return l
}

// unverified reports whether a peer cannot show who it is because the source that could tell is the class's alone, or was
// the Gateway's and is cut. A peer for whom the Gateway never had one is a mistake, which settings tells of.
func (l *limited) unverified(own *v1alpha1.GatewayParameters, peer v1alpha1.TrustedPeer) bool {
	verifies := func(list []sourced) bool {
		return slices.ContainsFunc(list, func(s sourced) bool {
			return s.Type == v1alpha1.IdentitySourceSPIFFE && s.TrustDomain == trustDomain(peer.SPIFFE)
		})
	}
	return !verifies(l.identity) && (verifies(sources(own)) || verifies(sources(l.class)))
}

func parametersName(p *v1alpha1.GatewayParameters) string {
	return plan.ObjectName("GatewayParameters", p.Namespace, p.Name)
}

// over notes that a field goes beyond the class's.
func (l *limited) over(field, message, mend string) {
	l.excess = append(l.excess, problem.Problem{
		Object: l.name, Field: field, Condition: Limited, Reason: exceeds,
		Message: fmt.Sprintf("%s, the ceiling of the class (%s), which holds", message, attach.Words(parametersName(l.class))), Mend: mend,
	})
}

func sources(p *v1alpha1.GatewayParameters) []sourced {
	var list []sourced
	for i, source := range p.Spec.Identity {
		list = append(list, sourced{source, p, fmt.Sprintf("spec.identity[%d]", i)})
	}
	return list
}

// limitIdentity keeps of a Gateway's sources those that the class has too, as the class has them: by which certificates a
// trust domain is verified is not the Gateway's to say.
func (l *limited) limitIdentity(own *v1alpha1.GatewayParameters) {
	allowed := sources(l.class)
	if len(allowed) == 0 || len(own.Spec.Identity) == 0 {
		l.identity = append(sources(own), allowed...)
		return
	}
	for _, source := range sources(own) {
		if source.Type == v1alpha1.IdentitySourceStatic {
			l.limitRanges(source, ranges(allowed))
			continue
		}
		i := slices.IndexFunc(allowed, func(a sourced) bool { return a.Type == source.Type && a.TrustDomain == source.TrustDomain })
		if i < 0 {
			l.over(source.field, fmt.Sprintf("no source of type %s %sis in spec.identity", source.Type, domain(source.TrustDomain)), "leave the source out")
			continue
		}
		l.identity = append(l.identity, allowed[i])
	}
}

func domain(trust string) string {
	if trust == "" {
		return ""
	}
	return "for " + trust + " "
}

// named is a range of addresses with its clients' name.
type named struct {
	v1alpha1.StaticIdentity
	prefix netip.Prefix
}

// ranges are those of all Static sources. What is no range names nobody; settings tells of it.
func ranges(list []sourced) []named {
	var all []named
	for _, source := range list {
		for _, entry := range source.Entries {
			if prefix, err := netip.ParsePrefix(string(entry.CIDR)); err == nil {
				all = append(all, named{entry, prefix.Masked()})
			}
		}
	}
	return all
}

// limitRanges keeps the ranges in which the class names everybody alike. Narrower ranges of the class inside of them come
// along: as the narrowest decides, nobody is named otherwise than the class would.
func (l *limited) limitRanges(source sourced, allowed []named) {
	kept := sourced{v1alpha1.IdentitySource{Type: source.Type}, source.of, source.field}
	for i, entry := range source.Entries {
		prefix, err := netip.ParsePrefix(string(entry.CIDR))
		if err != nil {
			kept.Entries = append(kept.Entries, entry)
			continue
		}
		holder := -1
		for j, a := range allowed {
			if a.prefix.Bits() <= prefix.Bits() && a.prefix.Contains(prefix.Addr()) && (holder < 0 || a.prefix.Bits() > allowed[holder].prefix.Bits()) {
				holder = j
			}
		}
		if holder < 0 || allowed[holder].Namespace != entry.Namespace || allowed[holder].ServiceAccount != entry.ServiceAccount {
			l.over(fmt.Sprintf("%s.entries[%d]", source.field, i),
				fmt.Sprintf("%s is not %s/%s in spec.identity", entry.CIDR, entry.Namespace, entry.ServiceAccount), "leave the entry out")
			continue
		}
		kept.Entries = append(kept.Entries, entry)
		for _, a := range allowed {
			if a.prefix.Bits() > prefix.Bits() && prefix.Contains(a.prefix.Addr()) && !slices.Contains(source.Entries, a.StaticIdentity) && !slices.Contains(kept.Entries, a.StaticIdentity) {
				kept.Entries = append(kept.Entries, a.StaticIdentity)
			}
		}
	}
	if len(kept.Entries) > 0 {
		l.identity = append(l.identity, kept)
	}
}

// limitPeers keeps the peers that the class trusts too, for the namespaces and the cluster that it trusts them for.
func (l *limited) limitPeers(own []v1alpha1.TrustedPeer) {
	allowed := l.class.Spec.TrustedPeers
	if len(allowed) == 0 || len(own) == 0 {
		l.peers = append(slices.Clone(own), allowed...)
		return
	}
	for i, peer := range own {
		field := fmt.Sprintf("spec.trustedPeers[%d]", i)
		a := slices.IndexFunc(allowed, func(a v1alpha1.TrustedPeer) bool { return a.SPIFFE == peer.SPIFFE })
		if a < 0 {
			l.over(field+".spiffe", fmt.Sprintf("%s is not in spec.trustedPeers", peer.SPIFFE), "leave the peer out")
			continue
		}
		if peer.Cluster != allowed[a].Cluster {
			if peer.Cluster != "" {
				l.over(field+".cluster", fmt.Sprintf("cluster %s is not the peer's", peer.Cluster), "leave the cluster out")
			}
			peer.Cluster = allowed[a].Cluster
		}
		if peer.Namespaces = l.limitNamespaces(field, peer.Namespaces, allowed[a].Namespaces); len(peer.Namespaces) > 0 {
			l.peers = append(l.peers, peer)
		}
	}
}

func (l *limited) limitNamespaces(field string, own, allowed []v1alpha1.ClientName) []v1alpha1.ClientName {
	const all = "*"
	if slices.Contains(allowed, all) {
		return own
	}
	var kept []v1alpha1.ClientName
	for i, name := range own {
		if slices.Contains(allowed, name) {
			kept = append(kept, name)
			continue
		}
		l.over(fmt.Sprintf("%s.namespaces[%d]", field, i), fmt.Sprintf("the peer does not speak for namespace %s", name), "leave it out")
		if name == all {
			return allowed
		}
	}
	return kept
}
