package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// Health says when a destination, or an address of it, is left alone for a time. Each replica judges for itself. Where all
// that a rule could use is left alone, it is used as if none were.
type Health struct {
	// Passive learns from the requests themselves. Setting, field by field.
	//
	// +optional
	Passive *PassiveHealth `json:"passive,omitempty"`

	// Active asks each address in turn, with no credential. Default: nothing is asked. On a Gateway it is refused at
	// admission. Setting, as one.
	//
	// +optional
	Active *ActiveHealth `json:"active,omitempty"`

	// SlowStart is the time over which what comes back gets its share of the requests again; 0s gives it at once. A
	// duration as in GEP-2257; another form is refused at admission. Default: 30s. Setting.
	//
	// +optional
	SlowStart *gwapiv1.Duration `json:"slowStart,omitempty"`
}

// PassiveHealth ejects an address by what became of the requests sent to it. All durations are as in GEP-2257, such as
// 500ms, 5s or 1m30s; another form is refused at admission.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ejection) || !has(self.maxEjection) || duration(self.ejection) <= duration(self.maxEjection)",message="maxEjection must not be below ejection"
type PassiveHealth struct {
	// Errors are the failures that count: Connect, of a name or a connection; TLS, of a handshake or what it verifies; Reset,
	// a connection that ended without an answer or within it; Timeout, no answer in time or a silence within it;
	// GatewayError, a 5xx that does not say that the work was not done. Default: [Connect, TLS, Reset]. An empty list, or
	// another value, is refused at admission; write consecutiveErrors: 0 to eject nothing. Setting, as one.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	Errors []HealthError `json:"errors,omitempty"`

	// ConsecutiveErrors is how many in a row eject; 0 ejects for none. 0 to 1000; another value is refused at admission.
	// Default: 5. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ConsecutiveErrors *int32 `json:"consecutiveErrors,omitempty"`

	// ErrorRate ejects by the share of requests that failed. Setting, field by field.
	//
	// +optional
	ErrorRate *ErrorRate `json:"errorRate,omitempty"`

	// Ejection is how long the first ejection takes, above zero; each further one takes that much longer. Default: 30s.
	// Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="ejection must be above zero: write consecutiveErrors: 0 to eject nothing"
	Ejection *gwapiv1.Duration `json:"ejection,omitempty"`

	// MaxEjection is how long any ejection takes at most, above zero. Below ejection it is refused at admission; where
	// ejection is another policy's and longer, ejection counts. Default: 5m. Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="maxEjection must be above zero"
	MaxEjection *gwapiv1.Duration `json:"maxEjection,omitempty"`

	// MaxEjectedPercent is how many of the destination's addresses may be ejected at once. 1 to 100; another value is
	// refused at admission. Default: 100. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxEjectedPercent *int32 `json:"maxEjectedPercent,omitempty"`
}

// HealthError is a way to fail that may count against a destination's health.
//
// +kubebuilder:validation:Enum=Connect;TLS;Reset;Timeout;GatewayError
type HealthError string

// ErrorRate ejects by the share of requests that failed.
type ErrorRate struct {
	// Percent is the share of an interval's requests that ejects when as many failed; 0 ejects for none. 0 to 100; another
	// value is refused at admission. Default: 0. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`

	// Requests is how many an interval must have had for its share to count. 1 to 100000; another value is refused at
	// admission. Default: 20. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Requests *int32 `json:"requests,omitempty"`

	// Interval is the time whose requests are counted, 1s to 1h, as in GEP-2257. Another value is refused at admission.
	// Default: 10s. Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="interval must be from 1s to 1h"
	Interval *gwapiv1.Duration `json:"interval,omitempty"`
}

// ActiveHealth asks each address of a destination in turn whether it is well. All durations are as in GEP-2257, such as
// 500ms, 5s or 1m30s; another form is refused at admission.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'HTTP') == has(self.path)",message="path must be set when type is HTTP, and only then: write a path such as /healthz, or type: TCP"
// +kubebuilder:validation:XValidation:rule="!has(self.statuses) || self.type == 'HTTP'",message="statuses are of an HTTP check: leave them out"
// +kubebuilder:validation:XValidation:rule="!has(self.service) || self.type == 'GRPC'",message="service is of a GRPC check: leave it out, or write type: GRPC"
// +kubebuilder:validation:XValidation:rule="duration(self.timeout) < duration(self.interval)",message="timeout must be below interval: write a shorter timeout or a longer interval"
type ActiveHealth struct {
	// Type is what is asked: HTTP, a GET of path; GRPC, grpc.health.v1.Health/Check; TCP, a connection, with TLS where the
	// destination has it. Default: HTTP. Another value is refused at admission. Setting.
	//
	// +optional
	// +unionDiscriminator
	// +kubebuilder:default=HTTP
	Type ActiveHealthType `json:"type,omitempty"`

	// Path is what an HTTP check asks for, with its query. Required when type is HTTP and refused at admission otherwise,
	// as is one that does not begin with "/". Setting.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[!-"$-~]*$`
	Path *string `json:"path,omitempty"`

	// Service is whose health a GRPC check asks for. Default: the server's as a whole. With another type it is refused at
	// admission. Setting.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	Service *string `json:"service,omitempty"`

	// Statuses are those by which an HTTP check is passed. 200 to 599, 1 to 32; another value, or another type, is refused
	// at admission. Default: 200 to 299. Setting.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Statuses []HealthStatus `json:"statuses,omitempty"`

	// Interval is the time from one check of an address to its next, at least 100ms; less is refused at admission.
	// Default: 10s. Setting.
	//
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms')",message="interval must be 100ms or more"
	Interval gwapiv1.Duration `json:"interval,omitempty"`

	// Timeout is how long a check may take, above zero and below interval; then it has failed. Default: 2s. Setting.
	//
	// +optional
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="timeout must be above zero"
	Timeout gwapiv1.Duration `json:"timeout,omitempty"`

	// HealthyAfter is how many checks in a row an address must pass to be used again. 1 to 100; another value is refused
	// at admission. Default: 1. Setting.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HealthyAfter int32 `json:"healthyAfter,omitempty"`

	// UnhealthyAfter is how many checks in a row an address must fail to be left alone. 1 to 100; another value is refused
	// at admission. Default: 3. Setting.
	//
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	UnhealthyAfter int32 `json:"unhealthyAfter,omitempty"`
}

// ActiveHealthType is what an active check asks.
//
// +kubebuilder:validation:Enum=HTTP;GRPC;TCP
type ActiveHealthType string

// The types of active checks.
const (
	// ActiveHealthTypeHTTP asks for a path.
	ActiveHealthTypeHTTP ActiveHealthType = "HTTP"
	// ActiveHealthTypeGRPC asks grpc.health.v1.
	ActiveHealthTypeGRPC ActiveHealthType = "GRPC"
	// ActiveHealthTypeTCP connects.
	ActiveHealthTypeTCP ActiveHealthType = "TCP"
)

// HealthStatus is the status of an answer, 200 to 599.
//
// +kubebuilder:validation:Minimum=200
// +kubebuilder:validation:Maximum=599
type HealthStatus int32
