package distribute

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// The bounds of workloads. What exceeds them is told of to nobody, and so has no name.
const (
	maxWorkloads = 100_000
	maxWorkload  = 4 << 10 // bytes of one's payload
	maxLog       = 8 << 10 // changes that are always there for who is behind; twice as many at most
)

// maxBehind is how many changes may have followed a picture for it to be sent.
const maxBehind = maxLog / 8

// roster is the workloads as they are told of: what each is now, and in which order they changed. Whoever follows has a
// place in that order; there is no queue for anybody, and what all who begin are sent is there once.
type roster struct {
	mu      sync.Mutex
	known   bool              // all have been told of once
	entries map[string][]byte // payloads, by plan name
	log     []string          // names, as they changed
	base    uint64            // place of the first of the log
	all     *picture          // nil before somebody has begun
	news    chan struct{}     // closed by the next update
}

func newRoster() *roster {
	return &roster{entries: map[string][]byte{}, news: make(chan struct{})}
}

// update takes the workloads that have come or changed and, as nil, those that have gone; where whole is true they are all.
// The error is of those that cannot be told of; the others are.
func (r *roster) update(changed map[string]*plan.Workload, whole bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if whole {
		r.known = true
		for name := range r.entries {
			if changed[name] == nil {
				r.set(name, nil)
			}
		}
	}
	var failed error
	left := 0
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if changed[name] == nil {
			r.set(name, nil)
			continue
		}
		payload, err := json.Marshal(changed[name])
		if err == nil && len(payload) > maxWorkload {
			err = fmt.Errorf("it has %d bytes, %d at most can be sent", len(payload), maxWorkload)
		}
		if _, had := r.entries[name]; err == nil && !had && len(r.entries) >= maxWorkloads {
			err = fmt.Errorf("there are more than %d", maxWorkloads)
		}
		if err != nil {
			failed = fmt.Errorf("workload %s: %w", name, err)
			left++
			payload = nil
		}
		r.set(name, payload)
	}
	if over := len(r.log) - maxLog; over > maxLog { // half of it at once, since what stays is copied
		r.log = append([]string(nil), r.log[over:]...)
		r.base += uint64(over)
	}
	close(r.news)
	r.news = make(chan struct{})
	if left > 1 {
		failed = fmt.Errorf("%w; and %d others", failed, left-1)
	}
	return failed
}

func (r *roster) set(name string, payload []byte) {
	if payload == nil {
		if _, had := r.entries[name]; !had {
			return
		}
		delete(r.entries, name)
	} else {
		r.entries[name] = payload
	}
	r.log = append(r.log, name)
}

// standing is a workload as it is now.
type standing struct {
	name    string
	payload []byte // nil: it has gone
}

// picture is all workloads as they were at a place, in the messages that whoever begins is sent before what changed since.
type picture struct {
	place    uint64
	messages []*discoveryv3.DeltaDiscoveryResponse // nobody changes them
}

// tidings are what somebody has to be told from a place on.
type tidings struct {
	all   *picture   // nil unless whole
	list  []standing // what has changed since the picture, or since the place, sorted by name
	next  uint64     // place
	whole bool       // it is all that there are
}

// since gives what has changed since a place. Where that is too long ago, or nowhere, it is all that there are. news is
// closed when there may be more; before all have been told of once there is nothing.
func (r *roster) since(place uint64, anywhere bool) (t tidings, news <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.next = r.base + uint64(len(r.log))
	if !r.known {
		return t, r.news
	}
	if t.whole = !anywhere || place < r.base; t.whole {
		if r.all == nil || r.all.place < r.base || t.next-r.all.place > maxBehind {
			list := make([]standing, 0, len(r.entries))
			for _, name := range slices.Sorted(maps.Keys(r.entries)) {
				list = append(list, standing{name, r.entries[name]})
			}
			r.all = &picture{place: t.next, messages: messages(list, wholeInfo)}
		}
		t.all, place = r.all, r.all.place
	}
	names := slices.Clone(r.log[place-r.base:])
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		t.list = append(t.list, standing{name, r.entries[name]})
	}
	return t, r.news
}
