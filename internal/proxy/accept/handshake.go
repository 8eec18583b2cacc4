package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

// ErrNoListener is what TLS.Config gives for a server name that no listener takes.
var ErrNoListener = errors.New("no listener takes the server name")

// failure is why a handshake with a client failed.
type failure int

const (
	noListener failure = iota
	badCertificate
	badProtocol
	tooSlow
	otherFailure
	failures
)

func (f failure) String() string {
	return [...]string{"no_listener", "client_certificate", "protocol", "timeout", "other"}[f]
}

// Refused tells how many handshakes each socket with TLS has refused since it was bound, by why: no_listener,
// client_certificate, protocol, timeout or other.
func (s *Set) Refused(yield func(socket, reason string, n int64)) {
	s.mu.Lock()
	sockets := slices.Collect(maps.Values(s.sockets))
	s.mu.Unlock()
	for _, so := range sockets {
		if t, _ := s.config.Handler.TLS(so.address); t == nil {
			continue
		}
		for f := range failures {
			yield(so.address, f.String(), so.refused[f].Load())
		}
	}
}

// refuse counts a handshake that failed. One that a client never began is none, for so do those who only look whether
// the port is open; nor is one that our own end cut.
func (so *socket) refuse(err error, begun bool) {
	left := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
	if left && !begun || errors.Is(err, context.Canceled) {
		return
	}
	so.refused[failureOf(err)].Add(1)
}

// failureOf tells failures of crypto/tls apart. Most of them it gives no type: all that it finds wrong with what a client
// sent begins with its name, and is the protocol's but for the few that are about a certificate.
func failureOf(err error) failure {
	if errors.Is(err, ErrNoListener) {
		return noListener
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return tooSlow
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return badCertificate
	}
	text, ours := strings.CutPrefix(err.Error(), "tls: ")
	switch op, ok := errors.AsType[*net.OpError](err); {
	case ours && (strings.Contains(text, "client certificate") || strings.Contains(text, "client didn't provide a certificate")):
		return badCertificate
	case ours, ok && op.Op == "local error": // an alert that we sent
		return badProtocol
	}
	return otherFailure
}
