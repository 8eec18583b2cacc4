// Package attach is what the translators of all kinds share: the objects they read, who may refer to whom
// (ReferenceGrants), which listeners a route attaches to, which targets a policy holds and who of two gives way, and
// how problems become conditions. It translates nothing itself; the packages beside it and translate call it.
package attach

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/source"
)

// Controller is our controllerName.
const Controller gwapiv1.GatewayController = "ebbgate.dev/egress-gateway"

// Group is the API group of our own kinds.
const Group = v1alpha1.GroupName

// StandardGroup is the API group of the standard's experimental kinds.
const StandardGroup = gwapixv1alpha1.GroupName

// Policy is a policy object with its kind.
type Policy struct {
	Kind   *policy.Kind
	Object policy.Object
	Unread string // why nothing but its targets could be read; empty where it was
}

// Fleet is what runs of a Gateway on Kubernetes, as whoever runs it sees it.
type Fleet struct {
	Addresses  []gwapiv1.GatewayStatusAddress // by which workloads reach it
	Programmed bool                           // a proxy is ready, and all that are have taken what is configured
	Reason     string                         // of the condition Programmed where it is not; empty: Pending
	Message    string                         // why it is not
}

// Inputs are the objects by kind, each collection keyed by plan.ObjectName.
type Inputs struct {
	Kubernetes          bool
	ControllerNamespace string
	ClusterName         string

	Classes    derive.Source[*gwapiv1.GatewayClass]
	Gateways   derive.Source[*gwapiv1.Gateway]
	Parameters derive.Source[*v1alpha1.GatewayParameters]
	Routes     derive.Source[*Route]
	Backends   derive.Source[*v1alpha1.Backend]
	XBackends  derive.Source[*unstructured.Unstructured]
	Policies   derive.Source[Policy]
	Namespaces derive.Source[*corev1.Namespace]
	Services   derive.Source[*corev1.Service]
	Slices     derive.Source[*discoveryv1.EndpointSlice]
	Secrets    derive.Source[*corev1.Secret]
	ConfigMaps derive.Source[*corev1.ConfigMap]
	Grants     derive.Source[*gwapiv1.ReferenceGrant]
	Unread     derive.Source[string]        // why routes and Backends could not be read but for what says where they belong
	Others     derive.Source[source.Object] // of kinds that nothing translates
	Fleets     derive.Source[*Fleet]        // by the key of their Gateway
	Pods       derive.Source[*plan.Workload]
	Issuers    derive.Source[*plan.Issuer]  // of ServiceAccount tokens; one, of the key ""
	Ceilings   *derive.Collection[*Ceiling] // of classes of ours
	Hears      *Hears

	grantsByNamespace *derive.Index[*gwapiv1.ReferenceGrant]
	slicesByService   *derive.Index[*discoveryv1.EndpointSlice]
	policiesByTarget  *derive.Index[Policy]
	podsByAddress     *derive.Index[*plan.Workload]
	slicesByAddress   *derive.Index[*discoveryv1.EndpointSlice]
}

// NewInputs adds the empty sources and their indexes to a graph.
func NewInputs(g *derive.Graph, kubernetes bool, controllerNamespace, clusterName string) *Inputs {
	in := &Inputs{
		Kubernetes: kubernetes, ControllerNamespace: controllerNamespace, ClusterName: clusterName,
		Classes:    derive.NewSource[*gwapiv1.GatewayClass](g),
		Gateways:   derive.NewSource[*gwapiv1.Gateway](g),
		Parameters: derive.NewSource[*v1alpha1.GatewayParameters](g),
		Routes:     derive.NewSource[*Route](g),
		Backends:   derive.NewSource[*v1alpha1.Backend](g),
		XBackends:  derive.NewSource[*unstructured.Unstructured](g),
		Policies:   derive.NewSource[Policy](g),
		Namespaces: derive.NewSource[*corev1.Namespace](g),
		Services:   derive.NewSource[*corev1.Service](g),
		Slices:     derive.NewSource[*discoveryv1.EndpointSlice](g),
		Secrets:    derive.NewSource[*corev1.Secret](g),
		ConfigMaps: derive.NewSource[*corev1.ConfigMap](g),
		Grants:     derive.NewSource[*gwapiv1.ReferenceGrant](g),
		Unread:     derive.NewSource[string](g),
		Others:     derive.NewSource[source.Object](g),
		Fleets:     derive.NewSource[*Fleet](g),
		Hears:      NewHears(g),
		Pods:       derive.NewSource[*plan.Workload](g),
		Issuers:    derive.NewSource[*plan.Issuer](g),
	}
	in.grantsByNamespace = derive.NewIndex(in.Grants.Collection, func(_ string, grant *gwapiv1.ReferenceGrant) []string {
		return []string{grant.Namespace}
	})
	in.slicesByService = derive.NewIndex(in.Slices.Collection, func(_ string, slice *discoveryv1.EndpointSlice) []string {
		return []string{plan.ObjectName("Service", slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])}
	})
	in.policiesByTarget = derive.NewIndex(in.Policies.Collection, func(_ string, p Policy) []string { return in.claims(p) })
	in.slicesByAddress = derive.NewIndex(in.Slices.Collection, func(_ string, slice *discoveryv1.EndpointSlice) []string {
		var keys []string
		for _, endpoint := range slice.Endpoints {
			for _, text := range endpoint.Addresses {
				if a, err := netip.ParseAddr(text); err == nil {
					keys = append(keys, a.Unmap().String())
				}
			}
		}
		return keys
	})
	in.podsByAddress = derive.NewIndex(in.Pods.Collection, func(_ string, pod *plan.Workload) []string {
		keys := make([]string, len(pod.Addresses))
		for i, a := range pod.Addresses {
			keys[i] = a.String()
		}
		return keys
	})
	return in
}

// Issuer is who signs the cluster's ServiceAccount tokens; empty where that is not known.
func (in *Inputs) Issuer(r *derive.Reader) plan.Issuer {
	if issuer, ok := derive.Get(r, in.Issuers.Collection, ""); ok {
		return *issuer
	}
	return plan.Issuer{}
}

// Endpoint reports whether a Pod's address is an endpoint of any Service.
func (in *Inputs) Endpoint(pod *plan.Workload) bool {
	return slices.ContainsFunc(pod.Addresses, func(a netip.Addr) bool { return in.slicesByAddress.Has(a.String()) })
}

// Pod reports whether an address is a known Pod's of a namespace, and of no other's.
func (in *Inputs) Pod(r *derive.Reader, namespace string, address netip.Addr) bool {
	pods := derive.Select(r, in.podsByAddress, address.String())
	return len(pods) > 0 && !slices.ContainsFunc(pods, func(pod *plan.Workload) bool { return pod.Namespace() != namespace })
}

// Mend is what to do about an object that could not be read.
const Mend = "write it as the CRD of this version has it, or upgrade the controller"

// Illegible is why a route or a Backend could not be read; empty where it was.
func (in *Inputs) Illegible(r *derive.Reader, key string) string {
	why, _ := derive.Get(r, in.Unread.Collection, key)
	return why
}

// EndpointSlices are those of a Service, by its name.
func (in *Inputs) EndpointSlices(r *derive.Reader, service string) []*discoveryv1.EndpointSlice {
	return derive.Select(r, in.slicesByService, service)
}

// Words is "Kind namespace/name" for messages, of a plan name.
func Words(name string) string {
	kind, rest, _ := strings.Cut(name, "/")
	return kind + " " + strings.TrimPrefix(rest, "/")
}

// Or is the value a pointer leads to, or a default.
func Or[T ~string](value *T, otherwise string) string {
	if value == nil || *value == "" {
		return otherwise
	}
	return string(*value)
}
