// Package material reads what TLS is made of out of the plan's Secrets and ConfigMaps: bundles of roots, and certificates
// with their keys. It trusts and verifies nothing. Its errors name the object and never quote from it. proxy, dial and
// identify call it while they build a table.
package material

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/ebbgate/ebbgate/internal/plan"
)

const (
	maxBundle = 1 << 20 // bytes of one object's ca.crt: as much as Kubernetes stores in one
	maxRoots  = 1024    // certificates of one bundle
)

// Roots are the certificates of every ca.crt of the objects named. Of no objects they are none: whoever builds a pool of
// them sees to it that none is not taken for the system's roots.
func Roots(names []string, secret func(name string) *plan.Secret) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for _, name := range names {
		bundle, err := read(name, "ca.crt", secret)
		if err != nil {
			return nil, err
		}
		list, err := parseBundle(bundle)
		if err != nil {
			return nil, fmt.Errorf("%s: ca.crt: %w", name, err)
		}
		roots = append(roots, list...)
	}
	return roots, nil
}

func read(name, key string, secret func(name string) *plan.Secret) ([]byte, error) {
	object := secret(name)
	if object == nil {
		return nil, fmt.Errorf("%s: there is no such object", name)
	}
	value := object.Data[key].Reveal()
	if len(value) == 0 {
		return nil, fmt.Errorf("%s: %s is absent or empty", name, key)
	}
	return value, nil
}

// parseBundle takes every certificate of a PEM bundle, or none: what a bundle was meant to trust must not depend on which
// of its parts we can read. Text between the blocks is commentary.
func parseBundle(bundle []byte) ([]*x509.Certificate, error) {
	if len(bundle) > maxBundle {
		return nil, fmt.Errorf("%d bytes, more than %d", len(bundle), maxBundle)
	}
	blocks := bytes.Count(bundle, []byte("-----BEGIN "))
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is no certificate", len(list)+1)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		if list = append(list, certificate); len(list) > maxRoots {
			return nil, fmt.Errorf("more than %d certificates", maxRoots)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no certificate in it")
	}
	if blocks != len(list) { // pem.Decode passes over what it cannot read
		return nil, fmt.Errorf("%d of %d blocks cannot be read", blocks-len(list), blocks)
	}
	return list, nil
}

// Pair is the certificate and key of a kubernetes.io/tls Secret. The library's error is left out: it quotes from its
// input, which is a key.
func Pair(name string, secret func(name string) *plan.Secret) (*tls.Certificate, error) {
	chain, err := read(name, "tls.crt", secret)
	if err != nil {
		return nil, err
	}
	key, err := read(name, "tls.key", secret)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: tls.crt and tls.key are no certificate with its key", name)
	}
	return &pair, nil
}
