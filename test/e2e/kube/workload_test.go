//go:build cluster

package kube_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// ask is a request that a workload is told to send.
type ask struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// answer is what the workload says came of it.
type answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
	Error  string      `json:"error"`
}

// echoed is the body of a far side that echoes.
func (a answer) echoed(t testing.TB) upstream.Echoed {
	t.Helper()
	var e upstream.Echoed
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil || a.Status != http.StatusOK {
		t.Fatalf("no echo: %d %s %s", a.Status, a.Body, a.Error)
	}
	return e
}

// reason is why the gateway refused; empty where it did not.
func (a answer) reason() string {
	var problem struct{ Reason string }
	_ = json.Unmarshal([]byte(a.Body), &problem)
	return problem.Reason
}

// workload is a Pod that sends requests.
type workload struct {
	t       testing.TB
	address string // of its own listener
	client  *http.Client
	wait    time.Duration // for what it waits for
}

// pod starts a workload under a ServiceAccount of its own name.
func pod(t testing.TB, namespace, name string) *workload {
	t.Helper()
	apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: v1
kind: Pod
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s}}
spec:
  serviceAccountName: %[2]s
  terminationGracePeriodSeconds: 0
  containers:
  - name: client
    image: kube.local/client:1
    imagePullPolicy: IfNotPresent
    readinessProbe: {tcpSocket: {port: 8000}, periodSeconds: 1}
`, namespace, name))
	kubectl(t, "", "-n", namespace, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=90s")
	ip := kubectl(t, "", "-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.podIP}")
	return &workload{t: t, address: "http://" + ip + ":8000", client: &http.Client{Timeout: time.Minute}, wait: patience}
}

func (w *workload) do(method, path string, body, into any) {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(context.WithoutCancel(w.t.Context()), method, w.address+path, bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := w.client.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s of the workload: %s", method, path, response.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workload) ask(a ask) (got answer) {
	w.t.Helper()
	w.do(http.MethodPost, "/ask", a, &got)
	return got
}

func (w *workload) get(url string) answer {
	w.t.Helper()
	return w.ask(ask{Method: http.MethodGet, URL: url})
}

// served waits until a request is answered with a status.
func (w *workload) served(a ask, status int) (got answer) {
	w.t.Helper()
	for end := time.Now().Add(w.wait); ; time.Sleep(glance) {
		if got = w.ask(a); got.Status == status {
			return got
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s %s: %d %s %s, and not %d after %s", a.Method, a.URL, got.Status, got.Body, got.Error, status, w.wait)
		}
	}
}

// refused holds that the gateway refuses a request, at once and for a reason.
func (w *workload) refused(a ask, status int, reason string) {
	w.t.Helper()
	if got := w.ask(a); got.Status != status || got.reason() != reason {
		w.t.Errorf("%s %s: %d %s %s, and not %d %s", a.Method, a.URL, got.Status, got.Body, got.Error, status, reason)
	}
}

// answer has it answer as a model's server with a status from now on.
func (w *workload) answer(status int) {
	w.t.Helper()
	w.do(http.MethodPost, "/status", status, nil)
}

// load sends one request again and again until end, or the test's.
func (w *workload) load(a ask) {
	w.t.Helper()
	w.do(http.MethodPost, "/load", a, nil)
}

type outcomes map[string]int

func (o outcomes) total() (n int) {
	for _, count := range o {
		n += count
	}
	return n
}

// failed are those outcomes that are not an answer 200, in words.
func (o outcomes) failed() (n int, what string) {
	var words []string
	for outcome, count := range o {
		if outcome != "200" {
			n += count
			words = append(words, fmt.Sprintf("%d times %q", count, outcome))
		}
	}
	return n, strings.Join(words, ", ")
}

func (w *workload) sofar() outcomes {
	w.t.Helper()
	var got struct{ Outcomes outcomes }
	w.do(http.MethodGet, "/load", nil, &got)
	return got.Outcomes
}

func (w *workload) end() outcomes {
	w.t.Helper()
	var got struct{ Outcomes outcomes }
	w.do(http.MethodDelete, "/load", nil, &got)
	return got.Outcomes
}

// more waits until the load has got n further answers.
func (w *workload) more(n int) {
	w.t.Helper()
	before := w.sofar().total()
	eventually(w.t, fmt.Sprintf("%d further answers", n), func() bool { return w.sofar().total() >= before+n })
}

// story applies an example's own files, unchanged, and waits until its Gateway is programmed.
func story(t testing.TB, name, gateway string) {
	t.Helper()
	files, err := filepath.Glob("../../../examples/" + name + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("example %s: %d files, %v", name, len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, string(text))
	}
	namespace, name, _ := strings.Cut(gateway, "/")
	kubectl(t, "", "-n", namespace, "wait", "--for=condition=Programmed", "gateway/"+name, "--timeout=120s")
}

// secret writes a Secret with one key.
func secret(t testing.TB, name, key, value string) {
	t.Helper()
	namespace, name, _ := strings.Cut(name, "/")
	apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\nstringData: {%s: %q}\n", name, namespace, key, value))
}

// trust makes an authority, and the Secret by which it is believed.
func trust(t testing.TB, name string) *ca.CA {
	t.Helper()
	made := testkit.CA(t, name)
	secret(t, name, "ca.crt", string(made.PEM()))
	return made
}

// pair writes a Secret with a certificate and its key.
func pair(t testing.TB, name string, certificate tls.Certificate) {
	t.Helper()
	key, err := ca.KeyPEM(certificate)
	if err != nil {
		t.Fatal(err)
	}
	namespace, name, _ := strings.Cut(name, "/")
	apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: %s, namespace: %s}\nstringData: {tls.crt: %q, tls.key: %q}\n",
		name, namespace, ca.CertificatePEM(certificate), key))
}

// address is where a Gateway says that it is reached: its name in the cluster.
func address(t testing.TB, gateway string) string {
	t.Helper()
	namespace, name, _ := strings.Cut(gateway, "/")
	return kubectl(t, "", "-n", namespace, "get", "gateway", name, "-o", `jsonpath={.status.addresses[?(@.type=="Hostname")].value}`)
}
