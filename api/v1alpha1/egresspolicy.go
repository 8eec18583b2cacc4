package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// EgressPolicy is how a destination is reached: who may use it, what may be asked of it, where it is, and how long it
// may take. On a Gateway or a route it sets timeouts alone.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Inherited"
// +kubebuilder:resource:categories=ebbgate,shortName=ebbegress
// +kubebuilder:printcolumn:name="Target Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type EgressPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the policy as the user wants it.
	//
	// +required
	Spec EgressPolicySpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// EgressPolicyList is a list of EgressPolicies.
//
// +kubebuilder:object:root=true
type EgressPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EgressPolicy `json:"items"`
}

// EgressPolicySpec says how the targets are reached.
//
// +kubebuilder:validation:XValidation:rule="!self.targetRefs.exists(t, t.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute']) || !(has(self.region) || has(self.clients) || has(self.requests))",message="a policy on a Gateway, an HTTPRoute or a GRPCRoute may set timeouts alone: region, clients and requests belong to a destination"
type EgressPolicySpec struct {
	// TargetRefs name what the policy is for, in the same namespace: Backend, Service, XBackend, Gateway,
	// HTTPRoute or GRPCRoute, 1 to 16; sectionName is a listener of a Gateway, a rule of a route or a port of a Service.
	// Required; another kind, or the same target twice, is refused at admission. One that does not exist gives
	// Accepted=False, TargetNotFound.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, (t.group == 'ebbgate.dev' && t.kind == 'Backend') || (t.group == '' && t.kind == 'Service') || (t.group == 'gateway.networking.x-k8s.io' && t.kind == 'XBackend') || (t.group == 'gateway.networking.k8s.io' && t.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute']))",message="targetRefs may name Backend (ebbgate.dev), Service (core group), XBackend (gateway.networking.x-k8s.io), Gateway, HTTPRoute and GRPCRoute (gateway.networking.k8s.io)"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.group == b.group && a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="targetRefs must not name the same target twice"
	TargetRefs []gwapiv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// Region is where the destination processes data, for example eu-west-1: lower-case letters, digits and hyphens, at
	// most 63. Default: unknown. Another form is refused at admission. Restriction.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Region *string `json:"region,omitempty"`

	// Clients are the clients that may use the destination; one match is enough, and others get 403. Default: everybody
	// who may use the route, but for a destination with a CredentialInjector only clients of the Route's own namespace.
	// 1 to 64 where it is set; an empty list is refused at admission. Restriction.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Clients []ClientSelector `json:"clients,omitempty"`

	// Requests are the requests that may be made of the destination, judged as they would be sent, after every rewrite;
	// others get 403. Default: every request. Restriction.
	//
	// +optional
	Requests *RequestRules `json:"requests,omitempty"`

	// Timeouts are how long the destination may take. An HTTPRoute's own timeouts win over those of the same meaning.
	// Setting, field by field.
	//
	// +optional
	Timeouts *Timeouts `json:"timeouts,omitempty"`
}

// RequestRules say which requests may be made of a destination. Methods and paths are joined by AND.
//
// +kubebuilder:validation:XValidation:rule="has(self.methods) || has(self.paths)",message="set methods, paths or both"
type RequestRules struct {
	// Methods are the methods that may be used. Default: every method. An unknown one, or an empty list, is refused at
	// admission. Restriction.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Methods []gwapiv1.HTTPMethod `json:"methods,omitempty"`

	// Paths are the paths that may be asked for, without query; a "*" stands for any characters within one segment, a
	// final "/**" for anything below. Default: every path. At most 64; one that does not begin with "/", holds "?" or
	// "#", or has "**" elsewhere than as its last segment is refused at admission. Restriction.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Paths []PathPattern `json:"paths,omitempty"`
}

// PathPattern is a path in which "*" stands for any characters within one segment and a final "/**" for anything below.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^(/\*?([^/*?#\s]+\*?)*)*(/\*\*)?$`
type PathPattern string

// Timeouts are how long a destination may take over the steps of one request. All are durations as in GEP-2257, such as
// 500ms, 5s or 1m30s; another form is refused at admission.
type Timeouts struct {
	// Connect is the time from dialling one address to the end of the TLS handshake, above zero; when it is over the
	// attempt has failed unsent. Default: 5s. Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="connect must be above zero"
	Connect *gwapiv1.Duration `json:"connect,omitempty"`

	// FirstByte is the time from the request's last byte to the response's first; when it is over the client gets 504.
	// Default: 600s. 0s: no limit. Setting.
	//
	// +optional
	FirstByte *gwapiv1.Duration `json:"firstByte,omitempty"`

	// StreamIdle is the longest silence within a response's body; when it is over the response is cut off, visibly to
	// the client. Default: 300s. 0s: no limit. Setting.
	//
	// +optional
	StreamIdle *gwapiv1.Duration `json:"streamIdle,omitempty"`

	// Request is the time for the whole exchange, retries included; when it is over the client gets 504 or, once the
	// response has begun, sees it cut off. Default: 0s, no limit. Setting.
	//
	// +optional
	Request *gwapiv1.Duration `json:"request,omitempty"`
}
