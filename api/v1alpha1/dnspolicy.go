package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// DNSPolicy is how a destination's name becomes addresses. On a Gateway it is the default for every destination, on a
// Backend it overrides that.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Inherited"
// +kubebuilder:resource:path=dnspolicies,categories=ebbgate,shortName=ebbdns
// +kubebuilder:printcolumn:name="Target Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Effective",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Effective")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DNSPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the policy as the user wants it.
	//
	// +required
	Spec DNSPolicySpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// DNSPolicyList is a list of DNSPolicies.
//
// +kubebuilder:object:root=true
type DNSPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DNSPolicy `json:"items"`
}

// DNSPolicySpec says how the targets' names become addresses.
type DNSPolicySpec struct {
	// TargetRefs name what the policy is for, in the same namespace: Gateway, Backend or XBackend, 1 to 16. A Service
	// cannot be named: its addresses are its endpoints. Required; another kind, or the same target twice, is refused at
	// admission. One that does not exist gives Accepted=False, TargetNotFound.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, (t.group == 'ebbgate.dev' && t.kind == 'Backend') || (t.group == 'gateway.networking.x-k8s.io' && t.kind == 'XBackend') || (t.group == 'gateway.networking.k8s.io' && t.kind == 'Gateway'))",message="targetRefs may name Backend (ebbgate.dev), XBackend (gateway.networking.x-k8s.io) and Gateway (gateway.networking.k8s.io)"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.group == b.group && a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="targetRefs must not name the same target twice"
	TargetRefs []gwapiv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// Resolvers are asked in order, the next one when one does not answer. Default: the system's. 1 to 8 where it is
	// set; an empty list is refused at admission. Setting.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Resolvers []Resolver `json:"resolvers,omitempty"`

	// Hosts are answers that no resolver is asked for. What addresses refuses stays refused. Default: none. At most 64;
	// the same hostname twice is refused at admission. Setting.
	//
	// +optional
	// +listType=map
	// +listMapKey=hostname
	// +kubebuilder:validation:MaxItems=64
	Hosts []HostAddresses `json:"hosts,omitempty"`

	// TTL bounds how long an answer is used. Setting, field by field.
	//
	// +optional
	TTL *TTLBounds `json:"ttl,omitempty"`

	// Family says which addresses are dialled: Auto tries both as RFC 8305 says, IPv4 and IPv6 that family alone.
	// Default: Auto. Another value is refused at admission. Setting.
	//
	// +optional
	Family *AddressFamily `json:"family,omitempty"`

	// Addresses say which of the answers may be dialled. Default: public addresses alone.
	//
	// +optional
	Addresses *AddressRules `json:"addresses,omitempty"`
}

// Resolver is a DNS server.
type Resolver struct {
	// Address is the server's IP address and port, for example 9.9.9.9:53 or [2620:fe::fe]:53. Required; a name, or an
	// address without port, is refused at admission.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=53
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+|[[][0-9a-fA-F:.]+[]]):[1-9][0-9]{0,4}$') && isIP(self.substring(0, self.lastIndexOf(':')).replace('[', '').replace(']', '')) && int(self.substring(self.lastIndexOf(':') + 1)) < 65536",message="must be an IP address and a port, such as 9.9.9.9:53 or [2620:fe::fe]:53"
	Address string `json:"address"`

	// Protocol is UDP (with TCP for answers that do not fit) or TCP. Default: UDP. Another value is refused at
	// admission.
	//
	// +optional
	// +kubebuilder:default=UDP
	Protocol ResolverProtocol `json:"protocol,omitempty"`
}

// ResolverProtocol is how a DNS server is spoken to.
//
// +kubebuilder:validation:Enum=UDP;TCP
type ResolverProtocol string

// The protocols of a Resolver.
const (
	// ResolverProtocolUDP is DNS over UDP, with TCP for answers that do not fit.
	ResolverProtocolUDP ResolverProtocol = "UDP"
	// ResolverProtocolTCP is DNS over TCP, RFC 7766.
	ResolverProtocolTCP ResolverProtocol = "TCP"
)

// HostAddresses is a pinned answer.
type HostAddresses struct {
	// Hostname is the name, exactly. Required; wildcards are refused at admission.
	//
	// +required
	Hostname gwapiv1.PreciseHostname `json:"hostname"`

	// Addresses are what the name stands for. Required, 1 to 16; a value that is no IP address is refused at admission.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Addresses []IPAddress `json:"addresses"`
}

// AddressFamily says which addresses of a name are dialled.
//
// +kubebuilder:validation:Enum=Auto;IPv4;IPv6
type AddressFamily string

// The families of addresses.
const (
	// AddressFamilyAuto tries both families as RFC 8305 says.
	AddressFamilyAuto AddressFamily = "Auto"
	// AddressFamilyIPv4 dials IPv4 addresses alone.
	AddressFamilyIPv4 AddressFamily = "IPv4"
	// AddressFamilyIPv6 dials IPv6 addresses alone.
	AddressFamilyIPv6 AddressFamily = "IPv6"
)

// TTLBounds bound how long an answer is used. All are durations as in GEP-2257, such as 500ms, 5s or 1m30s; another form
// is refused at admission.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || duration(self.min) <= duration(self.max)",message="min must not be above max"
type TTLBounds struct {
	// Min is how long an answer is used at least, whatever its TTL. Default: 5s. Setting.
	//
	// +optional
	Min *gwapiv1.Duration `json:"min,omitempty"`

	// Max is how long an answer is used at most, whatever its TTL; not below min. Default: 5m. Setting.
	//
	// +optional
	Max *gwapiv1.Duration `json:"max,omitempty"`

	// Negative is how long it is remembered that a name does not exist or has no address. Default: 5s. Setting.
	//
	// +optional
	Negative *gwapiv1.Duration `json:"negative,omitempty"`

	// ServeStale is how long past its end an answer is still used while no resolver answers, RFC 8767. Default: 10m.
	// 0s: never. Setting.
	//
	// +optional
	ServeStale *gwapiv1.Duration `json:"serveStale,omitempty"`
}
