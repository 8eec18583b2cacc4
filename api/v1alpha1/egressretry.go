package v1alpha1

import gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

// Retry says when a request that failed is sent again. Whatever it says, nothing is sent again once the client has a byte
// of an answer's body, or a stream's first output.
type Retry struct {
	// Attempts is how many there may be beyond the first, over all tiers; 0 repeats nothing. 0 to 10; another value is
	// refused at admission. Default: 2. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	Attempts *int32 `json:"attempts,omitempty"`

	// Classes are the failures after which a request may be sent again. Unsent, nothing of it has reached the destination, and
	// Rejected, the destination said that it did not do the work, go to another backend whatever the method. Reset, the
	// connection ended without an answer, Timeout and GatewayError, any other 5xx, may follow work that was done: they
	// repeat what is idempotent, and the rest as idempotencyKeys and duplicates say. Default: [Unsent, Rejected]. An empty
	// list, or another value, is refused at admission; write attempts: 0 to repeat nothing. Setting, as one.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	Classes []RetryClass `json:"classes,omitempty"`

	// Statuses are those by which the destination says that it did not do the work: Rejected. That is the operator's
	// assertion, and a status that follows work done makes duplicates. 400 to 599, at most 32; another value is refused at
	// admission, and an empty list is none. Default: [429, 529]. Setting, as one.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Statuses []RetryStatus `json:"statuses,omitzero"`

	// Duplicates says whether work that was perhaps done may be asked of somebody again. Never: without proof that it was
	// not done, a request that is not idempotent is answered 504 outcome_unknown. Allow is the operator's acceptance, in
	// writing, that work is done, and paid for, twice: then Reset, Timeout and GatewayError of such requests repeat as
	// well, all of them or those that classes lists, and the audit log says so. Default: Never. Another value is refused at admission. Setting.
	//
	// +optional
	Duplicates *Duplicates `json:"duplicates,omitempty"`

	// IdempotencyKeys says what the destination does with the Idempotency-Key of a client. Honoured: it deduplicates by
	// it, so that a request which carries one may be sent again to this destination, and to no other. Default: Ignored.
	// Another value, or one on a Gateway or a route, is refused at admission. Setting.
	//
	// +optional
	IdempotencyKeys *IdempotencyKeys `json:"idempotencyKeys,omitempty"`

	// Backoff is the pause before a request is sent to the same backend again; another one is asked at once. A duration
	// as in GEP-2257; another form is refused at admission. Default: 100ms. Setting.
	//
	// +optional
	Backoff *gwapiv1.Duration `json:"backoff,omitempty"`

	// Budget bounds the retries to a share of the requests. Setting, field by field.
	//
	// +optional
	Budget *RetryBudget `json:"budget,omitempty"`
}

// RetryClass is what a failed attempt proves.
//
// +kubebuilder:validation:Enum=Unsent;Rejected;Reset;Timeout;GatewayError
type RetryClass string

// RetryStatus is the status of a failure, 400 to 599, by which the destination says that it did not do the work.
//
// +kubebuilder:validation:Minimum=400
// +kubebuilder:validation:Maximum=599
type RetryStatus int32

// Duplicates says whether work that was perhaps done may be asked for again.
//
// +kubebuilder:validation:Enum=Never;Allow
type Duplicates string

// The values of Retry.Duplicates.
const (
	// DuplicatesNever repeats nothing that was perhaps done.
	DuplicatesNever Duplicates = "Never"
	// DuplicatesAllow accepts double work.
	DuplicatesAllow Duplicates = "Allow"
)

// IdempotencyKeys says what a destination does with an Idempotency-Key.
//
// +kubebuilder:validation:Enum=Ignored;Honoured
type IdempotencyKeys string

// The values of Retry.IdempotencyKeys.
const (
	// IdempotencyKeysIgnored does nothing with it.
	IdempotencyKeysIgnored IdempotencyKeys = "Ignored"
	// IdempotencyKeysHonoured deduplicates by it.
	IdempotencyKeysHonoured IdempotencyKeys = "Honoured"
)

// RetryBudget bounds retries to a share of the requests that a Gateway sends to a destination, each replica for itself;
// ten a second are always allowed. A retry over it is not made.
type RetryBudget struct {
	// Percent is the share of an interval's requests that may be retries. 0 to 100; another value is refused at
	// admission. Default: 20. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`

	// Interval is the time whose requests are counted, 1s to 1h. Another value is refused at admission. Default: 10s.
	// Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="interval must be from 1s to 1h"
	Interval *gwapiv1.Duration `json:"interval,omitempty"`
}
