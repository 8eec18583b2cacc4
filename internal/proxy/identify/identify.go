// Package identify tells who a client is: the strongest configured source that knows it names it; where none does, a
// loopback client of a standalone gateway is local/local, and everybody else is unknown/unknown. serve calls it once a
// connection, and again when the configuration has changed.
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
	kubernetes bool
}

type static struct {
	prefix                    netip.Prefix
	namespace, serviceAccount string
}

// New makes the identifier of a Gateway. On Kubernetes the loopback fallback does not exist.
func New(sources []plan.StaticSource, kubernetes bool) (*Identifier, error) {
	id := &Identifier{kubernetes: kubernetes}
	for _, s := range sources {
		prefix, err := netip.ParsePrefix(s.CIDR)
		if err != nil {
			return nil, fmt.Errorf("identity source: %w", err)
		}
		id.static = append(id.static, static{prefix.Masked(), s.Namespace, s.ServiceAccount})
	}
	slices.SortStableFunc(id.static, func(a, b static) int { return b.prefix.Bits() - a.prefix.Bits() })
	return id, nil
}

// Identify names the client at an address. Entries of equal length that disagree name nobody.
func (id *Identifier) Identify(address netip.AddrPort) exchange.Client {
	client := exchange.Client{Address: address, Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown}
	ip := address.Addr().Unmap()
	for i, s := range id.static {
		if !s.prefix.Contains(ip) {
			continue
		}
		for _, other := range id.static[i+1:] {
			if other.prefix == s.prefix && other != s {
				return client
			}
		}
		client.Namespace, client.ServiceAccount, client.Source = s.namespace, s.serviceAccount, exchange.SourceStatic
		return client
	}
	if !id.kubernetes && ip.IsLoopback() {
		client.Namespace, client.ServiceAccount, client.Source = Local, Local, exchange.SourceLoopback
	}
	return client
}
