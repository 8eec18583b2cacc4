package proxy

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// The status codes of gRPC that refusals are told by.
const (
	grpcUnknown           = 2
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// endGRPC ends an answer that has begun in gRPC's own way, with a status in its trailers, which nobody takes for a good
// end. It reports false where that cannot be: a reset, which is all that is left, reads as INTERNAL.
func (j *journey) endGRPC(refusal *exchange.Refusal) bool {
	x := j.x
	if x.Request.Version != exchange.HTTP2 || !x.Request.GRPC() || x.Response.Length >= 0 {
		return false
	}
	var trailer exchange.Header
	trailer.Add("Grpc-Status", strconv.Itoa(grpcCode(refusal)))
	trailer.Add("Grpc-Message", grpcMessage(refusal.Detail))
	return j.conn.End(&trailer) == nil
}

// grpcCode is the status code of a refusal, as gRPC's HTTP mapping has it for most. UNIMPLEMENTED is for what no rule
// takes, UNAVAILABLE for backends that cannot be used (GRPCRouteRule.backendRefs).
func grpcCode(refusal *exchange.Refusal) int {
	if refusal.Reason == exchange.BackendInvalid || refusal.Reason == exchange.NoBackend {
		return grpcUnavailable
	}
	switch refusal.Code() {
	case http.StatusBadRequest, http.StatusInternalServerError:
		return grpcInternal
	case http.StatusUnauthorized:
		return grpcUnauthenticated
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusNotFound:
		return grpcUnimplemented
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return grpcResourceExhausted
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable:
		return grpcUnavailable
	case http.StatusGatewayTimeout:
		return grpcDeadlineExceeded
	}
	return grpcUnknown
}

// grpcMessage is gRPC's encoding of a message: printable ASCII but "%" as it is.
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		}
	}
	return b.String()
}

var grpcUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// grpcTimeout is what a client's grpc-timeout field bounds its call to; zero where it states none, or nothing that is
// one: the far side then says so.
func grpcTimeout(r *exchange.Request) time.Duration {
	value := r.Header.Get("Grpc-Timeout")
	if len(value) < 2 || len(value) > 9 || !r.GRPC() {
		return 0
	}
	unit, known := grpcUnits[value[len(value)-1]]
	n, err := strconv.ParseUint(value[:len(value)-1], 10, 31)
	if !known || err != nil || int64(n) > int64(math.MaxInt64/unit) {
		return 0
	}
	return time.Duration(n) * unit
}
