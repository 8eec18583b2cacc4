package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// EgressMode says what a target is reached as.
//
// +kubebuilder:validation:Enum=Endpoint;Parent
type EgressMode string

// The modes of EgressPolicy.
const (
	// EgressModeEndpoint reaches the destination itself.
	EgressModeEndpoint EgressMode = "Endpoint"
	// EgressModeParent reaches it through another gateway, or as one.
	EgressModeParent EgressMode = "Parent"
)

// ParentForm is how another gateway is asked.
//
// +kubebuilder:validation:Enum=Origin;Absolute;Connect
type ParentForm string

// The forms of a request to another gateway.
const (
	// ParentFormOrigin asks as the client asked.
	ParentFormOrigin ParentForm = "Origin"
	// ParentFormAbsolute asks for the destination's whole URL.
	ParentFormAbsolute ParentForm = "Absolute"
	// ParentFormConnect asks for a tunnel to the destination.
	ParentFormConnect ParentForm = "Connect"
)

// ParentBackendReference names a Backend that is another gateway.
//
// +kubebuilder:validation:XValidation:rule="self.group == 'ebbgate.dev' && self.kind == 'Backend'",message="parentRef may name a Backend (ebbgate.dev)"
type ParentBackendReference struct {
	// Group is ebbgate.dev, which is the default. Another is refused at admission.
	//
	// +optional
	// +kubebuilder:default=ebbgate.dev
	Group gwapiv1.Group `json:"group,omitempty"`

	// Kind is Backend, which is the default. Another is refused at admission.
	//
	// +optional
	// +kubebuilder:default=Backend
	Kind gwapiv1.Kind `json:"kind,omitempty"`

	// Name is the Backend's. Required.
	//
	// +required
	Name gwapiv1.ObjectName `json:"name"`

	// Namespace is the Backend's. Default: the policy's own. Another needs a ReferenceGrant there, without which
	// ResolvedRefs is False and what the policy holds for answers 500.
	//
	// +optional
	Namespace *gwapiv1.Namespace `json:"namespace,omitempty"`
}
