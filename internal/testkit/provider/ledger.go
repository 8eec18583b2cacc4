package provider

import (
	"slices"
	"sync"
)

// LedgerField is the request field by which a Ledger knows a request, whichever emulators it reaches how often.
const LedgerField = "X-Campaign-Id"

// Ledger witnesses which requests were inferred how often, over all emulators that have it in their Config.
type Ledger struct {
	mu    sync.Mutex
	times map[string]int
}

// enter notes an inference; requests without a name are not told apart and not noted.
func (l *Ledger) enter(id string) {
	if id == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times == nil {
		l.times = map[string]int{}
	}
	l.times[id]++
}

// Executed is how many inferences were run for the request of this name.
func (l *Ledger) Executed(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times[id]
}

// Repeated are the names of requests for which more than one inference was run, sorted.
func (l *Ledger) Repeated() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for id, n := range l.times {
		if n > 1 {
			names = append(names, id)
		}
	}
	slices.Sort(names)
	return names
}
