package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// The types of plan.SAN.
const (
	sanHostname = "Hostname"
	sanURI      = "URI"
)

// verificationError is a far side that is not who it should be.
type verificationError struct{ err error }

func (e *verificationError) Error() string { return "verify the far side: " + e.err.Error() }
func (e *verificationError) Unwrap() error { return e.err }

// verification is what crypto/tls calls at the end of every handshake, the resumed ones included.
type verification struct {
	setting *TLS
	name    string
	now     func() time.Time
}

// standard is for settings that crypto/tls verifies itself. It does so in full handshakes; a resumed session is held to
// the same name, and to certificates that have not run out since.
func (v verification) standard(state tls.ConnectionState) error {
	if !state.DidResume {
		return nil
	}
	if len(state.PeerCertificates) == 0 {
		return &verificationError{errors.New("the resumed session has no certificate")}
	}
	if err := state.PeerCertificates[0].VerifyHostname(v.name); err != nil {
		return &verificationError{err}
	}
	now := v.now()
	for _, chain := range state.VerifiedChains {
		if valid(chain, now) {
			return nil
		}
	}
	return &verificationError{errors.New("a certificate of the resumed session has expired")}
}

func valid(chain []*x509.Certificate, now time.Time) bool {
	for _, certificate := range chain {
		if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			return false
		}
	}
	return len(chain) > 0
}

// names verifies the chain and that the certificate carries one of the setting's names.
func (v verification) names(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return &verificationError{errors.New("the far side has no certificate")}
	}
	leaf := state.PeerCertificates[0]
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots:         v.setting.roots,
		Intermediates: intermediates,
		CurrentTime:   v.now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return &verificationError{err}
	}
	for _, san := range v.setting.sans {
		if carries(leaf, san.Type, san.Value) {
			return nil
		}
	}
	return &verificationError{fmt.Errorf("the certificate has none of the %d subject alternative names asked for", len(v.setting.sans))}
}

func carries(leaf *x509.Certificate, kind, value string) bool {
	if kind == sanHostname {
		return leaf.VerifyHostname(value) == nil
	}
	for _, uri := range leaf.URIs {
		if uri.String() == value {
			return true
		}
	}
	return false
}
