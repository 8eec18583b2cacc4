// Package clients holds clients against the selectors that policies list ({clusters, namespaces, serviceAccounts,
// spiffeIDs}: AND within a selector, OR between them). It finds out nothing about a client: identify has done so. The
// kinds of policy that name clients call it.
package clients

import (
	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
)

const everybody = "*"

// Selector names clients. A list left out asks nothing.
type Selector struct {
	Clusters        []string `json:"clusters,omitempty"`
	Namespaces      []string `json:"namespaces,omitempty"`
	ServiceAccounts []string `json:"serviceAccounts,omitempty"`
	SPIFFEIDs       []string `json:"spiffeIDs,omitempty"`
	Require         string   `json:"require,omitempty"` // MTLS or Token; empty: any proof will do
}

// List is selectors of which one must name the client. The empty List names nobody.
type List []Selector

// Translate makes a List of what a user wrote; what was not written is nil.
func Translate(written []v1alpha1.ClientSelector) List {
	if written == nil {
		return nil
	}
	list := make(List, len(written))
	for i, s := range written {
		list[i] = Selector{
			Clusters: words(s.Clusters), Namespaces: words(s.Namespaces),
			ServiceAccounts: words(s.ServiceAccounts), SPIFFEIDs: words(s.SPIFFEIDs), Require: string(s.Require),
		}
	}
	return list
}

func words[T ~string](written []T) []string {
	var list []string
	for _, w := range written {
		list = append(list, string(w))
	}
	return list
}

// Names reports whether the list names the client. A client without a name is named by nothing, "*" included. The
// loopback client of a standalone gateway is a fallback and no identity that anybody established, so it is named by its
// own namespace alone.
func (l List) Names(c *exchange.Client) bool {
	if !c.Known() {
		return false
	}
	for i := range l {
		if l[i].names(c) {
			return true
		}
	}
	return false
}

func (s *Selector) names(c *exchange.Client) bool {
	if len(s.Clusters)+len(s.Namespaces)+len(s.ServiceAccounts)+len(s.SPIFFEIDs) == 0 {
		return false // asks nothing; everybody has to be written
	}
	if c.Source == exchange.SourceLoopback && !contains(s.Namespaces, c.Namespace) {
		return false
	}
	// The gateway's own cluster may have no name: "*" is any cluster, that one included.
	cluster := len(s.Clusters) == 0 || contains(s.Clusters, everybody) || c.Cluster != "" && contains(s.Clusters, c.Cluster)
	return cluster && proves(c, s.Require) && admits(s.Namespaces, c.Namespace) && admits(s.ServiceAccounts, c.ServiceAccount) && admits(s.SPIFFEIDs, c.SPIFFE)
}

// proves reports whether the client's name was proved as required; what is not known to be required is not.
func proves(c *exchange.Client, require string) bool {
	switch v1alpha1.ClientProof(require) {
	case "":
		return true
	case v1alpha1.ClientProofMTLS:
		return c.Certified
	case v1alpha1.ClientProofToken:
		return c.Source == exchange.SourceToken
	}
	return false
}

// admits reports whether a list asks nothing, or holds the value or "*". What the client does not have is in no list: a
// SPIFFE id may name a client without a namespace.
func admits(list []string, value string) bool {
	return len(list) == 0 || value != "" && value != exchange.Unknown && (contains(list, everybody) || contains(list, value))
}

func contains(list []string, value string) bool {
	for _, entry := range list {
		if entry == value {
			return true
		}
	}
	return false
}
