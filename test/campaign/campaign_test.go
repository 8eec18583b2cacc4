package campaign

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const workers = 48

// campaign sends n requests and judges each.
type campaign struct {
	world   *world
	gateway *gateway
	results []*result

	outcomes tally
}

func run(t *testing.T, n int, added string) *campaign {
	t.Helper()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	c := &campaign{world: newWorld(t, *seed), results: make([]*result, n)}
	c.gateway = serve(t, c.world, added)
	clients := newClients(t)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && t.Context().Err() == nil; i = int(next.Add(1)) - 1 {
				c.results[i] = c.one(t, clients, fmt.Sprintf("c-%d", i))
			}
		})
	}
	all.Wait()
	if t.Context().Err() != nil {
		t.Fatal("the campaign was broken off")
	}
	if code := c.gateway.process.Stop(t); code != 0 { // now its log is whole
		t.Errorf("the gateway ended with %d", code)
	}
	log, err := lines(c.gateway.process.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.results {
		id := r.request.id
		r.judgeLog(log[id], c.world.arrivals(id), c.world.ledger.Executed(id))
		c.outcomes.add(r.outcome)
	}
	return c
}

func (c *campaign) one(t *testing.T, clients *clients, id string) *result {
	r := drawRequest(id, c.world.dice("request", id))
	v := clients.send(t.Context(), c.gateway.address, r)
	res := judgeAnswer(r, v, c.world.arrivals(id), c.world.ledger.Executed(id))
	c.world.forget(id)
	return res
}

// broken are the requests that broke a promise.
func (c *campaign) broken() (list []string) {
	for _, r := range c.results {
		if len(r.broken) > 0 {
			list = append(list, fmt.Sprintf("%s (%s, stream %t, HTTP/2 %t; %s): %s", r.request.id, r.request.endpoint.Name, r.request.stream, r.request.http2, r.outcome, strings.Join(r.broken, "; ")))
		}
	}
	return list
}

func TestCampaign(t *testing.T) {
	c := run(t, *count, "")
	broken := c.broken()
	for _, text := range broken[:min(len(broken), 20)] {
		t.Error(text)
	}
	if again := c.world.ledger.Repeated(); len(broken) > 0 || len(again) > 0 {
		t.Errorf("of %d requests %d broke a promise, and %d were executed more than once", *count, len(broken), len(again))
	}
	for _, fault := range chances {
		if c.world.faults.count(fault.name) == 0 {
			t.Errorf("not met: %s", fault.name)
		}
	}
	text := c.page()
	t.Log(text)
	if *report != "" && !t.Failed() {
		if err := os.WriteFile(*report, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// TestTheWitnessSees holds that requests which are executed more than once are found: where the operator allows them.
func TestTheWitnessSees(t *testing.T) {
	c := run(t, 1000, "  retry: {duplicates: Allow}\n")
	again, broken := c.world.ledger.Repeated(), strings.Join(c.broken(), "\n")
	if len(again) == 0 || !strings.Contains(broken, "executed 2 times") || !strings.Contains(broken, "sent again after") {
		t.Errorf("of 1000 requests that may be repeated %d were executed twice; found: %s", len(again), broken)
	}
}
