package exchange

import (
	"fmt"
	"net/http"
)

// Reason is why a request was not served as asked: one of the closed list below, which docs/reasons.md explains.
type Reason string

// The reasons. Each is the `reason` of a refusal's problem document, of its log line and of its metric.
const (
	BadRequest            Reason = "bad_request"
	RequestTimeout        Reason = "request_timeout"
	ClientGone            Reason = "client_gone"
	HeadTooLarge          Reason = "head_too_large"
	RouteNotFound         Reason = "route_not_found"
	Misdirected           Reason = "misdirected_request"
	CrossOriginDenied     Reason = "cross_origin_denied"
	HostDenied            Reason = "host_denied"
	ClientNotAllowed      Reason = "client_not_allowed"
	RequestNotAllowed     Reason = "request_not_allowed"
	AddressDenied         Reason = "address_denied"
	RegionNotAllowed      Reason = "region_not_allowed"
	LoopDetected          Reason = "loop_detected"
	BodyTooLarge          Reason = "body_too_large"
	ConfigurationInvalid  Reason = "configuration_invalid"
	BackendInvalid        Reason = "backend_invalid"
	NoBackend             Reason = "no_backend"
	CredentialUnavailable Reason = "credential_unavailable"
	CredentialRejected    Reason = "credential_rejected"
	DNSFailed             Reason = "dns_failed"
	ConnectFailed         Reason = "connect_failed"
	ConnectTimeout        Reason = "connect_timeout"
	TLSFailed             Reason = "tls_failed"
	TLSVerificationFailed Reason = "tls_verification_failed"
	UpstreamReset         Reason = "upstream_reset"
	UpstreamInvalid       Reason = "upstream_invalid"
	UpstreamTimeout       Reason = "upstream_timeout"
	StreamIdle            Reason = "stream_idle"
	OutcomeUnknown        Reason = "outcome_unknown"
	Overloaded            Reason = "overloaded"
	ShuttingDown          Reason = "shutting_down"
	Internal              Reason = "internal"
)

// statuses are the HTTP status each reason answers with, and so the closed list itself.
var statuses = map[Reason]int{
	BadRequest:            http.StatusBadRequest,
	RequestTimeout:        http.StatusRequestTimeout,
	ClientGone:            499, // nobody reads it: for the logs, as nginx has it
	HeadTooLarge:          http.StatusRequestHeaderFieldsTooLarge,
	RouteNotFound:         http.StatusNotFound,
	Misdirected:           http.StatusMisdirectedRequest,
	CrossOriginDenied:     http.StatusForbidden,
	HostDenied:            http.StatusForbidden,
	ClientNotAllowed:      http.StatusForbidden,
	RequestNotAllowed:     http.StatusForbidden,
	AddressDenied:         http.StatusForbidden,
	RegionNotAllowed:      http.StatusForbidden,
	LoopDetected:          http.StatusLoopDetected,
	BodyTooLarge:          http.StatusRequestEntityTooLarge,
	ConfigurationInvalid:  http.StatusInternalServerError,
	BackendInvalid:        http.StatusInternalServerError,
	NoBackend:             http.StatusInternalServerError,
	CredentialUnavailable: http.StatusInternalServerError,
	CredentialRejected:    http.StatusBadGateway,
	DNSFailed:             http.StatusBadGateway,
	ConnectFailed:         http.StatusBadGateway,
	ConnectTimeout:        http.StatusGatewayTimeout,
	TLSFailed:             http.StatusBadGateway,
	TLSVerificationFailed: http.StatusBadGateway,
	UpstreamReset:         http.StatusBadGateway,
	UpstreamInvalid:       http.StatusBadGateway,
	UpstreamTimeout:       http.StatusGatewayTimeout,
	StreamIdle:            http.StatusGatewayTimeout,
	OutcomeUnknown:        http.StatusGatewayTimeout,
	Overloaded:            http.StatusServiceUnavailable,
	ShuttingDown:          http.StatusServiceUnavailable,
	Internal:              http.StatusInternalServerError,
}

// Status is the HTTP status that the reason answers with.
func (r Reason) Status() int { return statuses[r] }

// Reasons is the closed list, in no order.
func Reasons() []Reason {
	list := make([]Reason, 0, len(statuses))
	for r := range statuses {
		list = append(list, r)
	}
	return list
}

// Refusal is our own answer in place of a backend's. Detail and Field reach the client: never a secret, never an internal address.
type Refusal struct {
	Reason Reason
	Detail string // a sentence for the client
	Policy string // Kind/namespace/name that refused; empty where no policy did
	Field  string // the policy's field, as in its YAML: spec.hosts.deny
	Status int    // set only to differ from Reason.Status
	Log    string // what the log alone may say: addresses, library errors

	// Redact, where it is set, sends the body of the answer that was refused to the audit log, through itself.
	Redact func(body []byte) []byte
}

// Refuse is a refusal of the reason.
func Refuse(reason Reason, detail string) *Refusal { return &Refusal{Reason: reason, Detail: detail} }

// TooLarge refuses a body that is over a limit.
func TooLarge(l BodyLimit) *Refusal {
	refusal := Refuse(BodyTooLarge, fmt.Sprintf("the request's body has more than %d bytes", l.Bytes))
	if refusal.Policy = l.Policy; l.Policy != "" {
		refusal.Field = "spec.limits.requestBody"
	} else {
		refusal.Detail += ", and no GuardRailsPolicy lets more through (spec.limits.requestBody)"
	}
	return refusal
}

// Code is the HTTP status of the answer.
func (r *Refusal) Code() int {
	if r.Status != 0 {
		return r.Status
	}
	return r.Reason.Status()
}
