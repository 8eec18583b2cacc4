package backend

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// The bounds of what a Service brings: whoever may write EndpointSlices writes no plan without end.
const (
	maxEndpoints = 10_000 // of one port: a MiB of a plan at most; of more the first by address
	maxRefused   = 20     // that are named, of all ports
)

// Ports are the ports of a Service that routes use.
type Ports struct {
	Plans   []*plan.Backend
	Verdict *attach.Verdict
}

// PortName is the plan name of a Service's port.
func PortName(service string, port int32) string { return fmt.Sprintf("%s:%d", service, port) }

// Port is a Service's port of a number, or what is wrong with using it. ExternalName is refused: it would make any name
// a destination, resolved by the cluster, past Backend's rules.
func Port(key string, service *corev1.Service, number int32) (*corev1.ServicePort, *attach.Wrong) {
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, &attach.Wrong{Reason: string(gwapiv1.RouteReasonUnsupportedValue), Message: attach.Words(key) + " is of type ExternalName, which is refused",
			Mend: "write a Backend with that hostname"}
	}
	for i, port := range service.Spec.Ports {
		switch {
		case port.Port != number:
		case cmp.Or(port.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP:
			return nil, &attach.Wrong{Reason: string(gwapiv1.RouteReasonUnsupportedProtocol), Message: fmt.Sprintf("port %d of %s is not of protocol TCP", number, attach.Words(key)),
				Mend: "name a TCP port"}
		default:
			return &service.Spec.Ports[i], nil
		}
	}
	return nil, &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound), Message: fmt.Sprintf("%s has no port %d", attach.Words(key), number),
		Mend: "name a port of the Service's spec.ports"}
}

// TranslateService makes the plan of a Service's ports that routes use, by plan name of the port.
func TranslateService(r *derive.Reader, in *attach.Inputs, used func(*derive.Reader, string) bool, key string, service *corev1.Service) map[string]*Ports {
	ports := &Ports{Verdict: &attach.Verdict{}}
	for index, declared := range service.Spec.Ports {
		name := PortName(key, declared.Port)
		if !used(r, name) || slices.ContainsFunc(ports.Plans, func(b *plan.Backend) bool { return b.Name == name }) {
			continue
		}
		port, wrong := Port(key, service, declared.Port)
		if wrong != nil {
			continue // the routes that use it say so
		}
		b := &plan.Backend{Name: name, Origin: plan.Endpoints, Port: int(port.Port), Protocol: Spoken(port)}
		found := false
		for _, slice := range in.EndpointSlices(r, key) {
			found = ports.collect(r, in, b, port, slice) || found
		}
		if !found && !in.Kubernetes { // there it is the cluster's business, and passes
			ports.missing(key, service.Name, port, index)
		}
		slices.SortFunc(b.Addresses, func(x, y plan.Endpoint) int {
			return cmp.Or(strings.Compare(x.Address, y.Address), cmp.Compare(x.Port, y.Port))
		})
		b.Addresses = slices.Compact(b.Addresses)
		if n := len(b.Addresses); n > maxEndpoints {
			b.Addresses = slices.Clone(b.Addresses[:maxEndpoints])
			ports.warn(key, "TooManyEndpoints", index, fmt.Sprintf("port %d has %d endpoints, and requests go to the first %d of them", port.Port, n, maxEndpoints),
				"divide what runs behind it among several Services, which a rule may weight")
		}
		ports.Plans = append(ports.Plans, b)
	}
	if len(ports.Plans) == 0 {
		return nil
	}
	return map[string]*Ports{key: ports}
}

// The Kubernetes standard application protocols (KEP-3726, GEP-1911), and IANA's name of HTTP over TLS.
const (
	appH2C = "kubernetes.io/h2c"
	appWS  = "kubernetes.io/ws"
	appWSS = "kubernetes.io/wss"

	appHTTPS = "https"
)

// Spoken is what a port says that it speaks: WebSocket is opened in HTTP/1.1 (RFC 6455); whatever we do not know is left
// to the client's version.
func Spoken(port *corev1.ServicePort) plan.Protocol {
	switch attach.Or(port.AppProtocol, "") {
	case appH2C:
		return plan.HTTP2
	case appWS, appWSS:
		return plan.HTTP11
	}
	return plan.HTTP
}

// Secured says what is wrong with using a port that says it speaks TLS: without a BackendTLSPolicy nobody says how it is
// verified (GEP-1911), and what is meant for TLS must not go out in the clear.
func Secured(r *derive.Reader, in *attach.Inputs, key string, service *corev1.Service, port *corev1.ServicePort) *attach.Wrong {
	says := attach.Or(port.AppProtocol, "")
	if says != appWSS && !strings.EqualFold(says, appHTTPS) || in.Named(r, "BackendTLSPolicy", service.Namespace, service.Name, port.Name) {
		return nil
	}
	return &attach.Wrong{
		Reason:  string(gwapiv1.RouteReasonUnsupportedProtocol),
		Message: fmt.Sprintf("port %d of %s speaks %s, and no BackendTLSPolicy says how it is verified", port.Port, attach.Words(key), says),
		Mend:    "write a BackendTLSPolicy for the Service",
	}
}

// missing warns of a port that no EndpointSlice has: standalone nothing else will bring one.
func (p *Ports) missing(key, name string, port *corev1.ServicePort, index int) {
	what := "port " + port.Name
	if port.Name == "" {
		what = "a port without a name, as the Service's is"
	}
	p.warn(key, "NoEndpoints", index, "no EndpointSlice of it has "+what+", and requests are answered 503",
		"standalone write one with the label kubernetes.io/service-name: "+name)
}

// warn tells of a Service's port, by its place among them.
func (p *Ports) warn(key, reason string, index int, message, mend string) {
	problems := attach.Problems{Object: key}
	problems.Warn("", reason, fmt.Sprintf("spec.ports[%d]", index), message, mend)
	p.Verdict.Problems = append(p.Verdict.Problems, problems.List...)
}

// collect adds the ready addresses of a slice's port, and reports whether the slice has it.
func (p *Ports) collect(r *derive.Reader, in *attach.Inputs, b *plan.Backend, port *corev1.ServicePort, slice *discoveryv1.EndpointSlice) bool {
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		return false
	}
	number, ok := slicePort(slice, port.Name)
	if !ok {
		return false
	}
	for i, endpoint := range slice.Endpoints {
		if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
			continue
		}
		for j, address := range endpoint.Addresses {
			a, err := netip.ParseAddr(address)
			if why := refused(in, a); err != nil || why != "" {
				p.refuse(slice, fmt.Sprintf("endpoints[%d].addresses[%d]", i, j), cmp.Or(why, "no IP address"))
				continue
			}
			b.Addresses = append(b.Addresses, plan.Endpoint{Address: a.String(), Port: number, Pod: in.Pod(r, slice.Namespace, a.Unmap())})
		}
	}
	return true
}

// slicePort finds a Service's port in a slice: by its name, since the number there is the target's.
func slicePort(slice *discoveryv1.EndpointSlice, name string) (int, bool) {
	for _, p := range slice.Ports {
		if attach.Or(p.Name, "") == name && p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
			return int(*p.Port), true
		}
	}
	return 0, false
}

// refused says why an address cannot be a Service's endpoint; empty where it can. On Kubernetes loopback is the proxy's
// own Pod; standalone the folder is taken at its word.
func refused(in *attach.Inputs, a netip.Addr) string {
	switch class := policy.Classify(a); class {
	case policy.AddressLinkLocal, policy.AddressMetadata, policy.AddressSpecial:
		return "a " + class.String() + " address"
	case policy.AddressLoopback:
		if in.Kubernetes {
			return "a " + class.String() + " address"
		}
	}
	return ""
}

func (p *Ports) refuse(slice *discoveryv1.EndpointSlice, field, what string) {
	problems := attach.Problems{Object: plan.ObjectName("EndpointSlice", slice.Namespace, slice.Name)}
	problems.Add("", "AddressRefused", field, "the endpoint is "+what+", which no Service may lead to; it is left out", "remove it")
	refused := 0
	for _, known := range p.Verdict.Problems {
		if known.Reason == problems.List[0].Reason {
			refused++
		}
		if known == problems.List[0] {
			return
		}
	}
	if refused >= maxRefused {
		return
	}
	p.Verdict.Problems = append(p.Verdict.Problems, problems.List...)
}
