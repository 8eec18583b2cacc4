package spec_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

type certificate = tls.Certificate

// keyPair is a Secret of the namespace spec.
func keyPair(t *testing.T, name string, pair certificate) string {
	t.Helper()
	key, err := ca.KeyPEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: spec}\ntype: kubernetes.io/tls\nstringData:\n%s%s",
		name, block("tls.crt", ca.CertificatePEM(pair)), block("tls.key", key))
}

// authority is a ConfigMap of the namespace spec that has a CA's certificate.
func authority(name string, root *ca.CA) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: spec}\ndata:\n%s", name, block("ca.crt", root.PEM()))
}

func block(key string, text []byte) string {
	return "  " + key + ": |\n    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ") + "\n"
}
