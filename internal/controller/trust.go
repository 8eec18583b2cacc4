package controller

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	authoritySecret = "ebbgate-controller-ca" // in the controller's own namespace
	certificatesKey = "ca.crt"                // PEM, the oldest first
	keysKey         = "ca.key"                // PEM, of each certificate its key, in the same order
	skew            = time.Minute             // by which clocks may differ
)

// Trust says how long what proves the controller to the proxies lasts; zero fields are a year, an hour and a minute.
type Trust struct {
	Life   time.Duration // of a CA; its successor comes at half of it
	Settle time.Duration // before a new CA signs: until every proxy has it
	Check  time.Duration // between two looks at what is due
}

// authority is the CA by which proxies know the controller. It is kept in a Secret. A successor is told to the proxies
// long before it signs, and the predecessor is believed until its end, so that a rotation cuts nobody off.
type authority struct {
	client    kubernetes.Interface
	namespace string
	trust     Trust
	host      string // which its certificates are for

	known   []pair // those in the Secret, as it was read last
	signer  *x509.Certificate
	serving atomic.Pointer[tls.Certificate]
}

// pair is a CA's certificate and key.
type pair struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(client kubernetes.Interface, namespace, host string, t Trust) *authority {
	if t == (Trust{}) {
		t = Trust{365 * 24 * time.Hour, time.Hour, time.Minute}
	}
	return &authority{client: client, namespace: namespace, trust: t, host: host}
}

// config serves the newest certificate.
func (a *authority) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.serving.Load(), nil }}
}

// bundle are the certificates that a proxy is to believe, in PEM.
func (a *authority) bundle() []byte {
	var out bytes.Buffer
	for _, p := range a.known {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw}) // a Buffer takes all
	}
	return out.Bytes()
}

// renew does what is due by now: to the Secret, and to the serving certificate. Who leads calls it, nobody else.
func (a *authority) renew(ctx context.Context, now time.Time) error {
	secrets := a.client.CoreV1().Secrets(a.namespace)
	secret, err := secrets.Get(ctx, authoritySecret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("read the controller's CA: %w", err)
	}
	known := a.known // where the Secret is gone, what it had is written anew
	if !missing {
		if known, err = readPairs(secret.Data[certificatesKey], secret.Data[keysKey]); err != nil {
			return fmt.Errorf("read the controller's CA from the Secret %s/%s: %w (delete it and restart the controller, and there will be a new one)", a.namespace, authoritySecret, err)
		}
	}
	due := slices.DeleteFunc(slices.Clone(known), func(p pair) bool { return !now.Before(p.certificate.NotAfter) })
	if len(due) == 0 || now.Sub(due[len(due)-1].certificate.NotBefore) >= a.trust.Life/2 {
		p, err := a.successor(now)
		if err != nil {
			return err
		}
		due = append(due, p)
	}
	if missing || len(due) != len(known) || due[len(due)-1] != known[len(known)-1] {
		if missing {
			secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Namespace: a.namespace, Name: authoritySecret, Labels: map[string]string{"app.kubernetes.io/managed-by": "ebbgate-controller"},
			}}
		}
		if secret.Data, err = writePairs(due); err != nil {
			return err
		}
		if missing {
			_, err = secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager})
		} else {
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager}) // a conflict is tried again
		}
		if err != nil {
			return fmt.Errorf("keep the controller's CA: %w", err)
		}
	}
	a.known = due
	return a.certify(now)
}

// certify has the serving certificate be of the CA that is to sign, and far from its end.
func (a *authority) certify(now time.Time) error {
	signer := a.known[0]
	for _, p := range a.known[1:] {
		if now.Sub(p.certificate.NotBefore) >= a.trust.Settle {
			signer = p
		}
	}
	if is := a.serving.Load(); is != nil && a.signer != nil && a.signer.Equal(signer.certificate) && is.Leaf.NotAfter.Sub(now) > a.trust.Life/8 {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	end := now.Add(a.trust.Life / 4)
	if end.After(signer.certificate.NotAfter) {
		end = signer.certificate.NotAfter
	}
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "ebbgate-controller"}, DNSNames: []string{a.host},
		NotBefore: now.Add(-skew), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, signer.certificate, key.Public(), signer.key)
	if err != nil {
		return fmt.Errorf("sign the controller's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		return fmt.Errorf("sign the controller's certificate: %w", err)
	}
	a.signer = signer.certificate
	a.serving.Store(&tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf})
	return nil
}

func (a *authority) successor(now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make a key: %w", err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "ebbgate-controller-ca"},
		NotBefore: now, NotAfter: now.Add(a.trust.Life), KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "ebbgate-controller-ca"}}, key.Public(), key)
	if err != nil {
		return pair{}, fmt.Errorf("make a CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(raw)
	return pair{certificate, key}, err
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not err
	return n.Add(n, big.NewInt(1))
}

// errPairs does not say what is wrong with a key: that could quote from it.
var errPairs = errors.New("it has not one key to each certificate of a CA")

// readPairs reads certificates and their keys.
func readPairs(certificates, keys []byte) (pairs []pair, err error) {
	for {
		var c, k *pem.Block
		c, certificates = pem.Decode(certificates)
		k, keys = pem.Decode(keys)
		if c == nil && k == nil && len(pairs) > 0 {
			return pairs, nil
		}
		if c == nil || k == nil || c.Type != "CERTIFICATE" || k.Type != "PRIVATE KEY" {
			return nil, errPairs
		}
		certificate, err := x509.ParseCertificate(c.Bytes)
		if err != nil {
			return nil, errPairs
		}
		key, err := x509.ParsePKCS8PrivateKey(k.Bytes)
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok || !certificate.IsCA || !certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
			return nil, errPairs
		}
		pairs = append(pairs, pair{certificate, signer})
	}
}

func writePairs(pairs []pair) (map[string][]byte, error) {
	var certificates, keys bytes.Buffer
	for _, p := range pairs {
		key, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			return nil, fmt.Errorf("write the controller's CA: %w", err)
		}
		_ = pem.Encode(&certificates, &pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw}) // a Buffer takes all
		_ = pem.Encode(&keys, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	return map[string][]byte{certificatesKey: certificates.Bytes(), keysKey: keys.Bytes()}, nil
}
