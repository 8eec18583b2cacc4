package plan

import "net/netip"

// Workload is a Pod as clients and destinations are known by it. Workloads are no part of a Plan, since Pods come and go
// without anybody having configured anything.
type Workload struct {
	Name           string `json:"name"` // Pod/namespace/name
	UID            string `json:"uid"`
	ServiceAccount string `json:"serviceAccount"`
	Owner          string `json:"owner,omitempty"` // what made it, at the top: Deployment/web; empty: nothing did

	// Addresses are those that are the Pod's alone: none of a Pod in its node's network.
	Addresses []netip.Addr `json:"addresses,omitempty"`

	// Ending is a Pod that is being deleted: it still answers, but no new connection is its.
	Ending bool `json:"ending,omitempty"`
}

// Namespace is the Pod's.
func (w *Workload) Namespace() string { return namespaceOf(w.Name) }
