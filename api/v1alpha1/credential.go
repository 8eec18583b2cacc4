package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// CredentialHeaderName is the name of a header that a credential may be written to. Those that frame the message, name
// its destination, belong to one hop or are the gateway's own are refused at admission.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().matches('^(host|connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|expect|forwarded|via|proxy-.*|x-forwarded-.*|ebbgate-.*)$')",message="this header is the gateway's own or belongs to the connection and cannot carry a credential"
type CredentialHeaderName string

// APIKeyCredential is a key written to a header.
type APIKeyCredential struct {
	// SecretRef names the Secret and the key within it. Required. What is missing, or may not be read from here, gives
	// ResolvedRefs=False, and onUnavailable applies.
	//
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`

	// Header is the header that the key is written to, in place of what the client sent. Default: Authorization. A name
	// that is no header name, or that the gateway writes itself, is refused at admission. Setting.
	//
	// +optional
	// +kubebuilder:default=Authorization
	Header CredentialHeaderName `json:"header,omitempty"`

	// Prefix is written before the key, its spaces included. Default: "Bearer " when header is Authorization in any
	// case, otherwise nothing; "" writes the key alone. At most 64 visible ASCII characters and spaces; anything else is
	// refused at admission. Setting.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^([!-~][ -~]*)?$`
	Prefix *string `json:"prefix,omitempty"`
}

// BasicCredential is a user name and password.
type BasicCredential struct {
	// SecretRef names a Secret of type kubernetes.io/basic-auth, with the keys username and password. Required. What is
	// missing, or may not be read from here, gives ResolvedRefs=False, and onUnavailable applies.
	//
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// InjectedHeader is a header written beside a credential.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.secretRef)",message="exactly one of value and secretRef must be set"
type InjectedHeader struct {
	// Name is the header's name. Required. A name that is no header name, or that the gateway writes itself, is refused
	// at admission.
	//
	// +required
	Name CredentialHeaderName `json:"name"`

	// Value is the header's value where it is no secret: 1 to 4096 visible ASCII characters, with spaces and tabs
	// between them. Exactly one of it and secretRef must be set. Setting.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^[!-~]([ -~\t]*[!-~])?$`
	Value *string `json:"value,omitempty"`

	// SecretRef names the Secret and the key that hold the value. Exactly one of it and value must be set. Setting.
	//
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`
}

// SecretReference names a Secret.
type SecretReference struct {
	// Name is the Secret's name. Required.
	//
	// +required
	Name gwapiv1.ObjectName `json:"name"`

	// Namespace is the Secret's namespace. Default: the namespace of what refers to it; another one needs a
	// ReferenceGrant there.
	//
	// +optional
	Namespace *gwapiv1.Namespace `json:"namespace,omitempty"`
}

// SecretKeyReference names one key of a Secret.
type SecretKeyReference struct {
	// Name is the Secret's name. Required.
	//
	// +required
	Name gwapiv1.ObjectName `json:"name"`

	// Namespace is the Secret's namespace. Default: the namespace of what refers to it; another one needs a
	// ReferenceGrant there.
	//
	// +optional
	Namespace *gwapiv1.Namespace `json:"namespace,omitempty"`

	// Key is the key of the Secret's data that holds the value. Default: token. A name that a Secret cannot have as a
	// key is refused at admission.
	//
	// +optional
	// +kubebuilder:default=token
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}
