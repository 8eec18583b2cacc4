package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GatewayParameters say how a Gateway runs on Kubernetes, how it knows its clients, and what it is called. A Gateway names them in spec.infrastructure.parametersRef.
// Named by a GatewayClass in spec.parametersRef they are defaults and ceilings for those of its Gateways.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=gatewayparameters,singular=gatewayparameters,categories=ebbgate,shortName=ebbparams
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.spec.deployment.replicas`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.deployment.autoscaling.max`
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service.type`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Effective",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Effective")].status`
// +kubebuilder:printcolumn:name="Gateway",type=string,priority=1,JSONPath=`.status.ancestors[*].ancestorRef.name`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayParameters struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the parameters as the user wants them.
	//
	// +required
	Spec GatewayParametersSpec `json:"spec"`

	// Status is what each Gateway that names them makes of them.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// GatewayParametersList is a list of GatewayParameters.
//
// +kubebuilder:object:root=true
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayParameters `json:"items"`
}

// GatewayParametersSpec says how a Gateway runs on Kubernetes, how it knows its clients, and what it is called.
type GatewayParametersSpec struct {
	// Deployment says how many proxies the Gateway has on Kubernetes, and where they run. Standalone it has no effect, and
	// the status says so (Effective=False). Default: two replicas, spread across nodes.
	//
	// +optional
	Deployment *ProxyDeployment `json:"deployment,omitempty"`

	// Service says how the Gateway is reached on Kubernetes. Standalone it has no effect, and the status says so
	// (Effective=False). Default: an address inside the cluster.
	//
	// +optional
	Service *ProxyService `json:"service,omitempty"`

	// Identity lists the sources that are on; the strongest that answers names the client, and two that disagree leave
	// it unknown. Default: PodAddress; standalone none, where a loopback client is local/local and every other unknown. At
	// most 8.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Identity []IdentitySource `json:"identity,omitempty"`

	// TrustedPeers are the child gateways and proxies that are believed when they say for whom a request is. Default:
	// none. At most 64; a peer in whose trust domain no source of type SPIFFE is gives Accepted=False.
	//
	// +optional
	// +listType=map
	// +listMapKey=spiffe
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	TrustedPeers []TrustedPeer `json:"trustedPeers,omitempty"`

	// HopName is what this gateway calls itself to other gateways (Via, RFC 9110), and by which it knows a request that
	// comes round to it. Give no two gateways the same. Default: the Gateway's UID; standalone an id made at start. A
	// value that is not 1 to 63 letters, digits, dots, dashes and underscores is refused at admission.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._-]*$`
	HopName string `json:"hopName,omitempty"`
}

// IdentitySourceType names a way to know a client.
//
// +kubebuilder:validation:Enum=Static;SPIFFE;PodAddress;ServiceAccountToken
type IdentitySourceType string

// The types of identity source.
const (
	// IdentitySourceStatic knows clients by written address ranges.
	IdentitySourceStatic IdentitySourceType = "Static"
	// IdentitySourceSPIFFE knows clients by the SPIFFE id of the certificate that they present.
	IdentitySourceSPIFFE IdentitySourceType = "SPIFFE"
	// IdentitySourcePodAddress knows clients by the Pod whose address they come from.
	IdentitySourcePodAddress IdentitySourceType = "PodAddress"
	// IdentitySourceServiceAccountToken knows clients by the ServiceAccount token that they send.
	IdentitySourceServiceAccountToken IdentitySourceType = "ServiceAccountToken"
)

// IdentitySource is one way to know a client.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Static') == has(self.entries)",message="entries must be set when type is Static, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'SPIFFE') == (has(self.trustDomain) && has(self.bundleRef)) && (self.type == 'SPIFFE' || !has(self.trustDomain) && !has(self.bundleRef))",message="trustDomain and bundleRef must be set when type is SPIFFE, and only then"
// +kubebuilder:validation:XValidation:rule="self.type == 'ServiceAccountToken' || !has(self.header) && !has(self.audience)",message="header and audience may be set only when type is ServiceAccountToken"
type IdentitySource struct {
	// Type is, from the strongest: ServiceAccountToken, clients are known by the ServiceAccount token of the cluster that they
	// send; SPIFFE, by the SPIFFE id of the certificate that they present to an HTTPS listener; PodAddress, by the Pod whose
	// address they come from; Static, by written address ranges. ServiceAccountToken and PodAddress have no effect standalone;
	// where no other source is listed the status says so (Effective=False). Required; another value is refused at admission, the same of
	// ServiceAccountToken or PodAddress twice gives Accepted=False.
	//
	// +unionDiscriminator
	// +required
	Type IdentitySourceType `json:"type"`

	// Entries say who is behind which addresses; of several that hold an address the narrowest range decides. Required
	// when type is Static, 1 to 256; the same range twice is refused at admission.
	//
	// +optional
	// +listType=map
	// +listMapKey=cidr
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Entries []StaticIdentity `json:"entries,omitempty"`

	// TrustDomain is the SPIFFE trust domain whose ids the source answers for, for example cluster.local. An id of the form
	// spiffe://<trust domain>/ns/<namespace>/sa/<service account> names namespace and service account too. Required when
	// type is SPIFFE; a value that is no trust domain is refused at admission.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[a-z0-9._-]+$`
	TrustDomain string `json:"trustDomain,omitempty"`

	// BundleRef names the ConfigMap or Secret of the same namespace with the trust domain's certificates, in PEM under the
	// key ca.crt. Required when type is SPIFFE. One that is missing or broken gives ResolvedRefs=False, and the Gateways
	// that name these parameters are not served: a weaker source would name the clients in its place.
	//
	// +optional
	BundleRef *CACertificateReference `json:"bundleRef,omitempty"`

	// Header is the field of a request that brings the token, as "Bearer" and the token. It is removed from every request.
	// With type ServiceAccountToken alone. Default: Proxy-Authorization. A value that is no field name is refused at
	// admission; one that frames the message, or is hop-by-hop, gives Accepted=False.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	Header string `json:"header,omitempty"`

	// Audience is what the token must be meant for. With type ServiceAccountToken alone. Default: ebbgate. A value longer
	// than 253 bytes is refused at admission.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Audience string `json:"audience,omitempty"`
}

// TrustedPeer is a gateway or proxy that is believed about its clients.
type TrustedPeer struct {
	// SPIFFE is the peer's SPIFFE id, for example spiffe://edge/ns/egress/sa/ebbgate. Required; a value that is no SPIFFE
	// id with a path is refused at admission.
	//
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)+$`
	SPIFFE string `json:"spiffe"`

	// Cluster is the cluster of the clients that the peer speaks for. Default: none is named. A value that is no DNS label
	// is refused at admission.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Cluster string `json:"cluster,omitempty"`

	// Namespaces are those for whose clients the peer may speak, or "*" for all. Required, 1 to 64; a value that is neither
	// "*" nor a DNS label is refused at admission.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Namespaces []ClientName `json:"namespaces"`
}

// StaticIdentity says who is behind a range of addresses.
type StaticIdentity struct {
	// CIDR is the range, for example 10.1.0.0/16. Required; another form is refused at admission.
	//
	// +required
	CIDR CIDR `json:"cidr"`

	// Namespace is the namespace that clients of the range count as. Required; a value that is no DNS label is refused
	// at admission.
	//
	// +required
	Namespace gwapiv1.Namespace `json:"namespace"`

	// ServiceAccount is the ServiceAccount that clients of the range count as. Required; a value that is no DNS name is
	// refused at admission.
	//
	// +required
	ServiceAccount gwapiv1.ObjectName `json:"serviceAccount"`
}
