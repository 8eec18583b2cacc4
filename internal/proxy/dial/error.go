package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Error is a connection that did not come about. Its text is for the log: it may name internal addresses, and never
// holds key material.
type Error struct {
	Reason  exchange.Reason
	Err     error
	Refusal *exchange.Refusal // set where policy refused; Reason is then its reason
	Address netip.AddrPort    // tried last; invalid where none was
}

func (e *Error) Error() string {
	if e.Address.IsValid() {
		return fmt.Sprintf("dial %s: %v", e.Address, e.Err)
	}
	return fmt.Sprintf("dial: %v", e.Err)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrNoEndpoints is a Service without ready endpoints.
var ErrNoEndpoints = errors.New("no endpoint is ready")

var errConnectTimeout = errors.New("the connect timeout is over")

// ended is the error of a context that ended: the connect timeout, the caller's own, or a caller that left.
func ended(ctx context.Context) *Error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errConnectTimeout) || errors.Is(cause, context.DeadlineExceeded) {
		return &Error{Reason: exchange.ConnectTimeout, Err: cause}
	}
	return &Error{Reason: exchange.ConnectFailed, Err: cause}
}

func refused(r *exchange.Refusal, address netip.AddrPort) *Error {
	return &Error{Reason: r.Reason, Err: fmt.Errorf("refused: %s", r.Detail), Refusal: r, Address: address}
}

// alerts are the words that crypto/tls has for the alerts (RFC 8446, section 6.2) by which a far side refuses us in the
// handshake: its type for them is not exported.
var alerts = []string{
	"bad certificate", "unsupported certificate", "revoked certificate", "expired certificate", "unknown certificate",
	"unknown certificate authority", "access denied", "certificate required", "handshake failure",
}

// RefusedByPeer reports whether an error is the far side's refusal of the handshake. In TLS 1.3 a client's own side of
// the handshake is over before its certificate is judged, so that the refusal comes with the first read; nothing that
// was written meanwhile was taken.
func RefusedByPeer(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	return ok && remote.Op == "remote error" && slices.ContainsFunc(alerts, func(a string) bool { return remote.Err.Error() == "tls: "+a })
}

// handshakeError tells a far side that is not who it should be from one that does not speak TLS with us.
func handshakeError(ctx context.Context, err error, address netip.AddrPort) *Error {
	if ctx.Err() != nil {
		e := ended(ctx)
		e.Address, e.Err = address, fmt.Errorf("TLS handshake: %w", e.Err)
		return e
	}
	reason := exchange.TLSFailed
	_, standard := errors.AsType[*tls.CertificateVerificationError](err)
	_, own := errors.AsType[*verificationError](err)
	if standard || own {
		reason = exchange.TLSVerificationFailed
	}
	return &Error{Reason: reason, Err: fmt.Errorf("TLS handshake: %w", err), Address: address}
}
