package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const workers = 24

// soak is the mixed traffic, and what becomes of it.
type soak struct {
	*gateway
	far     *far
	clients *clients
	began   []atomic.Int64 // of each kind
	reloads int

	mu    sync.Mutex
	wrong []string
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	root := testkit.CA(t, "soak")
	s := &soak{began: make([]atomic.Int64, len(kinds)), far: newFar(t, testkit.Loopback(t, root, "tls.test"))}
	port := testkit.Ports(t, 1)[0]
	listener := fmt.Sprintf("  - {name: https, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}\n", port)
	at := func(url string) string { return strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://") }
	const patient, impatient = "timeouts: {streamIdle: 60s}", "timeouts: {firstByte: 1s}\n  health: {passive: {consecutiveErrors: 0}}"
	objects := listener + certificate(t, root) + backend("plain", at(s.far.h1.URL), "HTTP11", "", patient) +
		backend("h2", at(s.far.h2.URL), "H2C", "", patient) +
		backend("calls", at(s.far.h2.URL), "GRPC", "", patient) +
		strings.Replace(backend("tls", at(s.far.tls.URL), "HTTP", "", patient),
			"tls: {mode: None}", "tls: {validation: {hostname: tls.test, caCertificateRefs: [{kind: ConfigMap, name: root}]}}", 1) +
		backend("sockets", at(s.far.ws.URL), "HTTP11", "", patient) +
		backend("faulty", at(s.far.h1.URL), "HTTP11", "", impatient)
	for _, name := range []string{"plain", "h2", "calls", "tls", "faulty"} {
		objects += fmt.Sprintf(injectorYAML, name)
	}
	s.gateway = serve(t, underTest, nil, objects)
	s.clients = newClients(s.address, fmt.Sprintf("127.0.0.1:%d", port), root.Pool())
	t.Cleanup(s.clients.close)
	s.reload(t) // which writes the first key
	return s
}

const injectorYAML = `---
apiVersion: ebbgate.dev/v1alpha1
kind: CredentialInjector
metadata: {name: %[1]s, namespace: soak}
spec:
  targetRefs: [{group: ebbgate.dev, kind: Backend, name: %[1]s}]
  type: APIKey
  apiKey: {secretRef: {name: key, key: token}}
`

const extraYAML = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: extra, namespace: soak}
spec:
  parentRefs: [{name: egress}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /extra}}]
    backendRefs: [{group: ebbgate.dev, kind: Backend, name: plain}]
`

func certificate(t *testing.T, root *ca.CA) string {
	t.Helper()
	pair := testkit.Issue(t, root, ca.Leaf{DNSNames: []string{"gateway.test"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	key, err := ca.KeyPEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	in := func(text []byte) string { return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ") }
	return fmt.Sprintf(`---
apiVersion: v1
kind: Secret
metadata: {name: pair, namespace: soak}
type: kubernetes.io/tls
stringData:
  tls.crt: |
    %s
  tls.key: |
    %s
---
apiVersion: v1
kind: ConfigMap
metadata: {name: root, namespace: soak}
data:
  ca.crt: |
    %s
`, in(ca.CertificatePEM(pair)), in(key), in(root.PEM()))
}

// reload changes the key, and has a route come or go.
func (s *soak) reload(t *testing.T) {
	t.Helper()
	const taken = `msg="configuration taken"`
	before := s.Err.Count(taken)
	s.reloads++
	s.write(t, "key.yaml", fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: soak}\nstringData: {token: %s}\n", s.far.issue(fmt.Sprintf("key-%d", s.reloads))))
	s.Err.Await(t, taken, before+1)
	before = s.Err.Count(taken)
	want := http.StatusNotFound
	if s.reloads%2 == 1 {
		want = http.StatusOK
		s.write(t, "extra.yaml", extraYAML)
	} else if err := os.Remove(s.folder + "/extra.yaml"); err != nil {
		t.Fatal(err)
	}
	s.Err.Await(t, taken, before+1)
	q := &request{path: "/extra", method: http.MethodGet, answer: "counted", fields: http.Header{}}
	res, err := s.clients.begin(t.Context(), q)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != want {
		t.Errorf("reload %d: the route that comes and goes answers %s", s.reloads, res.Status)
	}
}

// busy keeps all workers at it for a time, reloads meanwhile, and gives a sample for each part of it.
func (s *soak) busy(t *testing.T, d time.Duration, parts int) (list []sample) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for i := range workers {
		dice := rand.New(rand.NewPCG(*seed, uint64(i)))
		all.Go(func() {
			for ctx.Err() == nil && t.Context().Err() == nil {
				s.one(context.WithoutCancel(ctx), dice)
			}
		})
	}
	for range parts {
		if ctx.Err() != nil {
			break // a look takes time too
		}
		s.reload(t)
		list = append(list, s.look(t))
		select {
		case <-time.After(d / time.Duration(parts)):
		case <-ctx.Done():
		}
	}
	all.Wait()
	return list
}

// one draws a kind and does it.
func (s *soak) one(ctx context.Context, dice *rand.Rand) {
	n := dice.IntN(100)
	for i, k := range kinds {
		if n -= k.of; n >= 0 {
			continue
		}
		s.began[i].Add(1)
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := k.do(ctx, s.clients, dice); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wrong = append(s.wrong, fmt.Sprintf("%s: %v", k.name, err))
		}
		return
	}
}

// What may be left when all have gone that was not there at first: connections of a pool that have just been made anew, timers.
const grace = 8

// quiet waits until all have gone, and tells what is left.
func (s *soak) quiet(t *testing.T, first sample) sample {
	t.Helper()
	s.clients.close()
	s.far.disconnect()
	s.await(t, func() bool {
		return s.metric(t, "go_goroutines") <= float64(first.goroutines+grace) && s.files(t) <= first.files+grace
	})
	s.look(t)
	return s.look(t) // what pools keep is let go of by the second collection
}

// TestSoak: every answer is right, and what the process holds is the same after all of it, and does not grow meanwhile.
func TestSoak(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	s := newSoak(t)
	first := s.look(t)
	s.busy(t, *length/10, 1) // pools fill, and what is made once is made
	warm := s.quiet(t, first)
	under := s.busy(t, *length, max(int(*length/time.Second), 6))
	last := s.quiet(t, first)
	early, late := median(under[:len(under)/3]), median(under[len(under)-len(under)/3:])

	for _, text := range s.wrong[:min(len(s.wrong), 20)] {
		t.Error(text)
	}
	if len(s.wrong) > 0 {
		t.Errorf("%d promises were broken", len(s.wrong))
	}
	if n := s.far.wrong.Load(); n > 0 {
		t.Errorf("%d requests came without a key", n)
	}
	for i, k := range kinds {
		if s.began[i].Load() == 0 {
			t.Errorf("not done: %s", k.name)
		}
	}
	early.bounds(t, "the first third", "the last third", late, 1.25, 8<<20)
	warm.bounds(t, "a tenth", "all", last, 1, 4<<20)
	text := s.page(first, warm, early, late, last)
	t.Log(text)
	if *report != "" && !t.Failed() {
		if err := os.WriteFile(*report, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// bounds holds a later sample to an earlier one: a part more of each, and some more.
func (s sample) bounds(t *testing.T, when, then string, later sample, part float64, heap int) {
	t.Helper()
	f := func(what string, before, after, more int) {
		if float64(after) > float64(before)*part+float64(more) {
			t.Errorf("%s: %d in %s, %d in %s", what, before, when, after, then)
		}
	}
	f("bytes of the heap", s.heap, later.heap, heap)
	if !command.Raced() {
		f("bytes resident", s.resident, later.resident, 32<<20)
	}
	f("goroutines", s.goroutines, later.goroutines, 4*workers)
	f("files", s.files, later.files, 4*workers)
}

// median is of each figure for itself.
func median(list []sample) sample {
	f := func(of func(sample) int) int {
		values := make([]int, len(list))
		for i, s := range list {
			values[i] = of(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		resident: f(func(s sample) int { return s.resident }), files: f(func(s sample) int { return s.files }),
		goroutines: f(func(s sample) int { return s.goroutines }), heap: f(func(s sample) int { return s.heap }),
	}
}

func (s *soak) page(first, warm, early, late, last sample) string {
	var done, held strings.Builder
	all := int64(0)
	for i, k := range kinds {
		all += s.began[i].Load()
		fmt.Fprintf(&done, "| %s | %d |\n", k.name, s.began[i].Load())
	}
	for _, row := range []struct {
		name string
		sample
	}{{"before anything", first}, {"quiet, after a tenth of it", warm}, {"under load, the first third", early}, {"under load, the last third", late}, {"quiet, after all of it", last}} {
		fmt.Fprintf(&held, "| %s | %s | %s | %d | %d |\n", row.name, mib(row.heap), mib(row.resident), row.goroutines, row.files)
	}
	return fmt.Sprintf(page, *length, workers, all, s.reloads, grace, *seed, held.String(), done.String())
}

const page = `# Soak

%v of mixed traffic through the command as a process, from %d clients at once: %d exchanges, and %d reloads of its folder meanwhile, each a new key and a route that comes or goes. Clients speak HTTP/1.1 and HTTP/2, in
clear text and over TLS, and so do the far sides. Bodies have up to 1 MiB, half of them without a stated length; each is made of a seed, so that both sides know its checksum.

    make soak

- *Every answer is right*: what the far side got of each request, and what the client got of each answer, its trailers too, have the checksums that they must have. Where a far side fails, the client hears so in the gateway's own words, or in
  an answer that visibly breaks off.
- *Nothing grows*: the medians over the last third are at most a quarter over those of the first, and what lies between two moments of the same traffic: 8 MiB of objects, 32 MiB resident (Go's runtime gives memory back late), four
  goroutines and files for each client.
- *Nothing is left*: when all clients have gone, and the far sides have closed their connections, the process has at most %d goroutines and files more than before the first request, and 4 MiB of objects (32 MiB resident) more than after a tenth
  of the traffic, when its pools were full for the first time.

Memory is looked at after a collection. Seed %d.

| | objects | resident | goroutines | files |
|---|---:|---:|---:|---:|
%s
| what was done | times |
|---|---:|
%s`
