// Package identify tells who a client is. Its sources are, from the strongest: a ServiceAccount token that verifies, a
// SPIFFE id that does, the Pod whose address the connection comes from, and static ranges of addresses. Two that disagree
// name nobody; where none answers, a loopback client of a standalone gateway is local/local, and everybody else is
// unknown/unknown. A peer that is trusted may say on whose behalf it calls. What a client says of itself counts for
// nothing. The package decides nothing on a name: policies do. proxy makes an Identifier for each Gateway and asks it once
// a request, the Bundles once a handshake, and tells the Pods of each connection.
package identify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

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
	pods       *Pods     // nil: addresses of Pods name nobody
	tokens     *Verifier // nil: tokens name nobody
	cluster    string    // the Gateway's own; may be empty
	kubernetes bool
}

type static struct {
	prefix                    netip.Prefix
	namespace, serviceAccount string
}

// Connection is what is known of a client beside the head of its request.
type Connection struct {
	Address netip.AddrPort // the far end
	SPIFFE  string         // of its certificate, as Bundles.SPIFFE verified it; empty: none
	Origin  *Origin        // nil: no Pods are known
	Proxy   string         // Proxy-Authorization, where there was one such field
	Now     time.Time
}

// New makes the identifier of a Gateway. On Kubernetes the loopback fallback does not exist. pods may be nil; tokens is of
// the Gateway's TokenSource, nil where it has none.
func New(g *plan.Gateway, kubernetes bool, pods *Pods, tokens *Verifier) (*Identifier, error) {
	id := &Identifier{cluster: g.Cluster, kubernetes: kubernetes, peers: map[string]*plan.Peer{}, tokens: tokens}
	if g.PodAddress {
		id.pods = pods
	}
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

// Waits reports whether who is at an address may become known in a moment.
func (id *Identifier) Waits() bool { return id.pods != nil }

// Identify names the client of a request on a connection, and takes from the header, which may be nil, what only names it.
// Where the connection is a trusted peer's, the header's Ebbgate-Hop, else its Forwarded, is read. The hop is what such a
// peer says of the way up to here. An error is an Ebbgate-Hop of its that cannot be read: what it would have kept from
// happening is not known.
func (id *Identifier) Identify(c Connection, header *exchange.Header) (exchange.Client, exchange.Hop, error) {
	client := exchange.Client{Address: c.Address, Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown}
	var token *verified
	if id.tokens != nil && header != nil {
		token = id.tokens.verify(id.tokens.bearer(header, c.Proxy), c.Origin, c.Now)
		header.Del(id.tokens.source.Header)
	}
	path := ""
	if c.SPIFFE != "" {
		// The trust domain may have gone since the handshake.
		domain, rest, ok := parse(c.SPIFFE)
		peer := id.peers[c.SPIFFE]
		switch {
		case !ok || !slices.Contains(id.domains, domain):
			c.SPIFFE = ""
		case peer == nil:
			path = rest
		default:
			path = rest
			if header != nil {
				if said, present, err := hop.Read(header); present {
					return id.relayed(client, peer, &said), said.Hop, err
				}
			}
			if address, present := forwarded(header); present {
				return id.behind(client, peer, address), exchange.Hop{}, nil
			}
			id.in(&client, peer.Cluster)
		}
	}
	return id.own(client, &c, path, token), exchange.Hop{}, nil
}

// in says which cluster a client is of: the Gateway's own has no other name, or none.
func (id *Identifier) in(c *exchange.Client, cluster string) {
	c.Cluster, c.Foreign = cmp.Or(cluster, id.cluster), cluster != "" && cluster != id.cluster
}

// claim is what a source says.
type claim struct {
	namespace, serviceAccount string
	source                    exchange.Source
	pod                       *Pod // of a source that knows it
}

func (a claim) agrees(b claim) bool {
	return a.namespace == b.namespace && a.serviceAccount == b.serviceAccount
}

// own names the client by what speaks for itself: the strongest source does, and every other that answers must agree.
func (id *Identifier) own(client exchange.Client, c *Connection, path string, token *verified) exchange.Client {
	unknown := exchange.Client{Address: client.Address, Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown}
	var said claim
	if token != nil {
		if client.Foreign { // a token is of ours
			return unknown
		}
		said = claim{token.namespace, token.serviceAccount, exchange.SourceToken, token.pod}
	}
	certified := false
	if namespace, serviceAccount, ok := workload(path); ok {
		by := claim{namespace, serviceAccount, exchange.SourceSPIFFE, nil}
		switch {
		case said.source == exchange.SourceNone:
			said = by
		case !said.agrees(by):
			return unknown
		}
		certified = true
	}
	ip := c.Address.Addr().Unmap()
	by, answered := id.origin(c.Origin, ip)
	switch {
	case said.source == exchange.SourceNone && c.SPIFFE != "": // an id that names no workload is a name of its own
	case !answered:
	case by.source == exchange.SourceNone:
		return unknown
	case said.source == exchange.SourceNone:
		said = by
	case !said.agrees(by), said.pod != nil && by.pod != nil && said.pod.uid != by.pod.uid: // a token is its Pod's alone
		return unknown
	case said.pod == nil:
		said.pod = by.pod
	}
	switch {
	case said.source != exchange.SourceNone:
		client.Namespace, client.ServiceAccount, client.Source = said.namespace, said.serviceAccount, said.source
	case c.SPIFFE != "":
		client.Source, certified = exchange.SourceSPIFFE, true
	case !answered && !id.kubernetes && ip.IsLoopback():
		client.Namespace, client.ServiceAccount, client.Source = Local, Local, exchange.SourceLoopback
	}
	client.SPIFFE, client.Certified = c.SPIFFE, certified
	if client.Known() && client.Cluster == "" {
		id.in(&client, "")
	}
	if said.pod != nil {
		client.Pod, client.Workload = said.pod.Name, said.pod.Owner
	}
	return client
}

// origin is what an address says of the connection that comes from there: its Pod, and the narrowest range. Where they
// disagree, or two Pods or ranges do, it answers and names nobody.
func (id *Identifier) origin(o *Origin, ip netip.Addr) (claim, bool) {
	if id.pods == nil || o == nil {
		return both(nil, false, id, ip)
	}
	pod, answered := o.named()
	return both(pod, answered, id, ip)
}

func both(pod *Pod, answered bool, id *Identifier, ip netip.Addr) (claim, bool) {
	s, ranged := id.byAddress(ip)
	switch {
	case !answered && !ranged:
		return claim{}, false
	case answered && pod == nil || ranged && s == nil:
		return claim{}, true
	case !answered:
		return claim{s.namespace, s.serviceAccount, exchange.SourceStatic, nil}, true
	}
	by := claim{pod.Namespace, pod.ServiceAccount, exchange.SourcePodAddress, pod}
	if ranged && (s.namespace != by.namespace || s.serviceAccount != by.serviceAccount) {
		return claim{}, true
	}
	return by, true
}

// behind names the client that a peer forwards for, if the peer may speak for its namespace. The addresses of another
// cluster are not those of our Pods.
func (id *Identifier) behind(client exchange.Client, peer *plan.Peer, address netip.Addr) exchange.Client {
	var pod *Pod
	answered := false
	if id.pods != nil && (peer.Cluster == "" || peer.Cluster == id.cluster) {
		pod, answered = id.pods.named(address)
	}
	by, _ := both(pod, answered, id, address)
	if by.source == exchange.SourceNone || !speaks(peer, by.namespace) {
		return client
	}
	client.Namespace, client.ServiceAccount, client.Source = by.namespace, by.serviceAccount, by.source
	id.in(&client, peer.Cluster)
	if by.pod != nil {
		client.Pod, client.Workload = by.pod.Name, by.pod.Owner
	}
	return client
}

// speaks reports whether a peer may speak for the clients of a namespace.
func speaks(peer *plan.Peer, namespace string) bool {
	return slices.Contains(peer.Namespaces, namespace) || slices.Contains(peer.Namespaces, "*")
}

// relayed is the client that a gateway asks for, as it says, if it may speak for the namespace: for a loopback client of
// its own, which nobody has identified, only where that is written. A gateway that has a cluster here speaks for the
// clients of that cluster, and of clusters behind it: neither can take the name of another one's.
func (id *Identifier) relayed(client exchange.Client, peer *plan.Peer, said *hop.Message) exchange.Client {
	nobody := said.Namespace == "" || said.Namespace == exchange.Unknown || said.ServiceAccount == "" || said.ServiceAccount == exchange.Unknown
	fallback := said.Namespace == Local && !slices.Contains(peer.Namespaces, Local)
	if nobody || fallback || !speaks(peer, said.Namespace) {
		return client
	}
	cluster := cmp.Or(peer.Cluster, said.Cluster)
	if peer.Cluster != "" && said.Cluster != "" {
		cluster += "/" + said.Cluster
	}
	client.Namespace, client.ServiceAccount, client.Source = said.Namespace, said.ServiceAccount, exchange.SourcePeer
	id.in(&client, cluster)
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
