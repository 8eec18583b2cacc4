package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// EgressPolicy is how a destination is reached: itself or through another gateway, by whom and for what, in which tier,
// over how many connections, for how long; when a request is asked again, and when the destination is left alone. On a
// Gateway it holds the defaults and the parent of all, on a route tiers, timeouts and retries.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Inherited"
// +kubebuilder:resource:categories=ebbgate,shortName=ebbegress
// +kubebuilder:printcolumn:name="Target Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Effective",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Effective")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.ancestors[*].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type EgressPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the policy as the user wants it.
	//
	// +required
	Spec EgressPolicySpec `json:"spec"`

	// Status is what each Gateway makes of it.
	//
	// +optional
	Status gwapiv1.PolicyStatus `json:"status,omitempty,omitzero"`
}

// EgressPolicyList is a list of EgressPolicies.
//
// +kubebuilder:object:root=true
type EgressPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EgressPolicy `json:"items"`
}

// EgressPolicySpec says how the targets are reached.
//
// +kubebuilder:validation:XValidation:rule="!self.targetRefs.exists(t, t.kind in ['HTTPRoute', 'GRPCRoute']) || !(has(self.mode) || has(self.parentRef) || has(self.form) || has(self.region) || has(self.clients) || has(self.requests) || has(self.priority) || has(self.connections) || has(self.health))",message="a policy on an HTTPRoute or a GRPCRoute may set tiers, timeouts and retry alone: write the rest in a policy on the destination"
// +kubebuilder:validation:XValidation:rule="!self.targetRefs.exists(t, t.kind == 'Gateway') || !(has(self.region) || has(self.clients) || has(self.requests) || has(self.priority))",message="region, clients, requests and priority belong to a destination: write them in a policy on the Backend, XBackend or Service"
// +kubebuilder:validation:XValidation:rule="!has(self.tiers) || self.targetRefs.all(t, t.kind in ['HTTPRoute', 'GRPCRoute'])",message="tiers belong to an HTTPRoute or a GRPCRoute: write priority in a policy on a destination"
// +kubebuilder:validation:XValidation:rule="!has(self.health) || !has(self.health.active) || !self.targetRefs.exists(t, t.kind == 'Gateway')",message="health.active asks one destination: write it in a policy on the Backend, XBackend or Service"
// +kubebuilder:validation:XValidation:rule="!self.targetRefs.exists(t, t.kind == 'Gateway' && has(t.sectionName)) || !(has(self.connections) || has(self.health) || has(self.retry) && has(self.retry.budget))",message="connections, health and retry.budget hold for all listeners of a Gateway: leave sectionName out"
// +kubebuilder:validation:XValidation:rule="!has(self.retry) || !has(self.retry.budget) || !self.targetRefs.exists(t, t.kind in ['HTTPRoute', 'GRPCRoute'])",message="retry.budget is shared by all routes to a destination: write it in a policy on the destination or the Gateway"
// +kubebuilder:validation:XValidation:rule="!has(self.retry) || !has(self.retry.idempotencyKeys) || !self.targetRefs.exists(t, t.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute'])",message="retry.idempotencyKeys says what one destination does: write it in a policy on the Backend, XBackend or Service"
// +kubebuilder:validation:XValidation:rule="!(has(self.parentRef) || has(self.form)) || has(self.mode) && self.mode == 'Parent'",message="parentRef and form need mode: Parent"
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || self.mode != 'Parent' || has(self.parentRef) || !self.targetRefs.exists(t, t.kind == 'Gateway')",message="mode Parent on a Gateway needs parentRef: name the Backend through which it reaches every other"
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || self.mode != 'Parent' || !self.targetRefs.exists(t, t.kind == 'Service')",message="a Service is never reached through another gateway: write mode Parent in a policy on a Gateway, a Backend or an XBackend"
// +kubebuilder:validation:XValidation:rule="has(self.parentRef) || !has(self.form) || self.form == 'Origin'",message="a destination that is itself a gateway is asked in form Origin: leave form out, or write parentRef"
type EgressPolicySpec struct {
	// TargetRefs name what the policy is for, in the same namespace: Backend, Service, XBackend, Gateway,
	// HTTPRoute or GRPCRoute, 1 to 16; sectionName is a listener of a Gateway, a rule of a route or a port of a Service.
	// Required; another kind, or the same target twice, is refused at admission. One that does not exist gives
	// Accepted=False, TargetNotFound.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, (t.group == 'ebbgate.dev' && t.kind == 'Backend') || (t.group == '' && t.kind == 'Service') || (t.group == 'gateway.networking.x-k8s.io' && t.kind == 'XBackend') || (t.group == 'gateway.networking.k8s.io' && t.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute']))",message="targetRefs may name Backend (ebbgate.dev), Service (core group), XBackend (gateway.networking.x-k8s.io), Gateway, HTTPRoute and GRPCRoute (gateway.networking.k8s.io)"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.group == b.group && a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="targetRefs must not name the same target twice"
	TargetRefs []gwapiv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// Mode says what the target is reached as: Endpoint, the destination itself; or Parent, through another gateway. On a
	// Gateway, Parent reaches every Backend and XBackend through parentRef, and no policy on a Backend has that one reached
	// otherwise. On a Backend, Parent with parentRef reaches it through that one; without, it is itself a gateway. Services
	// are never reached through another gateway: Parent on one is refused at admission, as is another value. Default:
	// Endpoint. Restriction.
	//
	// +optional
	Mode *EgressMode `json:"mode,omitempty"`

	// ParentRef names the Backend that is the other gateway, whose DNS, TLS, credential and health then count; it has
	// addresses, or a hostname that is no wildcard. One of another namespace needs a ReferenceGrant. Required for mode
	// Parent on a Gateway. Without mode Parent it is refused at admission; one that does not exist gives
	// ResolvedRefs=False, and what the policy holds for answers 500. Restriction.
	//
	// +optional
	ParentRef *ParentBackendReference `json:"parentRef,omitempty"`

	// Form is how the other gateway is asked: Origin, as the client asked, because it matches and rewrites; Absolute, for
	// the destination's whole URL (RFC 9112, section 3.2.2); Connect, for a tunnel to the destination (RFC 9110, section
	// 9.3.6), so that TLS and credential stay the destination's. The last two are for proxies of other makes. Default:
	// Origin. Another value, or one without mode Parent, is refused at admission. Restriction.
	//
	// +optional
	Form *ParentForm `json:"form,omitempty"`

	// Region is where the destination processes data, for example eu-west-1: lower-case letters, digits and hyphens, at
	// most 63. Default: unknown. Another form is refused at admission. Restriction.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Region *string `json:"region,omitempty"`

	// Clients are the clients that may use the destination; one match is enough, and others get 403. Default: everybody
	// who may use the route, but for a destination with a CredentialInjector only clients of the Route's own namespace.
	// 1 to 64 where it is set; an empty list is refused at admission. Restriction.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Clients []ClientSelector `json:"clients,omitempty"`

	// Requests are the requests that may be made of the destination, judged as they would be sent, after every rewrite;
	// others get 403. Default: every request. Restriction.
	//
	// +optional
	Requests *RequestRules `json:"requests,omitempty"`

	// Priority is the destination's tier in every rule that names it: a rule sends to the lowest tier with a backend that
	// is healthy, allowed, and has room. 0 to 31; another value is refused at admission. Default: 0. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31
	Priority *int32 `json:"priority,omitempty"`

	// Tiers are the tiers of a route or rule, the first before the second and so on, in place of the destinations'
	// priority; within a tier the rule's weights hold. Backends of the rule that none lists form the last tier. 1 to 8; on
	// another target than an HTTPRoute or GRPCRoute they are refused at admission. One that lists what no rule of the
	// target names has no effect there: Effective=False. The same backend twice gives Accepted=False. Setting, as one.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Tiers []Tier `json:"tiers,omitempty"`

	// Timeouts are how long the destination may take. An HTTPRoute's own timeouts win over those of the same meaning.
	// Setting, field by field.
	//
	// +optional
	Timeouts *Timeouts `json:"timeouts,omitempty"`

	// Connections bound those of a Gateway to the destination, each replica for itself. Setting, field by field.
	//
	// +optional
	Connections *Connections `json:"connections,omitempty"`

	// Retry says when a request that failed is sent again, and where. An HTTPRoute's own retry replaces attempts and
	// backoff; an XBackendTrafficPolicy's retryConstraint replaces budget. Setting, field by field.
	//
	// +optional
	Retry *Retry `json:"retry,omitempty"`

	// Health says when the destination, or an address of it, is left alone for a time. Setting, field by field.
	//
	// +optional
	Health *Health `json:"health,omitempty"`
}

// RequestRules say which requests may be made of a destination. Methods and paths are joined by AND.
//
// +kubebuilder:validation:XValidation:rule="has(self.methods) || has(self.paths)",message="set methods, paths or both"
type RequestRules struct {
	// Methods are the methods that may be used. Default: every method. An unknown one, or an empty list, is refused at
	// admission. Restriction.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Methods []gwapiv1.HTTPMethod `json:"methods,omitempty"`

	// Paths are the paths that may be asked for, without query; a "*" stands for any characters within one segment, a
	// final "/**" for anything below. Default: every path. At most 64; one that does not begin with "/", holds "?" or
	// "#", or has "**" elsewhere than as its last segment is refused at admission. Restriction.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Paths []PathPattern `json:"paths,omitempty"`
}

// PathPattern is a path in which "*" stands for any characters within one segment and a final "/**" for anything below.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^(/\*?([^/*?#\s]+\*?)*)*(/\*\*)?$`
type PathPattern string

// Timeouts are how long a destination may take over the steps of one request. All are durations as in GEP-2257, such as
// 500ms, 5s or 1m30s; another form is refused at admission.
type Timeouts struct {
	// Connect is the time from dialling one address to the end of the TLS handshake, above zero; when it is over the
	// attempt has failed unsent. Default: 5s. Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="connect must be above zero"
	Connect *gwapiv1.Duration `json:"connect,omitempty"`

	// FirstByte is the time from the request's last byte to the response's first; when it is over the client gets 504.
	// Default: 600s. 0s: no limit. Setting.
	//
	// +optional
	FirstByte *gwapiv1.Duration `json:"firstByte,omitempty"`

	// StreamIdle is the longest silence within a response's body; when it is over the response is cut off, visibly to
	// the client. Default: 300s. 0s: no limit. Setting.
	//
	// +optional
	StreamIdle *gwapiv1.Duration `json:"streamIdle,omitempty"`

	// Request is the time for the whole exchange, retries included; when it is over the client gets 504 or, once the
	// response has begun, sees it cut off. Default: 0s, no limit. Setting.
	//
	// +optional
	Request *gwapiv1.Duration `json:"request,omitempty"`
}

// Connections bound those of a Gateway to a destination, each replica for itself. All durations are as in GEP-2257, such
// as 500ms, 5s or 1m30s; another form is refused at admission.
type Connections struct {
	// Max is how many are open at once. 1 to 65535; another value is refused at admission. Default: 512. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Max *int32 `json:"max,omitempty"`

	// Pending is how many exchanges may wait for one; the attempts of further ones have failed unsent at once. 0 to 65535;
	// another value is refused at admission. Default: 1024. Setting.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Pending *int32 `json:"pending,omitempty"`

	// Wait is how long an exchange waits for one, above zero; when it is over the attempt has failed unsent. Default: 5s.
	// Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="wait must be above zero: write pending: 0 to let nobody wait"
	Wait *gwapiv1.Duration `json:"wait,omitempty"`

	// Idle is how long an unused connection is kept, above zero. Default: 90s. Setting.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="idle must be above zero"
	Idle *gwapiv1.Duration `json:"idle,omitempty"`
}
