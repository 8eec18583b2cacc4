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

// Identify names the client of a request on a connection. The header's Forwarded is read where the connection is a
// trusted peer's; it may be nil.
func (id *Identifier) Identify(c Connection, header *exchange.Header) exchange.Client {
	client := exchange.Client{Address: c.Address, Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown}
	ip := c.Address.Addr().Unmap()
	if c.SPIFFE != "" {
		// The trust domain may have gone since the handshake.
		if domain, path, ok := parse(c.SPIFFE); ok && slices.Contains(id.domains, domain) {
			return id.verified(client, ip, c.SPIFFE, path, header)
		}
	}
	named, answered := id.byAddress(ip)
	switch {
	case named != nil:
		client.Namespace, client.ServiceAccount, client.Source = named.namespace, named.serviceAccount, exchange.SourceStatic
	case !answered && !id.kubernetes && ip.IsLoopback():
		client.Namespace, client.ServiceAccount, client.Source = Local, Local, exchange.SourceLoopback
	}
	return client
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
	if named == nil || !slices.Contains(peer.Namespaces, named.namespace) && !slices.Contains(peer.Namespaces, "*") {
		return client
	}
	client.Cluster, client.Namespace, client.ServiceAccount = peer.Cluster, named.namespace, named.serviceAccount
	client.Source = exchange.SourceStatic
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
