package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// BackendTLSMode says which side of a connection proves itself.
//
// +kubebuilder:validation:Enum=None;ServerOnly;ClientAndServer
type BackendTLSMode string

// The TLS modes of a Backend.
const (
	// BackendTLSModeNone is clear text.
	BackendTLSModeNone BackendTLSMode = "None"
	// BackendTLSModeServerOnly verifies the destination and never presents a certificate.
	BackendTLSModeServerOnly BackendTLSMode = "ServerOnly"
	// BackendTLSModeClientAndServer verifies the destination and presents a client certificate.
	BackendTLSModeClientAndServer BackendTLSMode = "ClientAndServer"
)

// TLSVersion is a version of TLS.
//
// +kubebuilder:validation:Enum="1.2";"1.3"
type TLSVersion string

// The TLS versions that may be asked for.
const (
	// TLSVersion12 is TLS 1.2, RFC 5246.
	TLSVersion12 TLSVersion = "1.2"
	// TLSVersion13 is TLS 1.3, RFC 8446.
	TLSVersion13 TLSVersion = "1.3"
)

// BackendTLS says how a connection to a Backend is secured.
//
// +kubebuilder:validation:XValidation:rule="self.mode != 'None' || !has(self.validation)",message="validation must be absent when mode is None"
// +kubebuilder:validation:XValidation:rule="self.mode == 'ClientAndServer' || !has(self.clientCertificateRef)",message="clientCertificateRef must be absent unless mode is ClientAndServer"
type BackendTLS struct {
	// Mode says who proves itself: None is clear text, ServerOnly verifies the destination and never presents a
	// certificate, ClientAndServer also presents one. Default: ServerOnly. Another value is refused at admission.
	//
	// +optional
	// +kubebuilder:default=ServerOnly
	Mode BackendTLSMode `json:"mode,omitempty"`

	// Validation says how the destination's certificate is verified. Absent: against the system's roots, for the
	// Backend's hostname. Refused at admission when mode is None.
	//
	// +optional
	Validation *BackendTLSValidation `json:"validation,omitempty"`

	// ClientCertificateRef names the Secret of type kubernetes.io/tls that holds our certificate and its key. Absent in
	// mode ClientAndServer: the Gateway's own (Gateway.spec.tls.backend.clientCertificateRef). Another namespace needs a
	// ReferenceGrant. Refused at admission in the other modes; a Secret that is missing or broken gives
	// ResolvedRefs=False, and requests get 500.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.group) || self.group == '') && (!has(self.kind) || self.kind == 'Secret')",message="clientCertificateRef must name a Secret"
	ClientCertificateRef *gwapiv1.SecretObjectReference `json:"clientCertificateRef,omitempty"`

	// MinVersion is the lowest version of TLS that is accepted. Default: "1.2". Another value is refused at admission.
	//
	// +optional
	// +kubebuilder:default="1.2"
	MinVersion TLSVersion `json:"minVersion,omitempty"`
}

// BackendTLSValidation says how a destination's certificate is verified. Its fields are those of the standard
// BackendTLSPolicy.
//
// +kubebuilder:validation:XValidation:rule="has(self.wellKnownCACertificates) != (has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0)",message="exactly one of wellKnownCACertificates and caCertificateRefs must be set"
type BackendTLSValidation struct {
	// Hostname is sent as SNI and must be in the certificate; where subjectAltNames is set it is SNI alone. Absent: the
	// Backend's hostname. IP addresses and wildcards are refused at admission.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|[.])(0x[0-9a-f]*|[0-9]+)$')",message="hostname must not be an IP address"
	Hostname *gwapiv1.PreciseHostname `json:"hostname,omitempty"`

	// WellKnownCACertificates is System for the roots of the gateway's own image or machine. Exactly one of it and
	// caCertificateRefs must be set; another value is refused at admission.
	//
	// +optional
	// +kubebuilder:validation:Enum=System
	WellKnownCACertificates *gwapiv1.WellKnownCACertificatesType `json:"wellKnownCACertificates,omitempty"`

	// CACertificateRefs name what holds the certificates that may sign the destination's, in PEM under the key ca.crt.
	// Exactly one of it and wellKnownCACertificates must be set, at most 8. One that is missing or broken gives
	// ResolvedRefs=False, and requests get 500.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	CACertificateRefs []CACertificateReference `json:"caCertificateRefs,omitempty"`

	// SubjectAltNames are names of which the certificate must hold at least one, DNS names or URIs; the hostname is then
	// no longer compared. Default: none, the hostname is compared. At most 5; an element whose member does not fit its
	// type is refused at admission.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	SubjectAltNames []gwapiv1.SubjectAltName `json:"subjectAltNames,omitempty"`
}

// CACertificateReference names a ConfigMap or Secret of the same namespace.
type CACertificateReference struct {
	// Group is the API group of what is named, always the core group, written "" or left out. Another value is refused
	// at admission.
	//
	// +optional
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == ''",message="group must be empty: ConfigMap and Secret are core kinds"
	Group string `json:"group,omitempty"`

	// Kind is ConfigMap or Secret. Default: ConfigMap. Another value is refused at admission.
	//
	// +optional
	// +kubebuilder:default=ConfigMap
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind,omitempty"`

	// Name is the object's name. Required.
	//
	// +required
	Name gwapiv1.ObjectName `json:"name"`
}
