package attach

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// The keys of Secrets and ConfigMaps that hold certificates.
const (
	certificateKey = corev1.TLSCertKey
	privateKeyKey  = corev1.TLSPrivateKeyKey
	authorityKey   = "ca.crt"
)

// Data is what a Secret holds; what stringData writes counts as the API server would count it.
func Data(secret *corev1.Secret) map[string][]byte {
	if len(secret.StringData) == 0 {
		return secret.Data
	}
	data := maps.Clone(secret.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	for key, value := range secret.StringData {
		data[key] = []byte(value)
	}
	return data
}

// ConfigData is what a ConfigMap holds.
func ConfigData(config *corev1.ConfigMap) map[string][]byte {
	data := make(map[string][]byte, len(config.Data)+len(config.BinaryData))
	maps.Copy(data, config.BinaryData)
	for key, value := range config.Data {
		data[key] = []byte(value)
	}
	return data
}

// Wrong is what is wrong with a reference: empty where nothing is. It never holds what a Secret holds.
type Wrong struct{ Reason, Message, Mend string }

// Secret resolves a reference to a Secret. Absent is the reason to give where there is none.
func (in *Inputs) Secret(r *derive.Reader, from Party, namespace, name, absent string) (*corev1.Secret, string, *Wrong) {
	to := Party{Kind: "Secret", Namespace: namespace, Name: name}
	if !in.Permitted(r, from, to) {
		message, mend := NotPermitted(from, to)
		return nil, "", &Wrong{"RefNotPermitted", message, mend}
	}
	key := plan.ObjectName("Secret", namespace, name)
	secret, ok := derive.Get(r, in.Secrets.Collection, key)
	if !ok {
		return nil, "", &Wrong{absent, fmt.Sprintf("Secret %s/%s does not exist", namespace, name), "create it, or name one that exists"}
	}
	return secret, key, nil
}

// KeyPair resolves a reference to a Secret with a certificate and its key, and checks them. Its name is the plan's.
func (in *Inputs) KeyPair(r *derive.Reader, from Party, namespace, name, reason string) (string, *Wrong) {
	secret, key, wrong := in.Secret(r, from, namespace, name, reason)
	if wrong != nil {
		return "", wrong
	}
	if secret.Type != corev1.SecretTypeTLS {
		return "", &Wrong{reason, fmt.Sprintf("Secret %s/%s is not of type %s", namespace, name, corev1.SecretTypeTLS),
			"make one with kubectl create secret tls"}
	}
	data := Data(secret)
	if _, err := tls.X509KeyPair(data[certificateKey], data[privateKeyKey]); err != nil {
		return "", &Wrong{reason, fmt.Sprintf("Secret %s/%s: %s and %s are not a PEM certificate chain and its private key",
			namespace, name, certificateKey, privateKeyKey), "write the certificate first, then its issuers, and the key that belongs to it"}
	}
	return key, nil
}

// Authorities resolves a reference to a ConfigMap or Secret that holds CA certificates, and checks them. Its name is the
// plan's. Invalid is the reason to give for one that is missing or broken, kind for one that cannot hold any.
func (in *Inputs) Authorities(r *derive.Reader, from, to Party, invalid, kind string) (string, *Wrong) {
	what := fmt.Sprintf("%s %s/%s", to.Kind, to.Namespace, to.Name)
	if to.Group != "" || to.Kind != "Secret" && to.Kind != "ConfigMap" {
		return "", &Wrong{kind, what + " cannot hold CA certificates", "name a ConfigMap or a Secret"}
	}
	if !in.Permitted(r, from, to) {
		message, mend := NotPermitted(from, to)
		return "", &Wrong{"RefNotPermitted", message, mend}
	}
	key := plan.ObjectName(to.Kind, to.Namespace, to.Name)
	data, ok := in.data(r, key)
	if !ok {
		return "", &Wrong{invalid, what + " does not exist", "create it, or name one that exists"}
	}
	if !certificates(data[authorityKey]) {
		return "", &Wrong{invalid, fmt.Sprintf("%s: %s holds no PEM certificates, or holds something else besides", what, authorityKey),
			"write one or more CERTIFICATE blocks there"}
	}
	return key, nil
}

// data is what a Secret or ConfigMap holds.
func (in *Inputs) data(r *derive.Reader, key string) (map[string][]byte, bool) {
	if secret, ok := derive.Get(r, in.Secrets.Collection, key); ok {
		return Data(secret), true
	}
	if config, ok := derive.Get(r, in.ConfigMaps.Collection, key); ok {
		return ConfigData(config), true
	}
	return nil, false
}

// certificates reports whether PEM text is made of certificates alone, one at least. A block that cannot be read counts:
// pem.Decode passes over it, and proxies trust no bundle of which they can read a part.
func certificates(text []byte) bool {
	blocks, found := bytes.Count(text, []byte("-----BEGIN ")), 0
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return found > 0 && found == blocks
		}
		if _, err := x509.ParseCertificate(block.Bytes); block.Type != "CERTIFICATE" || err != nil {
			return false
		}
		found, text = found+1, rest
	}
}
