package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Ports finds the Gateways that have a valid listener on a port.
func Ports(_ string, c *Checked) []string {
	var ports []string
	for _, l := range c.Listeners {
		if port := strconv.Itoa(l.Plan.Port); c.Accepted && l.Valid() && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

// Bound is a Gateway whose listeners know whether they have their port.
type Bound struct {
	Checked *Checked
	Plan    *plan.Gateway               // nil where it is not served
	View    *attach.Gateway             // what routes and policies see
	Taken   map[string]*attach.Problems // by listener: another Gateway has the port
}

// Bind decides which listeners have their ports. On Kubernetes every Gateway has addresses of its own; standalone they
// are this machine's, and of two Gateways on one address and port the one that precedes serves.
func Bind(r *derive.Reader, in *attach.Inputs, ports *derive.Index[*Checked], local bool, key string, c *Checked) map[string]*Bound {
	if c.Name == "" {
		return nil
	}
	class := string(c.Gateway.Spec.GatewayClassName)
	b := &Bound{
		Checked: c, Taken: map[string]*attach.Problems{},
		View: &attach.Gateway{Name: c.Name, Namespace: c.Gateway.Namespace, Class: class},
	}
	planned := &plan.Gateway{
		Name: c.Name, Class: class, Addresses: c.Addresses, Local: local, Listeners: []*plan.Listener{},
		Identity: c.Settings.Identity, SPIFFE: c.Settings.SPIFFE, Peers: c.Settings.Peers,
		Cluster: in.ClusterName, PodAddress: c.Settings.PodAddress, Token: c.Settings.Token,
		HopName:           cmp.Or(c.Settings.HopName, string(c.Gateway.UID)),
		ClientCertificate: c.Certificate, ClientFault: c.CertificateFault,
	}
	for _, l := range c.Listeners {
		programmed := c.Accepted && l.Valid()
		if programmed && !in.Kubernetes {
			if holder := holder(derive.Select(r, ports, strconv.Itoa(l.Plan.Port)), c); holder != nil {
				programmed = false
				taken := &attach.Problems{Object: key}
				taken.Add(attach.Programmed, string(gwapiv1.ListenerReasonPortUnavailable), l.Field+".port",
					fmt.Sprintf("port %d of the same address is Gateway %s's, which precedes", l.Plan.Port, holder.Name), "choose another port or other spec.addresses")
				b.Taken[l.Plan.Name] = taken
			}
		}
		if programmed {
			planned.Listeners = append(planned.Listeners, l.Plan)
		}
		b.View.Listeners = append(b.View.Listeners, attach.Listener{
			Name: l.Plan.Name, Port: l.Plan.Port, Hostname: l.Plan.Hostname, Kinds: kindNames(l.Kinds),
			From: l.From, Selector: l.Selector, Programmed: programmed,
		})
	}
	if c.Accepted {
		b.Plan = planned
	}
	return map[string]*Bound{key: b}
}

// holder is the Gateway that keeps c from a port, of those that ask for it: the port goes to one after the other as
// they precede, to each whose addresses nobody before it has.
func holder(askers []*Checked, c *Checked) *Checked {
	slices.SortFunc(askers, func(a, b *Checked) int { return attach.Precede(a.Gateway, b.Gateway) })
	var holders []*Checked
	for _, asker := range askers {
		i := slices.IndexFunc(holders, func(h *Checked) bool { return overlap(h.Addresses, asker.Addresses) })
		switch {
		case asker.Name == c.Name && i >= 0:
			return holders[i]
		case asker.Name == c.Name:
			return nil
		case i < 0:
			holders = append(holders, asker)
		}
	}
	return nil
}

// overlap reports whether two lists of addresses have one in common; an unspecified address is every one of its family.
func overlap(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			x, y := parse(x), parse(y)
			if x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified()) {
				return true
			}
		}
	}
	return false
}

func parse(address string) netip.Addr {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.IPv4Unspecified() // Check lets none through; overlapping everything is the safe answer
	}
	return a.Unmap()
}
