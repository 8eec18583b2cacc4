package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// RegionAllowListPolicy is the only regions that data may go to, whatever a Route, Backend or other policy says, in every
// tier and on every attempt.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Inherited"
// +kubebuilder:resource:categories=ebbgate,shortName=ebbregion
// +kubebuilder:printcolumn:name="Target Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Regions",type=string,JSONPath=`.spec.regions`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Effective",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Effective")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RegionAllowListPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the policy as the user wants it.
	//
	// +required
	Spec RegionAllowListPolicySpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// RegionAllowListPolicyList is a list of RegionAllowListPolicies.
//
// +kubebuilder:object:root=true
type RegionAllowListPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RegionAllowListPolicy `json:"items"`
}

// RegionAllowListPolicySpec says which regions data may go to through the targets.
type RegionAllowListPolicySpec struct {
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

	// Mode is Enforce, or Report to log and count what would have been refused and let it pass. Default: Enforce. Another
	// value is refused at admission. Restriction.
	//
	// +optional
	// +kubebuilder:default=Enforce
	Mode EnforcementMode `json:"mode,omitempty"`

	// Regions are those that a destination may process data in: names as in spec.region of an EgressPolicy, and beginnings
	// of such with a "*" behind them; "*" alone is every region that is stated. Lists of several scopes intersect. 1 to 64;
	// another form is refused at admission. Required. Restriction.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Regions []RegionPattern `json:"regions"`

	// Unknown is whether a destination may be used whose region nothing states: Deny or Allow. Default: Deny. Another value
	// is refused at admission. Restriction.
	//
	// +optional
	// +kubebuilder:default=Deny
	Unknown UnknownRegion `json:"unknown,omitempty"`
}

// RegionPattern is a region, or the beginning of some with a "*" behind it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^([a-z0-9][-a-z0-9]*\*?|\*)$`
type RegionPattern string

// UnknownRegion says what becomes of destinations without a region.
//
// +kubebuilder:validation:Enum=Deny;Allow
type UnknownRegion string

// The ways with destinations without a region.
const (
	// UnknownRegionDeny refuses them.
	UnknownRegionDeny UnknownRegion = "Deny"
	// UnknownRegionAllow lets them pass.
	UnknownRegionAllow UnknownRegion = "Allow"
)
