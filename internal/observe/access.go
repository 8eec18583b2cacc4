package observe

import (
	"cmp"
	"strconv"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Bounds of what a line holds, in bytes of the original text and in entries.
const (
	maxShort     = 128 // ids, methods, reasons
	maxName      = 512 // names of objects; a Kubernetes name has 253 at most
	maxAuthority = 300 // a host name has 255 at most, and there is the port
	maxPath      = 1024
	maxDetail    = 512
	maxAgent     = 256
	maxSPIFFE    = 2048 // the most that an id has (SPIFFE-ID, section 2.3)
	maxAttempts  = 16
	maxReported  = 16
	maxVetoed    = 16
)

// appendAccess appends the exchange's line of the access log, with its line feed.
func appendAccess(b []byte, x *exchange.Exchange) []byte {
	b = appendTime(append(b, `{"time":"`...), x.Start)
	b = appendField(append(b, '"'), `,"request_id":`, x.ID, maxShort)
	b = appendClient(b, &x.Client)
	if x.Hop.Depth > 0 {
		b = appendField(b, `,"hop":`, x.Hop.Name, maxName)
		b = appendNumber(b, `,"depth":`, int64(x.Hop.Depth))
	}
	b = appendField(b, `,"gateway":`, x.Gateway, maxName)
	b = appendField(b, `,"listener":`, x.Listener, maxName)
	b = appendField(b, `,"route":`, x.Route, maxName)
	b = appendField(b, `,"rule":`, x.Rule, maxName)
	b = appendField(b, `,"backend":`, x.Backend, maxName)
	b = appendAsked(b, &x.Request)
	b = appendString(append(b, `,"protocol":`...), x.Request.Version.String(), maxShort)
	b = appendNumber(b, `,"status":`, int64(status(x)))
	if x.Request.GRPC() {
		b = appendField(b, `,"grpc_status":`, grpcStatus(x), maxShort)
	}
	if r := x.Refusal; r != nil {
		b = appendField(b, `,"reason":`, string(r.Reason), maxShort)
		b = appendField(b, `,"policy":`, r.Policy, maxName)
		b = appendField(b, `,"field":`, r.Field, maxName)
		b = appendField(b, `,"detail":`, cmp.Or(r.Log, r.Detail), maxDetail)
	}
	if x.Mirrored {
		b = append(b, `,"mirrored":true`...)
	}
	b = appendReported(b, x.Reported)
	b = appendVetoed(b, `,"vetoed":[`, x.Vetoed)
	b = appendAttempts(b, x.Attempts)
	b = appendNumber(b, `,"bytes_in":`, x.BytesIn)
	b = appendNumber(b, `,"bytes_out":`, x.BytesOut)
	b = appendMillis(b, `,"first_byte_ms":`, x.FirstByte)
	b = appendMillis(b, `,"duration_ms":`, x.Duration)
	b = appendField(b, `,"aborted":`, x.Aborted, maxDetail)
	b = appendField(b, `,"user_agent":`, first(&x.Request.Header, "User-Agent"), maxAgent)
	return append(b, '}', '\n')
}

func appendClient(b []byte, c *exchange.Client) []byte {
	b = appendAddress(append(b, `,"client":{"address":`...), c.Address)
	b = appendField(b, `,"cluster":`, c.Cluster, maxName)
	b = appendField(b, `,"namespace":`, c.Namespace, maxName)
	b = appendField(b, `,"service_account":`, c.ServiceAccount, maxName)
	b = appendField(b, `,"workload":`, c.Workload, maxName)
	b = appendField(b, `,"pod":`, c.Pod, maxName)
	b = appendField(b, `,"spiffe_id":`, c.SPIFFE, maxSPIFFE)
	b = appendString(append(b, `,"source":`...), c.Source.String(), maxShort)
	return append(b, '}')
}

// appendAsked appends what was asked for, as received.
func appendAsked(b []byte, r *exchange.Request) []byte {
	b = appendField(b, `,"method":`, r.Method, maxShort)
	b = appendField(b, `,"authority":`, r.Authority, maxAuthority)
	return appendField(b, `,"path":`, r.Path, maxPath)
}

func appendReported(b []byte, reported []exchange.Refusal) []byte {
	if len(reported) == 0 {
		return b
	}
	b = append(b, `,"reported":[`...)
	for i := range reported[:min(len(reported), maxReported)] {
		if i > 0 {
			b = append(b, ',')
		}
		r := &reported[i]
		b = appendString(append(b, `{"reason":`...), string(r.Reason), maxShort)
		b = appendField(b, `,"policy":`, r.Policy, maxName)
		b = appendField(b, `,"field":`, r.Field, maxName)
		b = appendField(b, `,"detail":`, cmp.Or(r.Log, r.Detail), maxDetail)
		b = append(b, '}')
	}
	return appendOmitted(append(b, ']'), `,"reported_omitted":`, len(reported)-maxReported)
}

// appendVetoed appends the backends that policy took out of the draw.
func appendVetoed(b []byte, key string, vetoed []exchange.Veto) []byte {
	if len(vetoed) == 0 {
		return b
	}
	b = append(b, key...)
	for i := range vetoed[:min(len(vetoed), maxVetoed)] {
		if i > 0 {
			b = append(b, ',')
		}
		v := &vetoed[i]
		b = appendString(append(b, `{"backend":`...), v.Backend, maxName)
		b = appendField(b, `,"region":`, v.Region, maxShort)
		b = appendField(b, `,"reason":`, string(v.Reason), maxShort)
		b = appendField(b, `,"policy":`, v.Policy, maxName)
		b = appendField(b, `,"field":`, v.Field, maxName)
		b = append(b, '}')
	}
	return appendOmitted(append(b, ']'), `,"vetoed_omitted":`, len(vetoed)-maxVetoed)
}

func appendAttempts(b []byte, attempts []exchange.Attempt) []byte {
	if len(attempts) == 0 {
		return b
	}
	b = append(b, `,"attempts":[`...)
	for i := range attempts[:min(len(attempts), maxAttempts)] {
		if i > 0 {
			b = append(b, ',')
		}
		a := &attempts[i]
		b = appendString(append(b, `{"backend":`...), a.Backend, maxName)
		b = appendField(b, `,"parent":`, a.Parent, maxName)
		if a.Address.IsValid() {
			b = appendAddress(append(b, `,"address":`...), a.Address)
		}
		b = strconv.AppendBool(append(b, `,"reused":`...), a.Reused)
		b = appendNumber(b, `,"status":`, int64(a.Status))
		if a.Status != 0 {
			b = appendString(append(b, `,"protocol":`...), a.Version.String(), maxShort)
		}
		b = appendField(b, `,"class":`, a.Class, maxShort)
		b = appendField(b, `,"reason":`, string(a.Reason), maxShort)
		b = appendField(b, `,"detail":`, a.Detail, maxDetail)
		b = appendNumber(b, `,"written":`, a.Written)
		b = appendMillis(b, `,"duration_ms":`, a.Duration)
		if a.Duplicate {
			b = append(b, `,"duplicate":true`...)
		}
		b = appendField(b, `,"credential":`, a.Credential, maxName)
		b = append(b, '}')
	}
	return appendOmitted(append(b, ']'), `,"attempts_omitted":`, len(attempts)-maxAttempts)
}

// appendOmitted says how many entries a bounded list lacks.
func appendOmitted(b []byte, key string, n int) []byte {
	if n <= 0 {
		return b
	}
	return appendNumber(b, key, int64(n))
}

// status is what the client was answered, or what it would have been had it stayed.
func status(x *exchange.Exchange) int {
	if x.Response.Status == 0 && x.Refusal != nil {
		return x.Refusal.Code()
	}
	return x.Response.Status
}

// grpcStatus is what a gRPC call came to, as it was sent: in trailers, or in the head of an answer that has nothing else
// and of our refusals. Trailers that came before a refusal are an earlier attempt's.
func grpcStatus(x *exchange.Exchange) string {
	const field = "Grpc-Status"
	if x.Refusal != nil {
		return first(&x.Response.Header, field)
	}
	return cmp.Or(first(&x.Response.Trailer, field), first(&x.Response.Header, field))
}

// first is the first field of the name: joining several, as Header.Get does, would allocate, and nothing is decided here.
func first(h *exchange.Header, name string) string {
	for _, f := range h.Fields() {
		if exchange.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}
