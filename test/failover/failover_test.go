package failover

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const manifest = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: %d, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules:
  - backendRefs:
    - {group: ebbgate.dev, kind: Backend, name: primary}
    - {group: ebbgate.dev, kind: Backend, name: secondary}
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: health, namespace: ai}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: egress}]
  health: {passive: {ejection: %s}, slowStart: %s}
---
apiVersion: ebbgate.dev/v1alpha1
kind: EgressPolicy
metadata: {name: second, namespace: ai}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: secondary}]
  priority: 1
`

const backendYAML = `---
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: %[1]s, namespace: ai}
spec:
  type: Addresses
  addresses: {addresses: ["127.0.0.1"], hostname: %[1]s.test}
  port: {number: %[2]s}
  tls: {mode: None}
`

// serve starts the gateway and gives its address.
func serve(t *testing.T, fars ...*far) string {
	t.Helper()
	binary, err := command.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder, port := t.TempDir(), testkit.Ports(t, 1)[0]
	text := fmt.Sprintf(manifest, port, *ejection, *slow)
	for _, f := range fars {
		text += fmt.Sprintf(backendYAML, f.name, f.address[strings.LastIndexByte(f.address, ':')+1:])
	}
	if err := os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := command.Start(t, binary, nil, "run", "-f", folder, "--admin=", "--health=", "--access-log", "off")
	p.Await(t, "serving on ")
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// run is one way to lose the primary.
type loss struct {
	name   string
	method string
	lose   func(*far)
	back   func(*testing.T, *far)
	errors int // at most, and each must be an outcome that is not known
}

var losses = []loss{
	{"GET, the primary is killed", http.MethodGet, (*far).kill, func(t *testing.T, f *far) { f.start(t) }, 0},
	// Of each connection that dies one request at most is in the primary's hands.
	{"POST, the primary is killed", http.MethodPost, (*far).kill, func(t *testing.T, f *far) { f.start(t) }, workers},
	{"POST, the primary answers 429", http.MethodPost, func(f *far) { f.refuses.Store(true) }, func(_ *testing.T, f *far) { f.refuses.Store(false) }, 0},
}

func TestFailoverUnderLoad(t *testing.T) {
	lines := make([]string, len(losses))
	for i, l := range losses {
		t.Run(l.name, func(t *testing.T) { lines[i] = l.run(t) })
	}
	text := fmt.Sprintf(page, runtime.NumCPU(), workers, *before, *away, *ejection, *slow, strings.Join(lines, ""))
	t.Log(text)
	if *report != "" && !t.Failed() {
		if err := os.WriteFile(*report, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// run is a line of the table.
func (l *loss) run(t *testing.T) string {
	primary, secondary := newFar(t, "primary"), newFar(t, "secondary")
	clients := startLoad(t, serve(t, primary, secondary), l.method)
	time.Sleep(*before)
	lost := time.Since(clients.begun)
	l.lose(primary)
	time.Sleep(*away)
	back, made, served := time.Since(clients.begun), primary.made.Load(), primary.served.Load()
	l.back(t, primary)
	for until := time.Now().Add(10**ejection + time.Minute); primary.served.Load() == served; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the primary got no request after its return")
		}
	}
	time.Sleep(*slow + *slow/2)
	over := time.Since(clients.begun)
	all := clients.stop()

	unknown := 0
	for _, s := range all {
		switch {
		case s.status == http.StatusOK:
		case s.reason == "outcome_unknown":
			unknown++
		default:
			t.Errorf("a client got %d %s at %v, after the loss at %v", s.status, s.reason, s.at, lost)
		}
	}
	if unknown > l.errors {
		t.Errorf("%d outcomes are not known; at most %d requests were in the primary's hands", unknown, l.errors)
	}
	if s := share(within(all, 0, lost), "primary"); s < 1 {
		t.Errorf("the primary served %.3f while it was well", s)
	}
	returned := first(within(all, back, over), "primary")
	if returned < 0 {
		t.Fatal("the primary got no request after its return")
	}
	early, late := share(within(all, returned, returned+*slow/4), "primary"), share(within(all, over-*slow/8, over), "primary")
	if early > 0.7 || late < 1 {
		t.Errorf("after its return the primary served %.2f of the requests at first, and %.2f at last", early, late)
	}
	quarter := func(n time.Duration) float64 {
		return 100 * share(within(all, returned+*slow/4*n, returned+*slow/4*(n+1)), "primary")
	}
	return fmt.Sprintf("| %s | %.0f/s | %d | %s | %s, %s | %s | %.0f, %.0f, %.0f, %.0f %% | %d |\n", l.name, float64(len(within(all, 0, lost)))/lost.Seconds(), unknown, steady(all, lost, back),
		round(percentile(within(all, 0, lost), 0.99)), round(percentile(within(all, lost, lost+time.Second), 0.99)), round(returned-back), quarter(0), quarter(1), quarter(2), quarter(3), primary.made.Load()-made)
}

// first is when the first request was served by a destination; negative: never.
func first(all []sample, from string) time.Duration {
	for _, s := range all {
		if s.from == from && s.status == http.StatusOK {
			return s.at
		}
	}
	return -1
}

// steady is how long it took from the loss until ten milliseconds brought as many answers as they do on the average later.
func steady(all []sample, lost, back time.Duration) time.Duration {
	const piece = 10 * time.Millisecond
	usual := float64(len(within(all, lost+(back-lost)/2, back))) / float64((back-lost)/2/piece)
	for at := lost; at < back; at += piece {
		if float64(len(within(all, at, at+piece))) >= 0.9*usual {
			return at + piece - lost
		}
	}
	return back - lost
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

const page = `# Failover under load

%d processors carry the gateway, its two destinations and %d clients, each of which sends one request after the other. All is well for %v; then the primary is lost for %v, and comes back. An ejection
takes %v, and a slow start %v.

    make failover

- *Errors*: answers other than 200. A POST that was in the primary's hands when it was killed is an ` + "`outcome_unknown`" + `, one for each connection at most; every other error fails the test.
- *Steady*: from the loss until answers come as fast as they do later.
- *p99*: before the loss, and in the second after it.
- *First request back*: after the primary is back; until then it is ejected, or set aside.
- *Share*: of the requests, that the primary serves in each quarter of that time. One that was set aside comes back within as long as it was aside, if that is shorter; *connections*: that are made to it meanwhile.

| | requests | errors | steady after | p99 before, after | first request back after | share in its slow start | connections |
|---|---:|---:|---:|---:|---:|---:|---:|
%s`
