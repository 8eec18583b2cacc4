package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// CredentialInjector is what proves us to a destination, so that workloads hold no secret. The credential is written
// last, on every attempt, and only towards the target.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Direct"
// +kubebuilder:resource:categories=ebbgate,shortName=ebbcred
// +kubebuilder:printcolumn:name="Target Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Effective",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Effective")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CredentialInjector struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the credential and where it is spent.
	//
	// +required
	Spec CredentialInjectorSpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// CredentialInjectorList is a list of CredentialInjectors.
//
// +kubebuilder:object:root=true
type CredentialInjectorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CredentialInjector `json:"items"`
}

// CredentialType names the member of CredentialInjectorSpec that holds the credential.
//
// +kubebuilder:validation:Enum=APIKey;Basic
type CredentialType string

// The types of credential.
const (
	// CredentialTypeAPIKey is a key written to a header.
	CredentialTypeAPIKey CredentialType = "APIKey"
	// CredentialTypeBasic is a user name and password, RFC 7617.
	CredentialTypeBasic CredentialType = "Basic"
)

// ClientCredentials says what becomes of the credentials a workload sent.
//
// +kubebuilder:validation:Enum=Strip;Keep
type ClientCredentials string

// What may become of a workload's own credentials.
const (
	// ClientCredentialsStrip removes them.
	ClientCredentialsStrip ClientCredentials = "Strip"
	// ClientCredentialsKeep sends those on that ours do not replace.
	ClientCredentialsKeep ClientCredentials = "Keep"
)

// OnUnavailable says what happens to a request whose credential cannot be had.
//
// +kubebuilder:validation:Enum=Deny
type OnUnavailable string

// OnUnavailableDeny refuses the request.
const OnUnavailableDeny OnUnavailable = "Deny"

// CredentialInjectorSpec says which credential is written towards which destinations.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'APIKey') == has(self.apiKey)",message="apiKey must be set when type is APIKey, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Basic') == has(self.basic)",message="basic must be set when type is Basic, and only then"
type CredentialInjectorSpec struct {
	// TargetRefs name the destinations of the same namespace that the credential is for: Backend, Service or XBackend,
	// 1 to 16. Required; another kind, or the same target twice, is refused at admission. One that does not exist gives
	// Accepted=False, TargetNotFound.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, (t.group == 'ebbgate.dev' && t.kind == 'Backend') || (t.group == '' && t.kind == 'Service') || (t.group == 'gateway.networking.x-k8s.io' && t.kind == 'XBackend'))",message="targetRefs may name Backend (ebbgate.dev), Service (core group) and XBackend (gateway.networking.x-k8s.io)"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.group == b.group && a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="targetRefs must not name the same target twice"
	TargetRefs []gwapiv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// Type says which of apiKey and basic holds the credential. Required; another value is refused at admission.
	// Setting.
	//
	// +unionDiscriminator
	// +required
	Type CredentialType `json:"type"`

	// APIKey is a key written to a header. Required when type is APIKey and refused at admission otherwise. Setting.
	//
	// +optional
	APIKey *APIKeyCredential `json:"apiKey,omitempty"`

	// Basic is a user name and password, written as RFC 7617 says. Required when type is Basic and refused at admission
	// otherwise. Setting.
	//
	// +optional
	Basic *BasicCredential `json:"basic,omitempty"`

	// Headers are further headers that the destination wants with the credential, such as OpenAI-Organization; each
	// replaces what the client sent under that name. Default: none. At most 16; the same name twice, in whatever case,
	// is refused at admission. Setting.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.name.lowerAscii() == b.name.lowerAscii()))",message="headers must not name the same header twice"
	Headers []InjectedHeader `json:"headers,omitempty"`

	// PerClient gives some clients another credential; the first entry that names the client decides, and a client that
	// none names gets the credential above. It does not say who may use the destination: EgressPolicy's clients does.
	// Default: none. At most 64. Setting.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	PerClient []ClientCredential `json:"perClient,omitempty"`

	// ClientCredentials says what becomes of the credentials a workload sent (Authorization, Cookie, and what the
	// documentation lists): Strip removes them, Keep sends those on that ours do not replace. Default: Strip. Another
	// value is refused at admission. Setting.
	//
	// +optional
	// +kubebuilder:default=Strip
	ClientCredentials ClientCredentials `json:"clientCredentials,omitempty"`

	// OnUnavailable says what happens to a request whose credential cannot be had, because its Secret is missing, may
	// not be read from here, or lacks the key: Deny answers 500 with reason credential_unavailable. Default: Deny.
	// Another value is refused at admission. Setting.
	//
	// +optional
	// +kubebuilder:default=Deny
	OnUnavailable OnUnavailable `json:"onUnavailable,omitempty"`
}

// ClientCredential is what some clients' requests get in place of the common credential.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.apiKey) && has(self.basic))",message="apiKey and basic exclude each other"
// +kubebuilder:validation:XValidation:rule="has(self.apiKey) || has(self.basic) || has(self.headers)",message="set apiKey, basic or headers: an entry without them changes nothing"
type ClientCredential struct {
	// Clients are the clients that get it; one match is enough. Required, 1 to 16.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Clients []ClientSelector `json:"clients"`

	// APIKey takes the place of spec.apiKey or spec.basic. Default: the common credential stays. Excludes basic.
	// Setting.
	//
	// +optional
	APIKey *APIKeyCredential `json:"apiKey,omitempty"`

	// Basic takes the place of spec.apiKey or spec.basic. Default: the common credential stays. Excludes apiKey.
	// Setting.
	//
	// +optional
	Basic *BasicCredential `json:"basic,omitempty"`

	// Headers are added to spec.headers and replace those of the same name. Default: none. At most 16. Setting.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.name.lowerAscii() == b.name.lowerAscii()))",message="headers must not name the same header twice"
	Headers []InjectedHeader `json:"headers,omitempty"`
}
