package distribute

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// heard is what a proxy was told of workloads at once.
type heard struct {
	changed map[string]*plan.Workload
	whole   bool
}

func workload(name, address string) *plan.Workload {
	return &plan.Workload{Name: "Pod/" + name, UID: "uid-" + name, ServiceAccount: "x", Owner: "Deployment/d", Addresses: []netip.Addr{netip.MustParseAddr(address)}}
}

func roll(list ...*plan.Workload) map[string]*plan.Workload {
	by := map[string]*plan.Workload{}
	for _, w := range list {
		by[w.Name] = w
	}
	return by
}

func gone(names ...string) map[string]*plan.Workload {
	by := map[string]*plan.Workload{}
	for _, name := range names {
		by["Pod/"+name] = nil
	}
	return by
}

// known follows what a proxy hears until it knows these, and returns how often it heard of all.
func (p *proxy) known(at map[string]*plan.Workload, want ...*plan.Workload) (wholes int) {
	p.t.Helper()
	for late := time.After(hang); ; {
		select {
		case h := <-p.heard:
			if h.whole {
				clear(at)
				wholes++
			}
			for name, w := range h.changed {
				if at[name] = w; w == nil {
					delete(at, name)
				}
			}
		case <-late:
			p.t.Fatalf("known are %v", slices.Sorted(maps.Keys(at)))
		}
		if diff := cmp.Diff(roll(want...), at, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff == "" {
			return wholes
		}
	}
}

// byPods is configured, with clients of the first Gateway known by their Pods.
func byPods() *plan.Plan {
	p := configured(1)
	g := *p.Gateways[0]
	g.PodAddress = true
	p.Gateways = slices.Clone(p.Gateways)
	p.Gateways[0] = &g
	return p
}

// TestWorkloads: a proxy hears of all, then of what changes; anew when it or the server comes back, and of none where its
// Gateway knows nobody by them.
func TestWorkloads(t *testing.T) {
	r := newRig(t)
	r.publish(byPods())
	a, b, c := workload("ai/a", "10.0.0.1"), workload("ai/b", "10.0.0.2"), workload("web/c", "10.0.0.3")
	p, stranger := r.proxy("token-of-a/gw", nil), r.proxy("token-of-b/gw", nil)
	r.until("a/gw", all(1))
	r.server.Inform(roll(a, b), true)
	at, none := map[string]*plan.Workload{}, map[string]*plan.Workload{}
	if n := p.known(at, a, b); n != 1 {
		t.Errorf("heard of all %d times", n)
	}
	if n := stranger.known(none); n != 1 {
		t.Errorf("heard of none %d times", n)
	}
	r.server.Inform(roll(c), false)
	r.server.Inform(gone("ai/a"), false)
	moved := workload("ai/b", "10.0.0.9")
	r.server.Inform(roll(moved), false)
	if n := p.known(at, moved, c); n != 0 {
		t.Errorf("heard of all %d times more", n)
	}
	if a := r.server.Acknowledged("a/gw"); a.Connected != 1 {
		t.Errorf("a proxy that hears of Pods counts as %d", a.Connected)
	}
	late := r.proxy("token-of-a/gw", nil)
	if n := late.known(map[string]*plan.Workload{}, moved, c); n != 1 {
		t.Errorf("who comes late heard of all %d times", n)
	}
	r.logged("msg=\"Pods are known\" pods=2", 2) // of three that it was told of one has gone

	// Another server has what changed meanwhile.
	r.stop()
	r.start()
	r.publish(byPods())
	r.server.Inform(roll(moved, a), true)
	if n := p.known(at, moved, a); n == 0 {
		t.Error("what has gone was not told of as a whole")
	}
	stranger.known(none)

	// A Gateway that comes to know clients by Pods hears of them.
	both := byPods()
	second := *both.Gateways[1]
	second.Token = &plan.TokenSource{Header: "x"}
	both.Gateways[1] = &second
	r.publish(both)
	stranger.known(none, moved, a)
	r.publish(configured(1))
	p.known(at)
}

// TestManyWorkloads come in several messages, and are one whole.
func TestManyWorkloads(t *testing.T) {
	r := newRig(t)
	r.publish(byPods())
	many := make([]*plan.Workload, 20_000)
	for i := range many {
		many[i] = workload(fmt.Sprintf("ns-%d/a-deployment-with-a-name-%d", i%100, i), fmt.Sprintf("10.%d.%d.1", i>>8, i&255))
	}
	r.server.Inform(roll(many...), true)
	p := r.proxy("token-of-a/gw", nil)
	if n := p.known(map[string]*plan.Workload{}, many...); n != 1 {
		t.Errorf("heard of all %d times", n)
	}
}

func TestRoster(t *testing.T) {
	r := newRoster()
	names := func(t tidings) string {
		at := map[string]string{}
		if t.all != nil {
			for _, m := range t.all.messages {
				for _, resource := range m.GetResources() {
					name := strings.TrimPrefix(resource.GetName(), workloadPrefix+"Pod/")
					at[name] = name
				}
			}
		}
		for _, w := range t.list {
			name := strings.TrimPrefix(w.name, "Pod/")
			at[name] = name
			if w.payload == nil {
				at[name] = "-" + name
			}
			if t.whole && w.payload == nil {
				delete(at, name)
			}
		}
		var names []string
		for _, key := range slices.Sorted(maps.Keys(at)) {
			names = append(names, at[key])
		}
		return strings.Join(names, " ")
	}
	place, anywhere := uint64(0), false
	f := func(want string, all bool) {
		t.Helper()
		told, _ := r.since(place, anywhere)
		if got := names(told); got != want || told.whole != all {
			t.Errorf("%q (whole: %t), want %q (%t)", got, told.whole, want, all)
		}
		place, anywhere = told.next, anywhere || told.whole
	}
	update := func(changed map[string]*plan.Workload, whole bool) {
		t.Helper()
		if err := r.update(changed, whole); err != nil {
			t.Error(err)
		}
	}
	update(roll(workload("n/a", "10.0.0.1")), false)
	f("", false) // all have not been told of
	update(roll(workload("n/b", "10.0.0.2"), workload("n/c", "10.0.0.3")), true)
	f("n/b n/c", true)
	f("", false)
	update(roll(workload("n/d", "10.0.0.4")), false)
	update(gone("n/b", "n/never"), false)
	update(roll(workload("n/d", "10.0.0.5")), false)
	f("-n/b n/d", false)
	update(roll(workload("n/e", "10.0.0.4")), true)
	f("-n/c -n/d n/e", false)

	// Who is too far behind hears of all, and the log is bounded.
	for i := range maxLog {
		update(roll(workload("n/x", fmt.Sprintf("10.1.%d.%d", i>>8, i&255))), false)
	}
	f("n/x", false)
	behind := place
	for range 2*maxLog + 1 {
		update(roll(workload("n/y", "10.0.0.6")), false)
	}
	if len(r.log) > 2*maxLog {
		t.Errorf("%d changes are kept", len(r.log))
	}
	place = behind
	f("n/e n/x n/y", true)
	f("", false)

	huge := workload("n/huge", "10.0.0.7")
	huge.Owner = strings.Repeat("x", maxWorkload)
	if err := r.update(roll(huge, workload("n/z", "10.0.0.8")), false); err == nil {
		t.Error("a workload of any size is told of")
	}
	f("n/z", false)
	r.entries = make(map[string][]byte, maxWorkloads)
	for i := range maxWorkloads {
		r.entries[fmt.Sprint(i)] = []byte("{}")
	}
	if err := r.update(roll(workload("n/more", "10.0.0.9"), workload("n/over", "10.0.0.9")), false); err == nil || len(r.entries) != maxWorkloads {
		t.Errorf("%d workloads are told of (%v)", len(r.entries), err)
	}
}

// TestBeginnersShare: whoever begins is sent the same messages, however many they are, and what has changed since behind them;
// they are made anew once that is much.
func TestBeginnersShare(t *testing.T) {
	r := newRoster()
	update := func(changed map[string]*plan.Workload, whole bool) {
		t.Helper()
		if err := r.update(changed, whole); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() (t tidings, told []string) {
		t, _ = r.since(0, false)
		_ = tell(t, func(m *discoveryv3.DeltaDiscoveryResponse) error {
			for _, resource := range m.GetResources() {
				told = append(told, resource.GetName())
			}
			for _, name := range m.GetRemovedResources() {
				told = append(told, "-"+name)
			}
			return nil
		})
		return t, told
	}
	update(roll(workload("n/a", "10.0.0.1"), workload("n/b", "10.0.0.2")), true)
	first, told := begin()
	if diff := cmp.Diff([]string{"workload/Pod/n/a", "workload/Pod/n/b", wholeName}, told); diff != "" {
		t.Error(diff)
	}
	update(gone("n/a"), false)
	second, told := begin()
	if diff := cmp.Diff([]string{"workload/Pod/n/a", "workload/Pod/n/b", wholeName, "-workload/Pod/n/a"}, told); diff != "" || second.all != first.all {
		t.Errorf("made anew: %t\n%s", second.all != first.all, diff)
	}
	for i := range maxBehind {
		update(roll(workload("n/b", fmt.Sprintf("10.1.%d.%d", i>>8, i&255))), false)
	}
	third, told := begin()
	if diff := cmp.Diff([]string{"workload/Pod/n/b", wholeName}, told); diff != "" || third.all == first.all {
		t.Errorf("made anew: %t\n%s", third.all != first.all, diff)
	}
}

// FuzzWorkloads: whatever a message holds, nobody is known by what is not whole.
func FuzzWorkloads(f *testing.F) {
	seed := func(name, typeURL string, payload string) {
		m := &discoveryv3.DeltaDiscoveryResponse{
			TypeUrl: workloadsURL, RemovedResources: []string{"workload/Pod/a/b"},
			Resources: []*discoveryv3.Resource{{Name: name, Resource: &anypb.Any{TypeUrl: typeURL, Value: []byte(payload)}}},
		}
		text, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	seed("workload/Pod/a/b", workloadsURL, `{"name":"Pod/a/b","uid":"1","serviceAccount":"x","addresses":["10.0.0.1"],"new":1}`)
	seed("workload/Pod/a/b", workloadsURL, `{"name":"Pod/a/c","uid":"1","serviceAccount":"x"}`)
	seed("workload/Pod/a/b", workloadsURL, `{"addresses":["10.0.0"]}`)
	seed("whole", wholeType, "")
	seed("x", workloadsURL, "null")
	f.Fuzz(func(t *testing.T, text []byte) {
		m := new(discoveryv3.DeltaDiscoveryResponse)
		if proto.Unmarshal(text, m) != nil {
			return
		}
		changed, _, err := readWorkloads(m, slog.New(slog.DiscardHandler))
		for name, w := range changed {
			if err == nil && w != nil && (w.Name != name || w.UID == "" || w.Namespace() == "" || len(w.Addresses) > maxOwnAddresses) {
				t.Errorf("%q: %+v", name, w)
			}
		}
	})
}
