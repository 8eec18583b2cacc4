package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// Tier is a set of backends that are used together, before those of the tiers behind it.
type Tier struct {
	// Backends are the tier's, each of them one that the rule names too. Required, 1 to 16; more, or none, are refused at
	// admission.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Backends []TierBackend `json:"backends"`
}

// TierBackend names a backend of a rule, as the rule's backendRefs do.
//
// +kubebuilder:validation:XValidation:rule="(size(self.group) == 0 && self.kind == 'Service') || (self.group == 'ebbgate.dev' && self.kind == 'Backend') || (self.group == 'gateway.networking.x-k8s.io' && self.kind == 'XBackend')",message="tiers may name Service (core group), Backend (ebbgate.dev) and XBackend (gateway.networking.x-k8s.io)"
// +kubebuilder:validation:XValidation:rule="self.kind == 'Service' || !has(self.port)",message="port is a Service's: leave it out"
type TierBackend struct {
	// Group is the backend's API group. Default: the core group. One that does not go with kind is refused at admission.
	//
	// +optional
	// +kubebuilder:default=""
	Group gwapiv1.Group `json:"group,omitempty"`

	// Kind is Service, Backend or XBackend. Default: Service. Another is refused at admission.
	//
	// +optional
	// +kubebuilder:default=Service
	Kind gwapiv1.Kind `json:"kind,omitempty"`

	// Name is the backend's. Required.
	//
	// +required
	Name gwapiv1.ObjectName `json:"name"`

	// Namespace is the backend's. Default: the policy's own. The ReferenceGrant that the rule needs for another one is
	// enough.
	//
	// +optional
	Namespace *gwapiv1.Namespace `json:"namespace,omitempty"`

	// Port is the one that the rule names of a Service. Default: every one that it names. With another kind it is refused
	// at admission.
	//
	// +optional
	Port *gwapiv1.PortNumber `json:"port,omitempty"`
}
