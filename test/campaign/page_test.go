package campaign

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// tally counts what happened, by its name.
type tally struct {
	mu    sync.Mutex
	times map[string]int
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string]int{}
	}
	c.times[name]++
}

func (c *tally) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[name]
}

func (c *tally) table(heading string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "\n| %s | times |\n|---|---:|\n", heading)
	for _, name := range slices.Sorted(maps.Keys(c.times)) {
		fmt.Fprintf(&text, "| %s | %d |\n", name, c.times[name])
	}
	return text.String()
}

// page is the outcome for readers.
func (c *campaign) page() string {
	executed, asked := 0, 0
	for _, r := range c.results {
		executed += c.world.ledger.Executed(r.request.id)
		asked += len(c.world.arrivals(r.request.id))
	}
	return fmt.Sprintf(`# Campaign

%d requests through the gateway to emulators of OpenAI (chat and Responses), Anthropic, Gemini and Bedrock, three of each in two tiers, which fail at random: before a connection is made, within the
handshake, after the request, before the first token, within the answer. Half of the requests ask for streams, half come over HTTP/2, some have bodies too large to be kept, some clients leave. Nothing but
timeouts is configured otherwise than by default.

    make campaign

The emulators note what they get, execute and answer, and a test holds each of the requests against that:

- *No request was executed twice*: %d executions of %d requests that arrived somewhere %d times.
- *No answer was corrupt, or ended in silence*: what a client read is what an emulator wrote, to its end, to an error event, or to a connection that visibly broke.
- *Whatever another destination could serve without the risk of a repeat was served*: where a client got an error, work may have been done, or all three destinations had been asked, or the request's body was too large to be kept.

Seed %d.
%s%s`, len(c.results), executed, len(c.results), asked, c.world.seed, c.world.faults.table("what befell"), c.outcomes.table("what clients saw"))
}
