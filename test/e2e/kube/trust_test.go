//go:build cluster

package kube_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// mounted is what the kubelet has written into a file that proves a proxy and its controller to each other.
func mounted(t testing.TB, pod, file string) string {
	t.Helper()
	uid := kubectl(t, "", "-n", "ai", "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	paths := filepath.Join(filepath.Dir(os.Getenv("KUBECONFIG")), "../kubelet/pods", uid, "volumes/kubernetes.io~projected/*", file)
	found, err := filepath.Glob(paths)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %d files, %v", paths, len(found), err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// known reports whether the API server knows a token of a proxy's.
func known(t testing.TB, token string) bool {
	t.Helper()
	review := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q,"audiences":[%q]}}`, token, plan.TokenAudience)
	return kubectl(t, review, "create", "-f", "-", "-o", "jsonpath={.status.authenticated}") == "true"
}

// reconnected kills the controller that leads, so that every proxy connects anew, and holds that each is told of a new route.
func (p *providers) reconnected(i int) {
	p.t.Helper()
	was := leader(p.t)
	kill(p.t, system, was)
	eventually(p.t, "another leads", func() bool { now := leader(p.t); return now != "" && now != was })
	apply(p.t, route(i))
	for _, pod := range pods(p.t, "ai", proxies) {
		ip := kubectl(p.t, "", "-n", "ai", "get", "pod", pod, "-o", "jsonpath={.status.podIP}")
		a := p.call
		a.URL = fmt.Sprintf("http://%s:18083/churn-%d", ip, i)
		p.served(a, http.StatusOK)
	}
}

// TestTokensRenewed: proxies connect with the token that the kubelet has written last. The former ones are made worthless, which
// their end would do ten minutes later: their ServiceAccount is deleted, and made anew by the controller.
func TestTokensRenewed(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	former := map[string]string{}
	for _, pod := range pods(t, "ai", proxies) {
		former[pod] = mounted(t, pod, "token")
		if !known(t, former[pod]) {
			t.Fatalf("%s has a token that nobody knows", pod)
		}
	}
	kubectl(t, "", "-n", "ai", "delete", "serviceaccount", "egress-ebbgate")
	eventually(t, "the ServiceAccount is there again", func() bool {
		_, err := try(t.Context(), "", "-n", "ai", "get", "serviceaccount", "egress-ebbgate")
		return err == nil
	})
	for pod, token := range former {
		eventually(t, "the token of "+pod+" is worthless", func() bool { return !known(t, token) })
	}
	script(t, "kubelet", "restart") // it writes new tokens for those that it does not remember
	for pod, token := range former {
		eventually(t, pod+" has another token", func() bool { now := mounted(t, pod, "token"); return now != token && known(t, now) })
	}
	p.reconnected(0)
	if len(pods(t, "ai", proxies)) != len(former) {
		t.Error("they are other proxies")
	}
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}

// authority is one of the controller's CAs, with its key.
type authority struct {
	certificate *x509.Certificate
	key         *pem.Block
}

// held are the CAs that are kept for the controller, the oldest first.
func held(t testing.TB) (list []authority) {
	t.Helper()
	var secret struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(kubectl(t, "", "-n", system, "get", "secret", "ebbgate-controller-ca", "-o", "json")), &secret); err != nil {
		t.Fatal(err)
	}
	certificates, keys := secret.Data["ca.crt"], secret.Data["ca.key"]
	for {
		var c, k *pem.Block
		c, certificates = pem.Decode(certificates)
		k, keys = pem.Decode(keys)
		if c == nil || k == nil {
			return list
		}
		certificate, err := x509.ParseCertificate(c.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, authority{certificate, k})
	}
}

// date gives a CA another life: the same key, so that whatever it has signed stays signed.
func (a authority) date(t testing.TB, from, to time.Time) authority {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(a.key.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	template := *a.certificate
	template.NotBefore, template.NotAfter = from, to
	raw, err := x509.CreateCertificate(nil, &template, &template, template.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	dated, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return authority{dated, a.key}
}

func bundle(list []authority) string {
	var out bytes.Buffer
	for _, a := range list {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	}
	return out.String()
}

// hold has the controller's CAs be these.
func hold(t testing.TB, list ...authority) {
	t.Helper()
	var keys bytes.Buffer
	for _, a := range list {
		_ = pem.Encode(&keys, a.key)
	}
	patch, err := json.Marshal(map[string]any{"stringData": map[string]string{"ca.crt": bundle(list), "ca.key": keys.String()}})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "", "-n", system, "patch", "secret", "ebbgate-controller-ca", "--type=merge", "-p", string(patch))
}

// proved reports whether the controller's certificate is of a CA.
func proved(t testing.TB, by authority) bool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(by.certificate)
	address := net.JoinHostPort(kubectl(t, "", "-n", system, "get", "service", "ebbgate-controller", "-o", "jsonpath={.spec.clusterIP}"), "9443")
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "ebbgate-controller." + system + ".svc", MinVersion: tls.VersionTLS13}}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// TestAuthorityRotates: the CA by which proxies know the controller has a successor in time, which is told to them, signs once
// they have it, and is the only one at last; no request fails, and proxies connect at each step. Time does not wait: CAs are
// given the dates that they would have by then.
func TestAuthorityRotates(t *testing.T) {
	p := startProviders(t)
	p.served(p.call, http.StatusOK)
	p.load(p.call)
	const day = 24 * time.Hour
	now := time.Now()
	first := held(t)
	if len(first) != 1 {
		t.Fatalf("there are %d CAs", len(first))
	}
	old := first[0].date(t, now.Add(-200*day), now.Add(165*day))
	hold(t, old)
	soon := func(what string, so func() bool) { // the controller looks every minute, and a kubelet takes a minute or two
		t.Helper()
		for end := time.Now().Add(5 * time.Minute); !so(); time.Sleep(glance) {
			if time.Now().After(end) {
				t.Fatalf("not so: %s", what)
			}
		}
	}
	believed := func(by ...authority) bool {
		return !slices.ContainsFunc(pods(t, "ai", proxies), func(pod string) bool {
			return strings.TrimSpace(mounted(t, pod, "ca.crt")) != strings.TrimSpace(bundle(by))
		})
	}
	soon("half of its life is over: there is a successor", func() bool { return len(held(t)) == 2 })
	next := held(t)[1]
	soon("every proxy believes both", func() bool { return believed(old, next) })
	if !proved(t, old) || proved(t, next) {
		t.Error("the successor signs before every proxy can have it")
	}
	p.reconnected(0)

	next = next.date(t, now.Add(-2*time.Hour), now.Add(365*day))
	hold(t, old, next)
	soon("the successor signs", func() bool { return proved(t, next) && !proved(t, old) })
	p.reconnected(1)

	old = old.date(t, now.Add(-365*day), now.Add(-time.Hour))
	hold(t, old, next)
	soon("the predecessor has ended", func() bool { return len(held(t)) == 1 && believed(next) })
	p.reconnected(2)
	if n, what := p.end().failed(); n > 0 {
		t.Errorf("failed: %s", what)
	}
}
