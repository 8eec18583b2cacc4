package v1alpha1

// CIDR is a range of IP addresses, for example 10.8.0.0/16 or 2001:db8::/32. Host bits must be zero. Anything else is
// refused at admission.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a range such as 10.8.0.0/16 or 2001:db8::/32, with no bits set after the prefix"
type CIDR string

// IPAddress is one IPv4 or IPv6 address without zone or brackets, for example 192.0.2.10. Anything else is refused at
// admission.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=45
// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address such as 192.0.2.10 or 2001:db8::10"
type IPAddress string

// HostPattern is a host name in lower case, matched whole, or "*." and a name, which matches every name below it and
// not the name itself. Anything else, IP addresses included, is refused at admission.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`
// +kubebuilder:validation:XValidation:rule="!self.matches('(^|[.])(0x[0-9a-f]*|[0-9]+)$')",message="must be a host name, not an IP address"
type HostPattern string

// AddressRules say which addresses a name may lead to. Whatever is written here, link-local and special-purpose
// addresses stay refused, and on Kubernetes loopback. An address of a cloud's metadata service is opened only by a
// GuardRailsPolicy whose allowPrivate lists that very address, as /32 or /128.
type AddressRules struct {
	// AllowPrivate lists the private, loopback or shared (CGNAT) ranges that may be dialled. A range counts only where
	// the Gateway's GuardRailsPolicy and the Backend's DNSPolicy both list it; standalone with no GuardRailsPolicy the
	// DNSPolicy alone decides. Default: none. A value that is no CIDR is refused at admission. In a GuardRailsPolicy:
	// Restriction. In a DNSPolicy: Setting.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	AllowPrivate []CIDR `json:"allowPrivate,omitempty"`

	// Deny lists the ranges that are never dialled, public ones included; denials of all scopes unite. Default: none. A
	// value that is no CIDR is refused at admission. Restriction.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Deny []CIDR `json:"deny,omitempty"`
}
