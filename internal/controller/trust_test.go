package controller

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestAuthority: through many rotations, whoever has the bundle of an hour ago believes the certificate of now; another
// controller goes on with the same; and what is lost of the Secret is written anew.
func TestAuthority(t *testing.T) {
	c := newCluster(t)
	const host = "ebbgate-controller.somewhere.svc"
	clients := c.typed()
	secrets := clients.CoreV1().Secrets(c.namespace)
	believes := func(bundle []byte, a *authority, now time.Time) error {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		_, err := a.serving.Load().Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now})
		return err
	}
	trust := Trust{Life: 10 * 24 * time.Hour, Settle: time.Hour}
	start := time.Now()
	a := newAuthority(clients, c.namespace, host, trust)
	must(t, a.renew(t.Context(), start))
	former, signers, now := a.bundle(), map[string]bool{}, start
	for hour := range 60 * 24 {
		now = start.Add(time.Duration(hour) * time.Hour)
		if hour%100 == 0 { // another replica leads
			a = newAuthority(clients, c.namespace, host, trust)
		}
		must(t, a.renew(t.Context(), now))
		if err := believes(former, a, now); err != nil {
			t.Fatalf("after %s: %v", now.Sub(start), err)
		}
		former = a.bundle()
		signers[string(a.signer.Raw)] = true
		if n := len(a.known); n > 3 {
			t.Fatalf("after %s: %d CAs", now.Sub(start), n)
		}
	}
	if len(signers) < 10 {
		t.Errorf("%d CAs have signed in the lives of six", len(signers))
	}
	must(t, secrets.Delete(t.Context(), authoritySecret, metav1.DeleteOptions{}))
	must(t, a.renew(t.Context(), now))
	if err := believes(former, a, now); err != nil {
		t.Errorf("after the Secret was lost: %v", err)
	}
	_, err := secrets.Patch(t.Context(), authoritySecret, types.MergePatchType, []byte(`{"stringData":{"ca.key":"hunter2"}}`), metav1.PatchOptions{})
	must(t, err)
	if err := a.renew(t.Context(), now); err == nil || !strings.Contains(err.Error(), "delete it") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("of a broken Secret: %v", err)
	}
}
