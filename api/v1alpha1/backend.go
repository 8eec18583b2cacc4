package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Backend is a destination outside the cluster: what it is called, where it is, what it speaks, and how it proves who
// it is. Routes of its own namespace name it in backendRefs; others need a ReferenceGrant. Its shape follows GEP-4894.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=ebbgate,shortName=ebbe
// +kubebuilder:printcolumn:name="Type",type=string,priority=1,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Hostname",type=string,JSONPath=`.spec['externalHostname','addresses'].hostname`
// +kubebuilder:printcolumn:name="Port",type=integer,JSONPath=`.spec.port.number`
// +kubebuilder:printcolumn:name="Protocol",type=string,JSONPath=`.spec.protocol`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ebbgate.dev/Healthy")].status`
// +kubebuilder:printcolumn:name="Gateway",type=string,priority=1,JSONPath=`.status.ancestors[*].ancestorRef.name`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Backend struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the destination as the user wants it.
	//
	// +required
	Spec BackendSpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// BackendList is a list of Backends.
//
// +kubebuilder:object:root=true
type BackendList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Backend `json:"items"`
}

// BackendType names the member of BackendSpec that says where the destination is.
//
// +kubebuilder:validation:Enum=ExternalHostname;Addresses
type BackendType string

// The types of Backend.
const (
	// BackendTypeExternalHostname is a destination found by resolving its name.
	BackendTypeExternalHostname BackendType = "ExternalHostname"
	// BackendTypeAddresses is a destination whose addresses are written down.
	BackendTypeAddresses BackendType = "Addresses"
)

// BackendSpec says what a Backend is.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'ExternalHostname') == has(self.externalHostname)",message="externalHostname must be set when type is ExternalHostname, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Addresses') == has(self.addresses)",message="addresses must be set when type is Addresses, and only then"
// +kubebuilder:validation:XValidation:rule="!has(self.protocol) || self.protocol != 'HTTP2' || !has(self.tls) || !has(self.tls.mode) || self.tls.mode != 'None'",message="protocol HTTP2 is spoken over TLS: write H2C for HTTP/2 in clear text"
// +kubebuilder:validation:XValidation:rule="!has(self.protocol) || self.protocol != 'H2C' || (has(self.tls) && has(self.tls.mode) && self.tls.mode == 'None')",message="protocol H2C is spoken in clear text: write tls.mode None, or HTTP2 for HTTP/2 over TLS"
// +kubebuilder:validation:XValidation:rule="!(has(self.externalHostname) && self.externalHostname.hostname.startsWith('*.') && has(self.tls) && has(self.tls.validation) && has(self.tls.validation.hostname))",message="tls.validation.hostname must be absent when externalHostname.hostname is a wildcard: the request's own name is verified"
type BackendSpec struct {
	// Type says which of externalHostname and addresses describes the destination. Required; another value is refused
	// at admission.
	//
	// +unionDiscriminator
	// +required
	Type BackendType `json:"type"`

	// ExternalHostname is the destination by name. Required when type is ExternalHostname and refused at admission
	// otherwise.
	//
	// +optional
	ExternalHostname *ExternalHostnameBackend `json:"externalHostname,omitempty"`

	// Addresses is the destination by IP addresses, for cross-cluster gateways and appliances. Required when type is
	// Addresses and refused at admission otherwise.
	//
	// +optional
	Addresses *AddressesBackend `json:"addresses,omitempty"`

	// Port is the port that is dialled. Required. A backendRef's own port must be absent or equal to it.
	//
	// +required
	Port BackendPort `json:"port"`

	// Protocol is what is spoken to the destination. HTTP is the client's own version where the far side offers it over
	// TLS, else HTTP/1.1. HTTP11 is always HTTP/1.1. HTTP2 is HTTP/2, agreed on by ALPN; it needs TLS. H2C is HTTP/2 in
	// clear text with prior knowledge; it needs tls.mode None. GRPC is HTTP/2 with or without TLS. Default: HTTP. Another
	// value, or one that does not fit tls, is refused at admission.
	//
	// +optional
	// +kubebuilder:default=HTTP
	Protocol BackendProtocol `json:"protocol,omitempty"`

	// TLS says how the connection is secured. Absent: mode ServerOnly, verified against the system's roots; a
	// destination in clear text must be written as mode None.
	//
	// +optional
	TLS *BackendTLS `json:"tls,omitempty"`
}

// ExternalHostnameBackend is a destination found by resolving its name.
type ExternalHostnameBackend struct {
	// Hostname is the destination's name: what is resolved, sent as Host and SNI, and verified. It is a fully qualified
	// DNS name in lower case without a final dot. "*.example.com" takes the name from the request's authority as
	// received, which must lie below example.com. Required. IP addresses and names inside the cluster (localhost, svc,
	// cluster.local and all below them) are refused at admission.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|[.])(0x[0-9a-f]*|[0-9]+)$')",message="hostname must not be an IP address: use type Addresses"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|[.])(localhost|svc|cluster[.]local)$')",message="hostname must not be localhost or a name inside the cluster (svc, cluster.local): use a Service as backendRef"
	// +kubebuilder:validation:XValidation:rule="self.matches('[^*][.].')",message="hostname must be fully qualified, such as api.example.com or *.example.com"
	Hostname string `json:"hostname"`
}

// AddressesBackend is a destination whose addresses are written down.
type AddressesBackend struct {
	// Addresses are the IP addresses to dial, all of them equal. Required, 1 to 16. A private address needs the
	// guardrails' addresses.allowPrivate. A value that is no IP address is refused at admission.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Addresses []IPAddress `json:"addresses"`

	// Hostname is sent as Host and SNI, and verified; it is never resolved, so it may be a name that only the far side
	// knows. Required. IP addresses and wildcards are refused at admission.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|[.])(0x[0-9a-f]*|[0-9]+)$')",message="hostname must not be an IP address"
	Hostname gwapiv1.PreciseHostname `json:"hostname"`
}

// BackendPort is the port of a Backend.
type BackendPort struct {
	// Number is the TCP port, 1 to 65535. Required; another value is refused at admission.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Number int32 `json:"number"`
}

// BackendProtocol is what is spoken to a Backend.
//
// +kubebuilder:validation:Enum=HTTP;HTTP11;HTTP2;H2C;GRPC
type BackendProtocol string

// The protocols of a Backend.
const (
	// BackendProtocolHTTP is HTTP in the client's own version where the far side offers it.
	BackendProtocolHTTP BackendProtocol = "HTTP"
	// BackendProtocolHTTP11 is HTTP/1.1.
	BackendProtocolHTTP11 BackendProtocol = "HTTP11"
	// BackendProtocolHTTP2 is HTTP/2 over TLS.
	BackendProtocolHTTP2 BackendProtocol = "HTTP2"
	// BackendProtocolH2C is HTTP/2 in clear text, with prior knowledge (RFC 9113, section 3.3).
	BackendProtocolH2C BackendProtocol = "H2C"
	// BackendProtocolGRPC is gRPC: HTTP/2, over TLS or in clear text as tls says.
	BackendProtocolGRPC BackendProtocol = "GRPC"
)
