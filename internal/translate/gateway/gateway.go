// Package gateway translates Gateways and what they name: GatewayClass, GatewayParameters, certificates. It checks a
// Gateway by itself (Check), decides which of several Gateways has an address and port (Bind), and judges the whole
// once routes, backends and policies are known (Judge). It attaches nothing: attach does. translate calls it.
package gateway

import (
	"fmt"
	"net/netip"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// loopback is where a standalone Gateway listens that says nothing.
const loopback = "127.0.0.1"

// Checked is a Gateway of ours, checked by itself.
type Checked struct {
	Gateway   *gwapiv1.Gateway
	Name      string // namespace/name
	Accepted  bool   // what is wrong with it, if anything, leaves it served
	Addresses []string
	Identity  []plan.StaticSource

	Certificate      string      // plan name of the client certificate; may be empty
	CertificateFault *plan.Fault // why it cannot be used

	Parameters string                      // plan name of its GatewayParameters; may be empty
	Running    *v1alpha1.GatewayParameters // how it is to run, its class's parameters counted in; nil where nobody says
	Settings   Settings
	Listeners  []*Listener
	Problems   []problem.Problem // not of its listeners
	Needs      []string          // Secrets and ConfigMaps it names
}

// Check checks a Gateway. One of another controller's class gives a Checked without a name, for the warning alone, or
// nothing on Kubernetes, where other controllers are at home.
func Check(r *derive.Reader, in *attach.Inputs, key string, g *gwapiv1.Gateway) map[string]*Checked {
	c := &Checked{Gateway: g, Name: g.Namespace + "/" + g.Name}
	problems := &attach.Problems{Object: key}
	switch in.Class(r, string(g.Spec.GatewayClassName)) {
	case attach.ClassForeign:
		if in.Kubernetes {
			return nil
		}
		problems.Warn("", "ForeignClass", "spec.gatewayClassName",
			fmt.Sprintf("GatewayClass %s does not exist or is another controller's; the Gateway is ignored", g.Spec.GatewayClassName),
			"write gatewayClassName: "+attach.ImplicitClass)
		return map[string]*Checked{key: {Gateway: g, Problems: problems.List}}
	case attach.ClassRefused:
		problems.Add(attach.Accepted, string(gwapiv1.GatewayReasonInvalidParameters), "spec.gatewayClassName",
			fmt.Sprintf("GatewayClass %s is not accepted, and its parameters were never known", g.Spec.GatewayClassName), "mend the class, or name another")
	}
	unsupported(problems, g)
	c.addresses(in, problems)
	c.parameters(r, in, problems)
	c.certificate(r, in, problems)
	warnInsecure(problems, g)
	warnPorts(problems, g)
	c.Accepted = len(attach.About(attach.Accepted, problems.List)) == 0
	for i := range g.Spec.Listeners {
		c.Listeners = append(c.Listeners, check(r, in, key, g, i))
	}
	conflicts(c.Listeners)
	c.needs()
	c.Problems = problems.List
	return map[string]*Checked{key: c}
}

// needs notes the Secrets and ConfigMaps of what is served.
func (c *Checked) needs() {
	if !c.Accepted {
		return
	}
	for _, l := range c.Listeners {
		if !l.Valid() {
			continue
		}
		c.Needs = append(c.Needs, l.Plan.Certificates...)
		if l.Plan.Clients != nil {
			c.Needs = append(c.Needs, l.Plan.Clients.Roots...)
		}
	}
	c.Needs = append(c.Needs, c.Settings.needs...)
	if c.Certificate != "" {
		c.Needs = append(c.Needs, c.Certificate)
	}
}

// unsupported refuses what this version does not build: a Gateway that asks for it would be less strict, or less
// trusted, than it says.
func unsupported(problems *attach.Problems, g *gwapiv1.Gateway) {
	refuse := func(field string) {
		problems.Add(attach.Accepted, string(gwapiv1.ListenerReasonUnsupportedValue), field, "not supported in this version", "leave it out")
	}
	if scope := g.Spec.DefaultScope; scope != "" && scope != gwapiv1.GatewayDefaultScopeNone {
		refuse("spec.defaultScope")
	}
}

// addresses are those that a standalone Gateway binds. On Kubernetes they are its Service's, and the proxy listens on
// every address of its Pod.
func (c *Checked) addresses(in *attach.Inputs, problems *attach.Problems) {
	for i, a := range c.Gateway.Spec.Addresses {
		field := fmt.Sprintf("spec.addresses[%d]", i)
		if kind := attach.Or(a.Type, string(gwapiv1.IPAddressType)); kind != string(gwapiv1.IPAddressType) {
			problems.Add(attach.Accepted, string(gwapiv1.GatewayReasonUnsupportedAddress), field+".type",
				fmt.Sprintf("addresses of type %s are not supported", kind), "write type: IPAddress")
			continue
		}
		if a.Value == "" {
			continue // any address will do
		}
		address, err := netip.ParseAddr(a.Value)
		if err != nil {
			problems.Add(attach.Accepted, string(gwapiv1.GatewayReasonUnsupportedAddress), field+".value",
				"the value is not an IP address", "write an address of this machine, such as 127.0.0.1")
			continue
		}
		if !in.Kubernetes {
			c.Addresses = append(c.Addresses, address.String())
		}
	}
	if len(c.Addresses) == 0 && !in.Kubernetes {
		c.Addresses = []string{loopback}
	}
}
