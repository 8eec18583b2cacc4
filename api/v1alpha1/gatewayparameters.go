package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GatewayParameters say how a Gateway knows its clients. A Gateway names them in spec.infrastructure.parametersRef.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=gatewayparameters,singular=gatewayparameters,categories=ebbgate,shortName=ebbparams
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
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

// GatewayParametersSpec says how a Gateway knows its clients.
type GatewayParametersSpec struct {
	// Identity lists the sources that are on; the strongest that answers names the client, and two that disagree leave
	// it unknown. Default: none, every client is unknown (standalone: a loopback client is local/local). At most 8.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Identity []IdentitySource `json:"identity,omitempty"`
}

// IdentitySourceType names a way to know a client.
//
// +kubebuilder:validation:Enum=Static
type IdentitySourceType string

// IdentitySourceStatic knows clients by written address ranges.
const IdentitySourceStatic IdentitySourceType = "Static"

// IdentitySource is one way to know a client.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Static') == has(self.entries)",message="entries must be set when type is Static, and only then"
type IdentitySource struct {
	// Type is Static: clients are known by written address ranges. Required; another value is refused at admission.
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
