package identify

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/material"
)

// Bundles are the roots of a Gateway's trust domains. They are immutable.
type Bundles struct {
	domains map[string]*x509.CertPool
	roots   []*x509.Certificate
}

// NewBundles reads the bundles. A trust domain whose bundle cannot be read names nobody; the errors say which.
func NewBundles(sources []plan.SPIFFESource, secret func(name string) *plan.Secret) (*Bundles, []error) {
	b := &Bundles{domains: map[string]*x509.CertPool{}}
	var problems []error
	for _, s := range sources {
		roots, err := material.Roots([]string{s.Bundle}, secret)
		if err != nil {
			problems = append(problems, fmt.Errorf("bundle of trust domain %s: %w", s.TrustDomain, err))
			continue
		}
		pool := b.domains[s.TrustDomain]
		if pool == nil {
			pool = x509.NewCertPool()
			b.domains[s.TrustDomain] = pool
		}
		for _, root := range roots {
			pool.AddCert(root)
		}
		b.roots = append(b.roots, roots...)
	}
	return b, problems
}

// Roots are the certificates of all bundles: what a listener may tell its clients that it knows.
func (b *Bundles) Roots() []*x509.Certificate { return b.roots }

// SPIFFE is the id of the client whose certificate the handshake took, if it verifies as an X509-SVID (section 5) of a
// configured trust domain, else empty. The handshake itself has proved that the client holds the key, in this connection
// or in the one that it resumes; the chain is verified here, for a resumed connection too.
func (b *Bundles) SPIFFE(state *tls.ConnectionState, now time.Time) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	leaf := state.PeerCertificates[0]
	const authority = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if len(leaf.URIs) != 1 || leaf.IsCA || leaf.KeyUsage&authority != 0 {
		return ""
	}
	id := leaf.URIs[0].String()
	domain, path, ok := parse(id)
	if !ok || path == "" { // without a path it is the trust domain's own (SPIFFE-ID, section 2.2)
		return ""
	}
	roots := b.domains[domain]
	if roots == nil { // crypto/x509 would take the system's
		return ""
	}
	options := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(options); err != nil {
		return ""
	}
	return id
}

// The bounds of a SPIFFE id (SPIFFE-ID, section 2.3).
const (
	maxID     = 2048
	maxDomain = 255
)

// parse splits a SPIFFE id into trust domain and path (SPIFFE-ID, section 2). The path has a leading slash, or is empty.
func parse(id string) (domain, path string, ok bool) {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	if !ok || len(id) > maxID {
		return "", "", false
	}
	if domain = rest; strings.Contains(rest, "/") {
		domain = rest[:strings.IndexByte(rest, '/')]
	}
	path = rest[len(domain):]
	if !validDomain(domain) {
		return "", "", false
	}
	for more := path; more != ""; {
		var segment string
		segment, more = cutSegment(more)
		if segment == "" || segment == "." || segment == ".." || !spelled(segment, true) {
			return "", "", false
		}
	}
	return domain, path, true
}

func validDomain(domain string) bool {
	return domain != "" && len(domain) <= maxDomain && spelled(domain, false)
}

// cutSegment takes the first segment of a path with its leading slash.
func cutSegment(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// spelled reports whether a text has the letters of a trust domain or, upper case ones too, of a path segment.
func spelled(text string, upper bool) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', upper && 'A' <= c && c <= 'Z':
		default:
			return false
		}
	}
	return true
}

// workload is the namespace and service account that a path names, as Kubernetes workloads have it: /ns/NAMESPACE/sa/NAME.
func workload(path string) (namespace, serviceAccount string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/ns/")
	if !ok {
		return "", "", false
	}
	namespace, rest, ok = strings.Cut(rest, "/")
	if !ok {
		return "", "", false
	}
	serviceAccount, ok = strings.CutPrefix(rest, "sa/")
	if !ok || namespace == "" || serviceAccount == "" || strings.Contains(serviceAccount, "/") {
		return "", "", false
	}
	return namespace, serviceAccount, true
}
