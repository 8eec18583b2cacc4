// Package ca is a certificate authority for tests and the built-in demo: roots, intermediates and leaf certificates of
// any lifetime, all ECDSA P-256, made in memory.
//
// It keeps no state beyond its key, writes no file, revokes nothing and is no authority anybody outside should trust.
// Tests, internal/testkit's other far sides and the demo call it.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"time"
)

// How long certificates live where a Leaf does not say. They begin in the past so that a clock that lags does not matter.
const (
	skew     = time.Hour
	leafLife = 24 * time.Hour
	rootLife = 10 * 365 * 24 * time.Hour
)

// CA signs certificates.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	chain       [][]byte // DER of this CA's own certificate and of those above it, without the root
}

// Leaf is what to certify. The zero value is a server certificate with no name, valid for a day.
type Leaf struct {
	CommonName string
	DNSNames   []string
	IPs        []net.IP
	URIs       []string // SPIFFE IDs, for one
	NotBefore  time.Time
	NotAfter   time.Time
	Client     bool     // for clients (extended key usage clientAuth) and not for servers
	OCSP       []string // responders to name in the certificate (RFC 5280, section 4.2.2.1)
}

// New makes a root.
func New(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of CA %q: %w", name, err)
	}
	template := authority(name)
	certificate, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign CA %q: %w", name, err)
	}
	return &CA{certificate: certificate, key: key}, nil
}

// Intermediate makes a CA that c signed. What it issues carries the chain up to, and without, the root.
func (c *CA) Intermediate(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of CA %q: %w", name, err)
	}
	certificate, err := sign(authority(name), c.certificate, key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("sign CA %q: %w", name, err)
	}
	chain := append([][]byte{certificate.Raw}, c.chain...)
	return &CA{certificate: certificate, key: key, chain: chain}, nil
}

// Issue makes a key and a certificate for it. A lifetime in the past is issued as asked: that is how tests get expired ones.
func (c *CA) Issue(leaf Leaf) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key of leaf %q: %w", leaf.CommonName, err)
	}
	template, err := leaf.template()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue leaf %q: %w", leaf.CommonName, err)
	}
	certificate, err := sign(template, c.certificate, key.Public(), c.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue leaf %q: %w", leaf.CommonName, err)
	}
	return tls.Certificate{
		Certificate: append([][]byte{certificate.Raw}, c.chain...),
		PrivateKey:  key,
		Leaf:        certificate,
	}, nil
}

// Certificate is the CA's own.
func (c *CA) Certificate() *x509.Certificate { return c.certificate }

// Signer is the CA's key, for what else it must sign: OCSP answers.
func (c *CA) Signer() crypto.Signer { return c.key }

// PEM is the CA's own certificate, as a trust bundle has it.
func (c *CA) PEM() []byte { return encode([][]byte{c.certificate.Raw}) }

// Pool trusts this CA alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.certificate)
	return pool
}

// CertificatePEM is the chain as a Kubernetes TLS Secret has it in tls.crt: leaf first, intermediates after, no root.
func CertificatePEM(certificate tls.Certificate) []byte { return encode(certificate.Certificate) }

// KeyPEM is the key as a Kubernetes TLS Secret has it in tls.key: PKCS #8.
func KeyPEM(certificate tls.Certificate) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func encode(chain [][]byte) []byte {
	var out []byte
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func authority(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

func (l Leaf) template() (*x509.Certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: l.CommonName},
		DNSNames:              slices.Clone(l.DNSNames),
		IPAddresses:           slices.Clone(l.IPs),
		NotBefore:             l.NotBefore,
		NotAfter:              l.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		OCSPServer:            slices.Clone(l.OCSP),
	}
	if l.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.Add(leafLife)
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-skew)
		if !template.NotBefore.Before(template.NotAfter) {
			template.NotBefore = template.NotAfter.Add(-leafLife)
		}
	}
	for _, text := range l.URIs {
		uri, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("parse URI name: %w", err)
		}
		template.URIs = append(template.URIs, uri)
	}
	return template, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
