package campaign

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

// chance is a fault of an emulator, and how many of 1,000 arrivals it meets.
type chance struct {
	name  string
	of    int
	fault provider.Fault
}

// chances leave most arrivals in peace. Those that reject are few enough for the default budget of retries, 20 %.
var chances = []chance{
	{"rejected: 429", 25, provider.Fault{Kind: provider.Refuse, Status: 429}},
	{"rejected: 529", 10, provider.Fault{Kind: provider.Refuse, Status: 529}},
	{"rejected: 503 with Retry-After", 2, provider.Fault{Kind: provider.Refuse, Status: 503, RetryAfter: "1"}},
	{"rejected: an error opens the answer", 30, provider.Fault{Kind: provider.ErrorFirst, Status: 429}},
	{"executed, then 500", 15, provider.Fault{Kind: provider.Fail, Status: 500}},
	{"executed, then 503", 10, provider.Fault{Kind: provider.Fail, Status: 503}},
	{"executed, then silence", 3, provider.Fault{Kind: provider.StallHead}},
	{"executed, then silence before the first token", 3, provider.Fault{Kind: provider.StallFirst}},
	{"executed, then silence within the answer", 3, provider.Fault{Kind: provider.StallMiddle}},
	{"executed, then reset", 10, provider.Fault{Kind: provider.ResetHead}},
	{"executed, then reset before the first token", 10, provider.Fault{Kind: provider.ResetFirst}},
	{"executed, then reset within the answer", 10, provider.Fault{Kind: provider.ResetMiddle}},
	{"executed, then an error within the answer", 10, provider.Fault{Kind: provider.ErrorMiddle}},
	{"executed, then half of the answer", 10, provider.Fault{Kind: provider.CutMiddle}},
}

// arrival is a request at one far side, and what it wrote in answer.
type arrival struct {
	far    string
	status int
	body   []byte
}

// world is all far sides, and what they saw.
type world struct {
	seed   uint64
	faults *tally
	ledger *provider.Ledger
	root   *ca.CA
	fars   []*farSide

	mu   sync.Mutex
	seen map[string][]*arrival // by the request's name
}

// farSide is one emulator behind its gate.
type farSide struct {
	name     string // of its Backend
	provider provider.Kind
	tier     int
	port     int
	protocol string
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{seed: seed, faults: &tally{}, ledger: &provider.Ledger{}, root: testkit.CA(t, "campaign"), seen: map[string][]*arrival{}}
	for _, kind := range []provider.Kind{provider.OpenAI, provider.Anthropic, provider.Gemini, provider.Bedrock} {
		for i := range 3 { // two of them in the second tier
			f := &farSide{name: fmt.Sprintf("%s-%d", strings.ToLower(string(kind)), i), provider: kind, tier: (i + 1) / 2, protocol: "HTTP"}
			if i == 1 {
				f.protocol = "HTTP11"
			}
			p := testkit.Provider(t, provider.Config{
				Kind: kind, Key: keyOf(f.name), Certificate: testkit.Loopback(t, w.root, f.name+".test"), Ledger: w.ledger,
				Watch: func(h http.Handler) http.Handler { return w.watch(f.name, h) },
			})
			p.SetFail(func(r *http.Request) provider.Fault { return w.draw(f.name, r.Header.Get(provider.LedgerField)) })
			f.port = newGate(t, p.Addr(), w.dice(f.name), w.faults).port
			w.fars = append(w.fars, f)
		}
	}
	return w
}

func keyOf(far string) string { return "sk-campaign-of-" + far }

// dice are the same for the same name in the same campaign.
func (w *world) dice(names ...string) *rand.Rand {
	h := fnv.New64a()
	for _, name := range names {
		_, _ = h.Write([]byte(name + "\x00"))
	}
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func (w *world) draw(far, id string) provider.Fault {
	n := w.dice(far, id).IntN(1000)
	for _, c := range chances {
		if n -= c.of; n < 0 {
			w.faults.add(c.name)
			return c.fault
		}
	}
	return provider.Fault{}
}

// watch notes what arrives, and each byte of the answer before it leaves.
func (w *world) watch(far string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		a := &arrival{far: far}
		w.mu.Lock()
		id := r.Header.Get(provider.LedgerField)
		w.seen[id] = append(w.seen[id], a)
		w.mu.Unlock()
		h.ServeHTTP(&noting{out, w, a}, r)
	})
}

// arrivals are those of a request so far, as copies.
func (w *world) arrivals(id string) (list []arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.seen[id] {
		list = append(list, arrival{a.far, a.status, bytes.Clone(a.body)})
	}
	return list
}

// forget keeps of a request's arrivals the places alone: the answers are many.
func (w *world) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.seen[id] {
		a.body = nil
	}
}

// noting is an answer that is noted.
type noting struct {
	http.ResponseWriter
	world   *world
	arrival *arrival
}

func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }

func (n *noting) WriteHeader(status int) {
	n.world.mu.Lock()
	n.arrival.status = status
	n.world.mu.Unlock()
	n.ResponseWriter.WriteHeader(status)
}

func (n *noting) Write(p []byte) (int, error) {
	n.world.mu.Lock()
	n.arrival.body = append(n.arrival.body, p...)
	n.world.mu.Unlock()
	return n.ResponseWriter.Write(p)
}
