package examples_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const (
	providerFar   = "127.0.11.8:8443"
	childAddress  = "127.0.0.1:18088"
	parentAddress = "127.0.0.1:18188"
	providerKey   = "sk-provider-1"
	asPayments    = `name="workloads", depth=1, attempt=1, retries=2, client=("" "payments" "invoice")`
)

var (
	providerLeaf = ca.Leaf{DNSNames: []string{"api.provider.test", "preview.provider.test"}}
	parentLeaf   = ca.Leaf{DNSNames: []string{"gateway.inference.test"}}
)

// of is the certificate of a service account of the workloads' cluster.
func of(t testing.TB, authority *ca.CA, account string) tls.Certificate {
	t.Helper()
	return testkit.Issue(t, authority, ca.Leaf{Client: true, URIs: []string{"spiffe://workloads.test/ns/ai/sa/" + account}})
}

func workloadsSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/clusters-ca", "ca.crt", string(authority.PEM()))
	s.pair("ai/gateway-id", of(s.t, authority, "egress"))
}

func inferenceSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/clusters-ca", "ca.crt", string(authority.PEM()))
	s.pair("ai/gateway-tls", testkit.Issue(s.t, authority, parentLeaf))
	s.put("ai/provider-ca", "ca.crt", string(authority.PEM()))
	s.put("ai/provider-key", "token", providerKey)
}

// clusters are the two of the story, each with its gateway, and the authorities that vouch for gateways and for the provider.
type clusters struct {
	t              *testing.T
	gateways, far  *ca.CA
	child, parent  *gateway
	parentsSecrets *secrets
	parentsFolder  story
}

func newClusters(t *testing.T) *clusters {
	t.Helper()
	c := &clusters{t: t, gateways: testkit.CA(t, "clusters"), far: testkit.CA(t, "provider"), parentsFolder: named(t, "inference-cluster/inference")}
	c.parentsSecrets = newSecretsOf(t, c.parentsFolder, c.gateways)
	c.parentsSecrets.put("ai/provider-ca", "ca.crt", string(c.far.PEM()))
	return c
}

func (c *clusters) startChild() {
	c.t.Helper()
	s := named(c.t, "inference-cluster/workloads")
	c.child = start(c.t, s, newSecretsOf(c.t, s, c.gateways), childAddress)
}

func (c *clusters) startParent() {
	c.t.Helper()
	c.parent = start(c.t, c.parentsFolder, c.parentsSecrets, parentAddress)
}

// provider is the provider, who answers with a word.
func (c *clusters) provider(handler http.HandlerFunc) *upstream.Upstream {
	c.t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a body that broke off shows in what was seen
			fmt.Fprint(w, "answer")
		}
	}
	return far(c.t, upstream.Config{Address: providerFar, Certificate: testkit.Issue(c.t, c.far, providerLeaf), Handler: handler})
}

func startClusters(t *testing.T, handler http.HandlerFunc) (*clusters, *upstream.Upstream) {
	t.Helper()
	c := newClusters(t)
	up := c.provider(handler)
	c.startParent()
	c.startChild()
	return c, up
}

// as calls the parent itself, over TLS, with a certificate or with none.
func (g *gateway) as(authority *ca.CA, pairs ...tls.Certificate) *client {
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: authority.Pool(), ServerName: parentLeaf.DNSNames[0], Certificates: pairs, MinVersion: tls.VersionTLS12}}
	return &client{g: g, http: &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: patience}}
}

func TestInferenceCluster(t *testing.T) {
	c, up := startClusters(t, nil)
	a := c.child.from(payments, false).do(http.MethodPost, "/models/v1/answers?b=2&a=1", "a question", "Authorization", "Bearer of-the-client", "Ebbgate-Hop", "nonsense")
	if a.status != http.StatusOK || a.body != "answer" {
		t.Fatalf("answer %d: %s", a.status, a.body)
	}
	seen, err := up.WaitRequest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Method != http.MethodPost || seen.Target != "/v1/answers?b=2&a=1" || string(seen.Body) != "a question" {
		t.Errorf("the provider got %s %s %q", seen.Method, seen.Target, seen.Body)
	}
	for name, want := range map[string]string{
		"Host": "api.provider.test:8443", "Authorization": "Bearer " + providerKey, "Via": "1.1 workloads, 1.1 inference", "Ebbgate-Hop": "", "Forwarded": "",
	} {
		if got := strings.Join(seen.Values(name), ", "); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if up.Connections() != 1 || up.Heads() != 1 {
		t.Errorf("%d connections and %d requests for one", up.Connections(), up.Heads())
	}
	for _, g := range []*gateway{c.child, c.parent} {
		g.logged("", "/models/v1/answers")
	}
	if n := len(c.child.log.entries("credential_used", "/models/v1/answers")); n != 0 {
		t.Errorf("the child used %d credentials", n)
	}
	c.parent.logged("credential_used", "/models/v1/answers")
}

// TestInferenceRejectedKey holds that no answer takes the key to the child.
func TestInferenceRejectedKey(t *testing.T) {
	c, up := startClusters(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such key: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	})
	a := c.child.from(payments, false).get("/models/v1/models")
	refused(t, a, http.StatusBadGateway, "credential_rejected", "CredentialInjector/ai/provider", "")
	if strings.Contains(a.body+fmt.Sprint(a.header), providerKey) || up.Heads() != 1 {
		t.Errorf("after %d requests: %v %s", up.Heads(), a.header, a.body)
	}
}

// TestInferenceIdentity: both gateways name the workload that called, and nobody else's word makes it another one.
func TestInferenceIdentity(t *testing.T) {
	c, up := startClusters(t, nil)
	for path, w := range map[string]struct {
		from, child, parent, source string
		fields                      []string
		served                      bool
	}{
		"/models/payments": {from: payments, child: "payments/invoice", parent: "workloads/payments/invoice", served: true},
		"/models/games":    {from: games, child: "games/lobby", parent: "workloads/games/lobby"},
		"/models/nobody":   {from: nobody, child: "local/local", parent: "unknown/unknown"}, // a namespace that the child may not speak for
		"/models/forged":   {from: games, child: "games/lobby", parent: "workloads/games/lobby", fields: []string{"Ebbgate-Hop", asPayments}},
		"/models/forwards": {from: games, child: "games/lobby", parent: "workloads/games/lobby", fields: []string{"Forwarded", "for=" + payments, "X-Forwarded-For", payments}},
	} {
		t.Run(path, func(t *testing.T) {
			a := c.child.from(w.from, false).get(path, w.fields...)
			if w.served != (a.status == http.StatusOK) {
				t.Errorf("answer %d: %s", a.status, a.body)
			}
			if !w.served {
				refused(t, a, http.StatusForbidden, "client_not_allowed", "EgressPolicy/ai/provider", "spec.clients")
				if denied := c.parent.logged("denied", path); denied.name() != w.parent || len(c.child.log.entries("denied", path)) != 0 {
					t.Errorf("the parent denied %s", denied.name())
				}
			}
			child, parent := c.child.logged("", path), c.parent.logged("", path)
			if child.name() != w.child || len(child.Attempts) != 1 || child.Attempts[0].Parent != "Backend/ai/inference" || child.Status != a.status {
				t.Errorf("the child logged %+v", child)
			}
			if parent.name() != w.parent || parent.Hop != "workloads" || parent.Depth != 1 || parent.Status != a.status {
				t.Errorf("the parent logged %+v", parent)
			}
		})
	}
	if up.Heads() != 1 {
		t.Errorf("the provider saw %d requests", up.Heads())
	}
}

// TestInferenceStrangers: a certificate lets a caller in, and the child's alone makes its word count.
func TestInferenceStrangers(t *testing.T) {
	c := newClusters(t)
	up := c.provider(nil)
	c.startParent()
	hop := []string{"Ebbgate-Hop", asPayments, "Forwarded", "for=" + payments}
	a := c.parent.as(c.gateways, of(t, c.gateways, "batch")).get("/models/batch", hop...)
	refused(t, a, http.StatusForbidden, "client_not_allowed", "EgressPolicy/ai/provider", "spec.clients")
	if e := c.parent.logged("", "/models/batch"); e.name() != "ai/batch" || e.Client.Source != "SPIFFE" || e.Hop != "" {
		t.Errorf("the parent logged %+v", e)
	}
	for name, pairs := range map[string][]tls.Certificate{"none": nil, "of another authority": {of(t, testkit.CA(t, "clusters"), "egress")}} {
		if a, err := c.parent.as(c.gateways, pairs...).try(http.MethodGet, "/models/stranger", "", hop...); err == nil {
			t.Errorf("certificate %s: answer %d %s", name, a.status, a.body)
		}
	}
	silent(t, up, 0)
	if a := c.parent.as(c.gateways, of(t, c.gateways, "egress")).get("/models/child", hop...); a.status != http.StatusOK {
		t.Errorf("the child's own certificate: answer %d %s", a.status, a.body)
	}
	if n := len(c.parent.log.entries("", "/models/stranger")); n != 0 {
		t.Errorf("%d requests of strangers", n)
	}
}

// TestInferenceImpostor: the child says nothing to somebody else in the parent's place.
func TestInferenceImpostor(t *testing.T) {
	c := newClusters(t)
	up := c.provider(nil)
	impostor := far(t, upstream.Config{Address: parentAddress, Certificate: testkit.Issue(t, testkit.CA(t, "clusters"), parentLeaf)})
	c.startChild()
	a := c.child.from(payments, false).do(http.MethodPost, "/models/v1/answers", "for the parent's eyes")
	refused(t, a, http.StatusBadGateway, "tls_verification_failed", "", "")
	silent(t, impostor, 1)
	silent(t, up, 0)
}

func TestInferenceGuardrails(t *testing.T) {
	c, up := startClusters(t, nil)
	a := c.child.from(payments, false).do(http.MethodPost, "/preview/answers", "a question")
	refused(t, a, http.StatusForbidden, "host_denied", "GuardRailsPolicy/ai/posture", "spec.hosts.allow")
	if !strings.Contains(a.body, `"gateway":"ai/inference"`) {
		t.Errorf("the refusal does not say whose it is: %s", a.body)
	}
	if e := c.parent.logged("denied", "/preview/answers"); e.name() != "workloads/payments/invoice" || e.Reason != "host_denied" {
		t.Errorf("the parent's audit log has %+v", e)
	}
	if e := c.child.logged("", "/preview/answers"); e.Status != http.StatusForbidden || e.Reason != "" || len(e.Attempts) != 1 {
		t.Errorf("the child logged %+v", e)
	}
	silent(t, up, 0)
}

// ring sends what comes to the parent back to the child.
const ring = `apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: workloads, namespace: ai}
spec:
  type: Addresses
  addresses: {addresses: ["127.0.0.1"], hostname: gateway.workloads.test}
  port: {number: 18088}
  tls: {mode: None}
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: through-workloads, namespace: ai}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: inference}]
  mode: Parent
  parentRef: {group: ebbgate.dev, kind: Backend, name: workloads}
`

// TestInferenceLoop makes a ring of the two while they run, in a copy of the folder, and opens it again.
func TestInferenceLoop(t *testing.T) {
	c := newClusters(t)
	up := c.provider(nil)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(c.parentsFolder.name)); err != nil {
		t.Fatal(err)
	}
	c.parentsFolder.name = dir
	c.startParent()
	c.startChild()
	caller := c.child.from(payments, true)
	served := func() bool { return caller.get("/models/before").status == http.StatusOK }
	if !served() {
		t.Fatal("it is not served")
	}
	// The guardrails allow neither the child's name nor its address: that they stop the ring too is not what is asked here.
	guardrails, kept := filepath.Join(dir, "guardrails.yaml"), filepath.Join(c.parentsSecrets.next, "guardrails.yaml")
	closing := filepath.Join(dir, "ring.yaml")
	if err := errors.Join(os.Rename(guardrails, kept), os.WriteFile(closing, []byte(ring), 0o600)); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the ring is closed", func() bool { return !served() })
	heads := up.Heads()
	a := caller.do(http.MethodPost, "/models/ring", "a question")
	refused(t, a, http.StatusLoopDetected, "loop_detected", "", "")
	parent := c.parent.logged("", "/models/ring")
	if parent.name() != "workloads/payments/invoice" || parent.Status != http.StatusLoopDetected || len(parent.Attempts) != 1 {
		t.Errorf("the parent logged %+v", parent)
	}
	var child []entry
	eventually(t, patience, "the child has logged both passages", func() bool { child = c.child.log.entries("", "/models/ring"); return len(child) == 2 })
	slices.SortFunc(child, func(a, b entry) int { return strings.Compare(a.name(), b.name()) })
	if came := child[0]; came.Reason != "loop_detected" || len(came.Attempts) != 0 {
		t.Errorf("of what came back the child logged %+v", came)
	}
	if went := child[1]; went.name() != "payments/invoice" || went.Reason != "" || len(went.Attempts) != 1 {
		t.Errorf("of what went out the child logged %+v", went)
	}
	if n := len(c.parent.log.entries("", "/models/ring")); n != 1 {
		t.Errorf("%d passages of the parent", n)
	}
	if up.Heads() != heads {
		t.Errorf("the provider saw %d requests of a ring", up.Heads()-heads)
	}
	if err := errors.Join(os.Remove(closing), os.Rename(kept, guardrails)); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the ring is open", served)
}

// TestInferenceParentDown: without its parent the child answers for itself. It has the provider's name and address, and
// does not go around.
func TestInferenceParentDown(t *testing.T) {
	c := newClusters(t)
	up := c.provider(nil)
	c.startChild()
	caller := c.child.from(payments, true)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for i := range 10 { // more than it takes for the parent to be ejected
			path := fmt.Sprintf("/models/%s/%d", method, i)
			refused(t, caller.do(method, path, ""), http.StatusBadGateway, "connect_failed", "", "")
			for _, attempt := range c.child.logged("", path).Attempts {
				if attempt.Parent != "Backend/ai/inference" || attempt.Address != parentAddress || attempt.Class != "Unsent" {
					t.Errorf("%s %s: attempt %+v", method, path, attempt)
				}
			}
		}
	}
	silent(t, up, 0)
	c.startParent()
	eventually(t, patience, "the parent that is back is asked", func() bool { return caller.get("/models/").status == http.StatusOK })
}

// openAI is the provider, emulated: it takes its key alone, and counts what it infers.
func (c *clusters) openAI(fault provider.FaultKind) *provider.Provider {
	c.t.Helper()
	p := testkit.Provider(c.t, provider.Config{Kind: provider.OpenAI, Key: providerKey, Certificate: testkit.Issue(c.t, c.far, providerLeaf), Address: providerFar})
	p.SetFail(func(*http.Request) provider.Fault { return provider.Fault{Kind: fault} })
	return p
}

// prompt is what the workload asks, at a path that the parent knows.
const (
	promptPath = "/models/v1/chat/completions"
	prompt     = `{"model":"m","stream":true,"messages":[{"role":"user","content":"one two three four"}]}`
)

// TestInferenceParentDies ends the parent while the provider is at work. The child cannot know what became of the request,
// says so, and asks nobody again: not the parent, which comes back, and not the provider.
func TestInferenceParentDies(t *testing.T) {
	c := newClusters(t)
	openai := c.openAI(provider.StallHead)
	c.startParent()
	c.startChild()
	type result struct {
		answer
		err error
	}
	done := make(chan result, 1)
	caller := c.child.from(payments, false)
	go func() {
		a, err := caller.try(http.MethodPost, promptPath, prompt, "Content-Type", "application/json")
		done <- result{a, err}
	}()
	eventually(t, patience, "the provider is at work", func() bool { return openai.Executions() > 0 })
	c.parent.kill()
	c.startParent()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	refused(t, r.answer, http.StatusGatewayTimeout, "outcome_unknown", "", "")
	c.backAfter(openai)
}

// TestInferenceParentDiesInAStream: the workload, which has a part of the answer, is told that it gets no more.
func TestInferenceParentDiesInAStream(t *testing.T) {
	c := newClusters(t)
	openai := c.openAI(provider.StallMiddle)
	c.startParent()
	c.startChild()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+childAddress+promptPath, strings.NewReader(prompt))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.child.from(payments, false).http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(response.Body, first); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("answer %d: %v", response.StatusCode, err)
	}
	c.parent.kill()
	c.startParent()
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), `"upstream_reset"`) || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("the stream does not end with an error event: %v\n%s%s", err, first, rest)
	}
	c.backAfter(openai)
}

// backAfter asserts that the child asked once for what was cut, and that the parent is asked again for what comes next.
func (c *clusters) backAfter(openai *provider.Provider) {
	c.t.Helper()
	if e := c.child.logged("", promptPath); len(e.Attempts) != 1 {
		c.t.Errorf("the child logged %+v", e)
	}
	openai.SetFail(nil)
	if a := c.child.from(payments, false).do(http.MethodPost, promptPath, prompt, "Content-Type", "application/json"); a.status != http.StatusOK || !strings.Contains(a.body, "[DONE]") {
		c.t.Errorf("once the parent is back: answer %d %s", a.status, a.body)
	}
	if n := openai.Executions(); n != 2 {
		c.t.Errorf("%d inferences for two requests", n)
	}
}
