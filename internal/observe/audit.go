package observe

import (
	"net/netip"
	"slices"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// maxBody is how much of a provider's answer the audit log takes, in bytes.
const maxBody = 4 << 10

// denied are the reasons for which the engine itself denies: somebody asked for what is not allowed, or a safety rule
// could not be satisfied. A refusal that names a policy is a denial whatever its reason.
func denied(r exchange.Reason) bool {
	switch r {
	case exchange.RouteNotFound, exchange.Misdirected, exchange.ClientNotAllowed, exchange.RequestNotAllowed, exchange.HostDenied,
		exchange.AddressDenied, exchange.RegionNotAllowed, exchange.CrossOriginDenied, exchange.CredentialRejected, exchange.CredentialUnavailable,
		exchange.TLSVerificationFailed, exchange.LoopDetected:
		return true
	}
	return false
}

// refusalDenied reports whether the exchange as a whole was denied.
func refusalDenied(x *exchange.Exchange) bool {
	return x.Refusal != nil && (x.Refusal.Policy != "" || denied(x.Refusal.Reason))
}

// attemptDenied reports whether the attempt ended in a denial that the exchange's refusal does not already state: an
// address denied before another served, say.
func attemptDenied(x *exchange.Exchange, i int) bool {
	reason := x.Attempts[i].Reason
	stated := i == len(x.Attempts)-1 && x.Refusal != nil && x.Refusal.Reason == reason
	return denied(reason) && !stated
}

// auditEvent is what one audit line says besides the exchange's own fields.
type auditEvent struct {
	event      string
	backend    string
	address    netip.AddrPort
	policy     string
	field      string
	reason     exchange.Reason
	status     int
	credential string
	candidates []exchange.Veto
}

// auditEnd writes the exchange's audit lines.
func (o *Observer) auditEnd(x *exchange.Exchange) {
	for i := range x.Reported {
		r := &x.Reported[i]
		o.auditLine(x, auditEvent{
			event: "would_deny", backend: x.Backend, policy: r.Policy, field: r.Field, reason: r.Reason, status: r.Code(),
		})
	}
	for i := range x.Attempts {
		a := &x.Attempts[i]
		e := auditEvent{backend: a.Backend, address: a.Address, reason: a.Reason, status: a.Status, credential: a.Credential}
		if a.Credential != "" {
			e.event = "credential_used"
			o.auditLine(x, e)
		}
		if a.Duplicate {
			e.event = "duplicate_possible"
			o.auditLine(x, e)
		}
		if attemptDenied(x, i) {
			e.event = "denied"
			o.auditLine(x, e)
			o.denied(x.Route, "", a.Reason)
		}
	}
	if refusalDenied(x) {
		r := x.Refusal
		o.auditLine(x, auditEvent{
			event: "denied", backend: x.Backend, policy: r.Policy, field: r.Field, reason: r.Reason, status: status(x),
			candidates: x.Vetoed,
		})
		o.denied(x.Route, r.Policy, r.Reason)
	}
}

func (o *Observer) auditLine(x *exchange.Exchange, e auditEvent) {
	buffer := getLine()
	*buffer = append(appendAudit(*buffer, x, &e), '}', '\n')
	o.audit.write(*buffer)
	putLine(buffer)
}

// AuditBody writes what a provider answered to a rejected credential, 4 KiB of it at most, to the audit log, which alone
// may hold it. Such a body may echo the key: blank, the refusal's Redact, gets a copy and makes those parts unreadable.
// Without it the body's length alone is written.
func (o *Observer) AuditBody(x *exchange.Exchange, body []byte, blank func([]byte) []byte) {
	e := auditEvent{event: "provider_body", backend: x.Backend, reason: exchange.CredentialRejected, status: x.Response.Status}
	if n := len(x.Attempts); n > 0 {
		a := &x.Attempts[n-1]
		e.backend, e.address, e.status, e.credential = a.Backend, a.Address, a.Status, a.Credential
	}
	buffer := getLine()
	b := appendNumber(appendAudit(*buffer, x, &e), `,"body_bytes":`, int64(len(body)))
	if blank != nil {
		// Blanked before the cut and not after, so that no secret's beginning is left standing at the end.
		seen := blank(slices.Clone(body[:min(len(body), 2*maxBody)]))
		b = appendField(b, `,"body":`, string(seen), maxBody)
	}
	*buffer = append(b, '}', '\n')
	o.audit.write(*buffer)
	putLine(buffer)
}

// appendAudit appends an audit line up to its closing brace.
func appendAudit(b []byte, x *exchange.Exchange, e *auditEvent) []byte {
	b = appendString(append(b, `{"event":`...), e.event, maxShort)
	b = appendTime(append(b, `,"time":"`...), x.Start)
	b = appendField(append(b, '"'), `,"request_id":`, x.ID, maxShort)
	b = appendClient(b, &x.Client)
	b = appendField(b, `,"gateway":`, x.Gateway, maxName)
	b = appendField(b, `,"route":`, x.Route, maxName)
	b = appendField(b, `,"backend":`, e.backend, maxName)
	if e.address.IsValid() {
		b = appendAddress(append(b, `,"address":`...), e.address)
	}
	b = appendField(b, `,"policy":`, e.policy, maxName)
	b = appendField(b, `,"field":`, e.field, maxName)
	b = appendField(b, `,"reason":`, string(e.reason), maxShort)
	b = appendNumber(b, `,"status":`, int64(e.status))
	b = appendAsked(b, &x.Request)
	b = appendVetoed(b, `,"candidates":[`, e.candidates)
	return appendField(b, `,"credential":`, e.credential, maxName)
}
