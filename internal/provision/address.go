package provision

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
)

// Addresses are where a Gateway is reached, for its status: of those that spec.addresses asks for the ones that its Service
// has; where it asks for none, the Service's IP addresses, or those of its load balancer, and then its name inside the
// cluster, of which domain is the last part (cluster.local). Service is nil where there is none.
func Addresses(g *gwapiv1.Gateway, service *corev1.Service, domain string) ([]gwapiv1.GatewayStatusAddress, []problem.Problem) {
	if service == nil {
		return nil, nil
	}
	ips, hosts := assigned(service)
	wanted, _ := requested(g, service.Spec.Type) // Objects has told of those that cannot be asked for
	if len(wanted) > 0 {
		return static(g, wanted, ips)
	}
	var problems []problem.Problem
	if len(ips)+len(hosts) == 0 {
		problems = append(problems, about(g, string(gwapiv1.GatewayReasonAddressNotAssigned), "",
			fmt.Sprintf("Service %s/%s of type %s has no address yet", service.Namespace, service.Name, service.Spec.Type),
			"see the events of the Service, or write spec.service.type: ClusterIP in the GatewayParameters"))
	}
	addresses := addressesOf(gwapiv1.IPAddressType, ips)
	addresses = append(addresses, addressesOf(gwapiv1.HostnameAddressType, hosts)...)
	inside := fmt.Sprintf("%s.%s.svc.%s", service.Name, service.Namespace, domain)
	return append(addresses, addressesOf(gwapiv1.HostnameAddressType, []string{inside})...), problems
}

// static are the addresses that were asked for and are there.
func static(g *gwapiv1.Gateway, wanted, ips []string) (addresses []gwapiv1.GatewayStatusAddress, problems []problem.Problem) {
	for _, address := range wanted {
		if slices.Contains(ips, address) {
			addresses = append(addresses, addressesOf(gwapiv1.IPAddressType, []string{address})...)
			continue
		}
		problems = append(problems, about(g, string(gwapiv1.GatewayReasonAddressNotUsable), "spec.addresses",
			fmt.Sprintf("the Service does not have %s", address), "ask for an address that the cluster can give, or for none"))
	}
	return addresses, problems
}

// assigned are the addresses that a Service has: its load balancer's where it is of that type, its own otherwise.
func assigned(service *corev1.Service) (ips, hosts []string) {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return service.Spec.ClusterIPs, nil
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			ips = append(ips, ingress.IP)
		} else if ingress.Hostname != "" {
			hosts = append(hosts, ingress.Hostname)
		}
	}
	return ips, hosts
}

func addressesOf(kind gwapiv1.AddressType, values []string) []gwapiv1.GatewayStatusAddress {
	var made []gwapiv1.GatewayStatusAddress
	for _, value := range values {
		made = append(made, gwapiv1.GatewayStatusAddress{Type: &kind, Value: value})
	}
	return made
}
