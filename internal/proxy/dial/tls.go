package dial

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/material"
)

// TLS is one effective TLS setting: whom to trust, which names to demand, how to present ourselves.
type TLS struct {
	roots    *x509.CertPool // nil: the system's
	client   *tls.Certificate
	minimum  uint16
	hostname string
	sans     []plan.SAN
	key      Key
}

// Key identifies a TLS setting by its content. It is for comparison in memory: no form of it prints.
type Key string

const keyText = "[tls setting]"

// String is "[tls setting]".
func (Key) String() string { return keyText }

// GoString is "[tls setting]".
func (Key) GoString() string { return keyText }

// MarshalText is "[tls setting]".
func (Key) MarshalText() ([]byte, error) { return []byte(keyText), nil }

// LogValue is "[tls setting]".
func (Key) LogValue() slog.Value { return slog.StringValue(keyText) }

// NewTLS reads what the plan's setting names. Whatever is missing, empty or unreadable is an error that says which object.
func NewTLS(t *plan.TLS, secret func(name string) *plan.Secret) (*TLS, error) {
	s := &TLS{hostname: strings.ToLower(strings.TrimSuffix(t.Hostname, ".")), sans: slices.Clone(t.SANs)}
	if strings.Contains(s.hostname, "*") {
		return nil, fmt.Errorf("build TLS setting: hostname %q is no name to verify", t.Hostname)
	}
	switch t.MinVersion {
	case "", "1.2":
		s.minimum = tls.VersionTLS12
	case "1.3":
		s.minimum = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("build TLS setting: minimum version %q is neither 1.2 nor 1.3", t.MinVersion)
	}
	for _, san := range s.sans {
		if san.Value == "" || san.Type != sanHostname && san.Type != sanURI {
			return nil, fmt.Errorf("build TLS setting: subject alternative name of type %q, value %q", san.Type, san.Value)
		}
	}
	roots, err := material.Roots(t.Roots, secret)
	if err != nil {
		return nil, fmt.Errorf("build TLS setting: %w", err)
	}
	if s.roots, err = rootPool(t.SystemRoots, roots); err != nil {
		return nil, fmt.Errorf("build TLS setting: %w", err)
	}
	if t.ClientCertificate != "" {
		if s.client, err = material.Pair(t.ClientCertificate, secret); err != nil {
			return nil, fmt.Errorf("build TLS setting: %w", err)
		}
	}
	s.key = s.digest(t.SystemRoots, roots)
	return s, nil
}

func rootPool(system bool, roots []*x509.Certificate) (*x509.CertPool, error) {
	var pool *x509.CertPool
	switch {
	case system && len(roots) == 0:
		return nil, nil //nolint:nilnil // crypto/tls's own spelling of the system's roots
	case system:
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's roots: %w", err)
		}
	case len(roots) == 0:
		return nil, errors.New("nobody is trusted: neither the system's roots nor any of its own")
	default:
		pool = x509.NewCertPool()
	}
	for _, root := range roots {
		pool.AddCert(root)
	}
	return pool, nil
}

// Key is the setting's; a nil setting (plain) has the empty one. Settings with the same contents share it.
func (s *TLS) Key() Key {
	if s == nil {
		return ""
	}
	return s.key
}

// String names the setting for people.
func (s *TLS) String() string {
	if s == nil {
		return "plain"
	}
	return "TLS to " + s.hostname
}

// GoString is String: the client's key stays out of every print.
func (s *TLS) GoString() string { return s.String() }

// digest is over everything that decides whom we connect to and as whom. Each part has its length before it.
func (s *TLS) digest(system bool, roots []*x509.Certificate) Key {
	h := sha256.New()
	part := func(b []byte) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		_, _ = h.Write(b)
	}
	part(fmt.Appendf(nil, "%t %d", system, s.minimum))
	part([]byte(s.hostname))
	sums := make([]string, 0, len(roots))
	for _, root := range roots {
		sum := sha256.Sum256(root.Raw)
		sums = append(sums, string(sum[:]))
	}
	slices.Sort(sums)
	part([]byte(strings.Join(slices.Compact(sums), "")))
	names := make([]string, 0, len(s.sans))
	for _, san := range s.sans {
		names = append(names, san.Type+" "+san.Value)
	}
	slices.Sort(names)
	for _, name := range names {
		part([]byte(name))
	}
	part(nil)
	if s.client != nil {
		for _, certificate := range s.client.Certificate {
			part(certificate)
		}
	}
	return Key(h.Sum(nil))
}

// config is the setting for one server name, with a session cache of its own. Curves are Go's, ML-KEM included.
func (s *TLS) config(name string, now func() time.Time) *tls.Config {
	verify := verification{setting: s, name: name, now: now}
	config := &tls.Config{
		RootCAs:            s.roots,
		ServerName:         name,
		MinVersion:         s.minimum,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
		Time:               now,
		VerifyConnection:   verify.standard,
	}
	if len(s.sans) > 0 {
		// GEP-1897: with names of its own, the hostname is SNI alone, which crypto/tls cannot tell apart; so chain,
		// time and names are all verified by ours, on resumption too.
		config.InsecureSkipVerify = true
		config.VerifyConnection = verify.names
	}
	if s.client != nil {
		// Presented whatever authorities the far side lists: those lists are often incomplete.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.client, nil }
	}
	return config
}
