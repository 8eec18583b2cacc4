package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GuardRailsPolicy is what may never leave, whoever asks and whatever a Route, Backend or other policy says.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Inherited"
// +kubebuilder:resource:categories=ebbgate,shortName=ebbrails
// +kubebuilder:printcolumn:name="Target Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Effective",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Effective")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GuardRailsPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the policy as the user wants it.
	//
	// +required
	Spec GuardRailsPolicySpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// GuardRailsPolicyList is a list of GuardRailsPolicies.
//
// +kubebuilder:object:root=true
type GuardRailsPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GuardRailsPolicy `json:"items"`
}

// EnforcementMode says whether a restriction bites.
//
// +kubebuilder:validation:Enum=Enforce;Report
type EnforcementMode string

// The modes of enforcement.
const (
	// EnforcementModeEnforce refuses what the policy forbids.
	EnforcementModeEnforce EnforcementMode = "Enforce"
	// EnforcementModeReport logs and counts what would have been refused, and lets it pass.
	EnforcementModeReport EnforcementMode = "Report"
)

// GuardRailsPolicySpec says what may never leave through the targets.
type GuardRailsPolicySpec struct {
	// TargetRefs name the Gateways of the same namespace, or, from the controller's own namespace, the GatewayClasses
	// whose every Gateway the policy holds for; 1 to 16. Required; another kind, or the same target twice, is refused at
	// admission. One that does not exist gives Accepted=False, TargetNotFound.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.group == 'gateway.networking.k8s.io' && t.kind in ['Gateway', 'GatewayClass'])",message="targetRefs may name Gateway and GatewayClass (gateway.networking.k8s.io)"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.group == b.group && a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="targetRefs must not name the same target twice"
	TargetRefs []gwapiv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// Mode is Enforce, or Report to log and count what would have been refused and let it pass. It does not make
	// addresses.allowPrivate open anything in Report. Default: Enforce. Another value is refused at admission.
	// Restriction.
	//
	// +optional
	// +kubebuilder:default=Enforce
	Mode EnforcementMode `json:"mode,omitempty"`

	// Hosts say which names may be reached. They are held against the name dialled, the Host sent, the SNI sent and the
	// authority of a CONNECT: any denied name denies, and all must be allowed. Default: every name. Restriction.
	//
	// +optional
	Hosts *HostRules `json:"hosts,omitempty"`

	// Addresses say which addresses may be dialled. Default: public addresses alone. Restriction.
	//
	// +optional
	Addresses *AddressRules `json:"addresses,omitempty"`

	// Limits bound what a request may bring. Restriction.
	//
	// +optional
	Limits *RequestLimits `json:"limits,omitempty"`
}

// RequestLimits bound what a request may bring; of several the strictest holds.
type RequestLimits struct {
	// RequestBody is how many bytes the body may have, such as 32Mi; a larger one gets 413 body_too_large. In mode Report a
	// body that states no length is let through unseen. Default: 32Mi, but for calls of gRPC, which have none. A value that is
	// no quantity, or not above zero, is refused at admission. Restriction.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="requestBody must be above zero"
	RequestBody *resource.Quantity `json:"requestBody,omitempty"`

	// HeaderBytes is how many bytes the fields of the head may have, such as 16Ki: names and values, and four more for each.
	// A larger one gets 431 head_too_large. Default: 64Ki for the whole head, which no value raises. A value that is no
	// quantity, or not above zero, is refused at admission. Restriction.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="headerBytes must be above zero"
	HeaderBytes *resource.Quantity `json:"headerBytes,omitempty"`
}

// HostRules say which names may be reached.
type HostRules struct {
	// Allow lists the names that may be reached; lists of several scopes intersect. Default, and an empty list: every
	// name that is not denied. At most 256; a value that is neither a name nor "*." and a name is refused at admission.
	// Restriction.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Allow []HostPattern `json:"allow,omitempty"`

	// Deny lists the names that may never be reached; lists of several scopes unite, and deny wins over allow. Default:
	// none. At most 256; a value that is neither a name nor "*." and a name is refused at admission. Restriction.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Deny []HostPattern `json:"deny,omitempty"`
}
