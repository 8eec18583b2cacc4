package v1alpha1

// ClientSelector names clients of the gateway by who they were found to be. The lists of one selector are joined by
// AND, the values of one list and the selectors of a list by OR; a list left out asks nothing. A value is an exact name
// or "*", which is everybody. A selector that asks nothing is refused at admission.
//
// +kubebuilder:validation:XValidation:rule="has(self.clusters) || has(self.namespaces) || has(self.serviceAccounts) || has(self.spiffeIDs)",message="name at least one of clusters, namespaces, serviceAccounts, spiffeIDs; everybody is written namespaces: [\"*\"]"
type ClientSelector struct {
	// Clusters are the clusters a client may be in: the gateway's own by the name that it was given (--cluster-name), another
	// gateway's by the cluster of the trustedPeers' entry. Default: not asked. A value that is neither "*" nor a DNS label is
	// refused at admission.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Clusters []ClientName `json:"clusters,omitempty"`

	// Namespaces are the namespaces a client may be in. Default: not asked. A value that is neither "*" nor a DNS label
	// is refused at admission.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Namespaces []ClientName `json:"namespaces,omitempty"`

	// ServiceAccounts are the names of the ServiceAccounts a client may run as, in any namespace that the selector
	// admits. Default: not asked. A value that is neither "*" nor a DNS name is refused at admission.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	ServiceAccounts []ServiceAccountName `json:"serviceAccounts,omitempty"`

	// SPIFFEIDs are the SPIFFE ids a client may have proved, for example spiffe://cluster.local/ns/ai/sa/batch.
	// Default: not asked. A value that is neither "*" nor a SPIFFE id with a path is refused at admission.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	SPIFFEIDs []SPIFFEID `json:"spiffeIDs,omitempty"`

	// Require is how a client must have proved its name: MTLS, by the certificate that it presented; Token, by the
	// ServiceAccount token that it sent. What another gateway says of its own clients is neither. Default: any source that the
	// Gateway's identity lists. Another value is refused at admission.
	//
	// +optional
	Require ClientProof `json:"require,omitempty"`
}

// ClientProof is what a client proves its name with.
//
// +kubebuilder:validation:Enum=MTLS;Token
type ClientProof string

// The proofs of a client's name.
const (
	// ClientProofMTLS is a certificate with a SPIFFE id that verifies.
	ClientProofMTLS ClientProof = "MTLS"
	// ClientProofToken is a ServiceAccount token that verifies.
	ClientProofToken ClientProof = "Token"
)

// ClientName is the name of a cluster or namespace, or "*".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`
type ClientName string

// ServiceAccountName is the name of a ServiceAccount, or "*".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$`
type ServiceAccountName string

// SPIFFEID is a SPIFFE id with a path, or "*".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:Pattern=`^(\*|spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)+)$`
type SPIFFEID string
