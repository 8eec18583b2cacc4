package provision

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
)

// service is how the proxies are reached: each listener's port once. Without spec.addresses it has an address of each
// family that the cluster has. One of type LoadBalancer keeps the clients' addresses, by which they may be known.
//
// What spec.addresses asks for is the Service's own address: its clusterIP, one of each family, or of a LoadBalancer its
// loadBalancerIP, which is one. They are never its externalIPs: by those whoever may write a Gateway would take over the
// cluster's traffic to any address (CVE-2020-8554). Addresses beyond these, and those that the API server or the provider
// does not give, are not usable. Kubernetes gives a Service no other clusterIP later: the applier replaces it.
func (p *proxy) service() (*corev1.Service, []problem.Problem) {
	s := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: p.meta(),
		Spec: corev1.ServiceSpec{Type: p.serviceType, Selector: p.selector(), Ports: p.ports()},
	}
	wanted, problems := requested(p.gateway, p.serviceType)
	policy := corev1.IPFamilyPolicyPreferDualStack
	switch {
	case p.serviceType == corev1.ServiceTypeLoadBalancer:
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		if len(wanted) > 0 {
			s.Spec.LoadBalancerIP = wanted[0] // in place of it providers have annotations, each its own; spec.infrastructure can add them
		}
	case len(wanted) > 0:
		s.Spec.ClusterIP, s.Spec.ClusterIPs = wanted[0], wanted
		policy = corev1.IPFamilyPolicySingleStack
		if len(wanted) > 1 {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
	}
	s.Spec.IPFamilyPolicy = &policy
	return s, problems
}

// ports are those of the listeners, each once, by the name of the first listener that has it. The
// proxy's own are left out: they would open health and metrics to whoever reaches the Gateway.
func (p *proxy) ports() []corev1.ServicePort {
	var ports []corev1.ServicePort
	for _, l := range p.gateway.Spec.Listeners {
		number := int(l.Port)
		if l.Protocol == gwapiv1.UDPProtocolType || slices.Contains(plan.ProxyPorts(), number) ||
			slices.ContainsFunc(ports, func(port corev1.ServicePort) bool { return port.Port == l.Port }) {
			continue
		}
		name := string(l.Name)
		if len(validation.IsDNS1123Label(name)) > 0 {
			name = hashed(name, name)
		}
		ports = append(ports, corev1.ServicePort{
			Name: name, Protocol: corev1.ProtocolTCP, Port: l.Port, TargetPort: intstr.FromInt(number),
		})
	}
	return ports
}

// requested are the addresses of spec.addresses that a Service can be asked for. A value left out is any address. What is no
// IP address is passed over: translate does not accept the Gateway then.
func requested(g *gwapiv1.Gateway, serviceType corev1.ServiceType) (wanted []string, problems []problem.Problem) {
	var v4, v6 bool
	for i, a := range g.Spec.Addresses {
		address, err := netip.ParseAddr(a.Value)
		if err != nil || a.Type != nil && *a.Type != gwapiv1.IPAddressType {
			continue
		}
		taken, room := &v6, "one address of each family"
		if address = address.Unmap(); address.Is4() {
			taken = &v4
		}
		if serviceType == corev1.ServiceTypeLoadBalancer {
			taken, room = &v4, "one address"
		}
		if *taken {
			problems = append(problems, about(g, string(gwapiv1.GatewayReasonAddressNotUsable), fmt.Sprintf("spec.addresses[%d].value", i),
				fmt.Sprintf("%s is asked for beside another address, and a Service of type %s has %s", address, serviceType, room), "leave one of them out"))
			continue
		}
		*taken = true
		wanted = append(wanted, address.String())
	}
	return wanted, problems
}
