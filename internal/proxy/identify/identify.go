// Package identify tells who a client is. A verified SPIFFE id is stronger than the static ranges of addresses; two
// sources that disagree name nobody; where none answers, a loopback client of a standalone gateway is local/local, and
// everybody else is unknown/unknown. A peer that is trusted may say on whose behalf it calls. What a client says of
// itself counts for nothing. The package decides nothing on a name: policies do. proxy makes an Identifier for each
// Gateway and asks it once a request, and the Bundles once a handshake.
package identify

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/hop"
)

// Local is the namespace and the service account of a loopback client that no source names.
const Local = "local"

// Identifier names the clients of one Gateway.
type Identifier struct {
	static     []static // the longest prefix first
	domains    []string // trust domains
	peers      map[string]*plan.Peer
	kubernetes bool
}

type static struct {
	prefix                    netip.Prefix
	namespace, serviceAccount string
}

// Connection is what is known of a client before it has sent a request.
type Connection struct {
	Address netip.AddrPort // the far end
	SPIFFE  string         // of its certificate, as Bundles.SPIFFE verified it; empty: none
}

// New makes the identifier of a Gateway. On Kubernetes the loopback fallback does not exist.
func New(g *plan.Gateway, kubernetes bool) (*Identifier, error) {
	id := &Identifier{kubernetes: kubernetes, peers: map[string]*plan.Peer{}}
	for _, s := range g.Identity {
		prefix, err := netip.ParsePrefix(s.CIDR)
		if err != nil {
			return nil, fmt.Errorf("identity source: %w", err)
		}
		id.static = append(id.static, static{prefix.Masked(), s.Namespace, s.ServiceAccount})
	}
	slices.SortStableFunc(id.static, func(a, b static) int { return b.prefix.Bits() - a.prefix.Bits() })
	for _, s := range g.SPIFFE {
		if !validDomain(s.TrustDomain) {
			return nil, fmt.Errorf("identity source: %q is no trust domain", s.TrustDomain)
		}
		id.domains = append(id.domains, s.TrustDomain)
	}
	for i := range g.Peers {
		p := &g.Peers[i]
		if _, path, ok := parse(p.SPIFFE); !ok || path == "" {
			return nil, fmt.Errorf("trusted peer: %q is no SPIFFE id of a workload", p.SPIFFE)
		}
		if id.peers[p.SPIFFE] == nil {
			id.peers[p.SPIFFE] = p
		}
	}
	return id, nil
}

// Identify names the client of a request on a connection. Where the connection is a trusted peer's, the header's
// Ebbgate-Hop, else its Forwarded, is read; it may be nil. The hop is what such a peer says of the way up to here. An
// error is an Ebbgate-Hop of its that cannot be read: what it would have kept from happening is not known.
func (id *Identifier) Identify(c Connection, header *exchange.Header) (exchange.Client, exchange.Hop, error) {
	client := exchange.Client{Address: c.Address, Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown}
	ip := c.Address.Addr().Unmap()
	if c.SPIFFE != "" {
		// The trust domain may have gone since the handshake.
		if domain, path, ok := parse(c.SPIFFE); ok && slices.Contains(id.domains, domain) {
			if peer := id.peers[c.SPIFFE]; peer != nil && header != nil {
				if said, present, err := hop.Read(header); present {
					return relayed(client, peer, &said), said.Hop, err
				}
			}
			return id.verified(client, ip, c.SPIFFE, path, header), exchange.Hop{}, nil
		}
	}
	named, answered := id.byAddress(ip)
	switch {
	case named != nil:
		client.Namespace, client.ServiceAccount, client.Source = named.namespace, named.serviceAccount, exchange.SourceStatic
	case !answered && !id.kubernetes && ip.IsLoopback():
		client.Namespace, client.ServiceAccount, client.Source = Local, Local, exchange.SourceLoopback
	}
	return client, exchange.Hop{}, nil
}

// verified names the client behind a verified id: who has it or, if that is a peer that says so, whom it speaks for.
func (id *Identifier) verified(client exchange.Client, ip netip.Addr, spiffe, path string, header *exchange.Header) exchange.Client {
	if peer := id.peers[spiffe]; peer != nil {
		if address, present := forwarded(header); present {
			return id.behind(client, peer, address)
		}
		client.Cluster = peer.Cluster
	}
	if namespace, serviceAccount, ok := workload(path); ok {
		named, answered := id.byAddress(ip)
		if answered && (named == nil || named.namespace != namespace || named.serviceAccount != serviceAccount) {
			client.Cluster = ""
			return client
		}
		client.Namespace, client.ServiceAccount = namespace, serviceAccount
	}
	client.SPIFFE, client.Source = spiffe, exchange.SourceSPIFFE
	return client
}

// behind names the client that a peer forwards for, if the peer may speak for its namespace.
func (id *Identifier) behind(client exchange.Client, peer *plan.Peer, address netip.Addr) exchange.Client {
	named, _ := id.byAddress(address)
	if named == nil || !speaks(peer, named.namespace) {
		return client
	}
	client.Cluster, client.Namespace, client.ServiceAccount = peer.Cluster, named.namespace, named.serviceAccount
	client.Source = exchange.SourceStatic
	return client
}

// speaks reports whether a peer may speak for the clients of a namespace.
func speaks(peer *plan.Peer, namespace string) bool {
	return slices.Contains(peer.Namespaces, namespace) || slices.Contains(peer.Namespaces, "*")
}

// relayed is the client that a gateway asks for, as it says, if it may speak for the namespace: for a loopback client of
// its own, which nobody has identified, only where that is written. A gateway that has a cluster here speaks for the
// clients of that cluster, and of clusters behind it: neither can take the name of another one's.
func relayed(client exchange.Client, peer *plan.Peer, said *hop.Message) exchange.Client {
	nobody := said.Namespace == "" || said.Namespace == exchange.Unknown || said.ServiceAccount == "" || said.ServiceAccount == exchange.Unknown
	fallback := said.Namespace == Local && !slices.Contains(peer.Namespaces, Local)
	if nobody || fallback || !speaks(peer, said.Namespace) {
		return client
	}
	client.Cluster, client.Namespace, client.ServiceAccount = said.Cluster, said.Namespace, said.ServiceAccount
	switch {
	case peer.Cluster != "" && said.Cluster != "":
		client.Cluster = peer.Cluster + "/" + said.Cluster
	case peer.Cluster != "":
		client.Cluster = peer.Cluster
	}
	client.Source = exchange.SourcePeer
	return client
}

// byAddress is the narrowest range that holds an address. Ranges of equal length that disagree answer and name nobody.
func (id *Identifier) byAddress(ip netip.Addr) (named *static, answered bool) {
	for i := range id.static {
		s := &id.static[i]
		if !s.prefix.Contains(ip) {
			continue
		}
		for _, other := range id.static[i+1:] {
			if other.prefix == s.prefix && other != *s {
				return nil, true
			}
		}
		return s, true
	}
	return nil, false
}
