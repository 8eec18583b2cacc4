package report

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestDecode(t *testing.T) {
	f := func(text string, want Report) {
		t.Helper()
		got, err := Decode([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if fmt.Sprint(want) != fmt.Sprint(*got) { // an empty list is like none
			t.Errorf("%s: %+v, want %+v", text, *got, want)
		}
	}
	denied := Denial{Cause{"HTTPRoute/ai/chat", "GuardRailsPolicy/ai/posture", exchange.HostDenied}, 3}
	f(`{}`, Report{})
	f(`{"ofANewerProxy":[1],"denials":[{"route":"HTTPRoute/ai/chat","policy":"GuardRailsPolicy/ai/posture","reason":"host_denied","count":3,"more":{}}]}`,
		Report{Denials: []Denial{denied}})
	f(`{"denials":[{"reason":"host_denied","count":0},{"reason":"host_denied","count":-1},{"reason":"made_up","count":1},{"reason":"","count":1}]}`, Report{})
	f(`{"denials":[{"reason":"host_denied","count":9007199254740993}]}`, Report{})
	f(`{"denials":[{"route":"`+strings.Repeat("x", maxName+1)+`","reason":"host_denied","count":1}]}`, Report{})
	f(`{"backends":[{"name":"Backend/ai/openai","share":0.5},{"name":"","share":1},{"name":"b","share":2},{"name":"c","share":-1}]}`,
		Report{Backends: []Backend{{"Backend/ai/openai", 0.5}}})
	f(`{"uncounted":-4}`, Report{})
	f(`{"expiries":[{"secret":"Secret/ai/tls","until":1800000000},{"secret":"","until":1},{"secret":"a","until":0},{"secret":"b","until":9007199254740993}]}`,
		Report{Expiries: []Expiry{{"Secret/ai/tls", 1800000000}}})
	f(`{"denials":[`+strings.Repeat(`{"reason":"host_denied","count":1},`, 2*MaxDenials)+`{"reason":"host_denied","count":1}]}`,
		Report{Denials: repeated(Denial{Cause{Reason: exchange.HostDenied}, 1}, MaxDenials)})

	for _, text := range []string{"", "[]", `{"denials":1}`, `{"backends":[{"share":"1"}]}`, `{"uncounted":"` + strings.Repeat("1", MaxBytes) + `"}`} {
		if r, err := Decode([]byte(text)); err == nil {
			t.Errorf("%.40s: %v", text, r)
		}
	}
}

func repeated(d Denial, n int) (list []Denial) {
	for range n {
		list = append(list, d)
	}
	return list
}

// What does not fit into a Report is counted all the same.
func TestEncodeKeepsToTheBounds(t *testing.T) {
	r := Report{Denials: repeated(Denial{Cause{strings.Repeat("r", maxName), strings.Repeat("p", maxName), exchange.HostDenied}, 2}, MaxDenials+5), Uncounted: 1, Backends: make([]Backend, MaxBackends+1), Expiries: make([]Expiry, MaxExpiries+1)}
	for i := range r.Expiries {
		r.Expiries[i] = Expiry{strings.Repeat("s", maxName), maxTime}
	}
	for i := range r.Backends {
		r.Backends[i].Name = strings.Repeat("n", maxName)
	}
	text, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Denials) != MaxDenials || len(got.Backends) != MaxBackends || len(got.Expiries) != MaxExpiries || got.Uncounted != 11 {
		t.Errorf("%d denials, %d backends, %d uncounted", len(got.Denials), len(got.Backends), got.Uncounted)
	}
	if _, err := (&Report{Backends: []Backend{{"b", math.NaN()}}}).Encode(); err == nil {
		t.Error("no JSON has NaN")
	}
}

func TestTally(t *testing.T) {
	var tally Tally
	const workers, each = 8, 500
	name := []byte("HTTPRoute/ai/chat")
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for range each {
				tally.Denied(string(name), "GuardRailsPolicy/ai/posture", exchange.HostDenied)
			}
			tally.Denied("HTTPRoute/ai/other", "", exchange.Reason([]string{"address_denied", "host_denied"}[w%2]))
		})
	}
	all.Wait()
	want := []Denial{
		{Cause{"HTTPRoute/ai/chat", "GuardRailsPolicy/ai/posture", exchange.HostDenied}, workers * each},
		{Cause{"HTTPRoute/ai/other", "", exchange.AddressDenied}, workers / 2},
		{Cause{"HTTPRoute/ai/other", "", exchange.HostDenied}, workers / 2},
	}
	got, uncounted := tally.Take()
	if diff := cmp.Diff(want, got); diff != "" || uncounted != 0 {
		t.Errorf("%d uncounted\n%s", uncounted, diff)
	}
	if got, uncounted := tally.Take(); len(got) > 0 || uncounted != 0 {
		t.Errorf("taken twice: %v, %d", got, uncounted)
	}
}

// Names without end take no memory without end, and every denial is counted somewhere.
func TestTallyIsBounded(t *testing.T) {
	var tally Tally
	const denials = 4 * MaxDenials * shards
	for i := range denials {
		tally.Denied(fmt.Sprintf("HTTPRoute/ai/%d", i), "", exchange.HostDenied)
	}
	for i := range tally.shards {
		if n := len(tally.shards[i].counts); n > MaxDenials {
			t.Errorf("%d in a shard", n)
		}
	}
	got, uncounted := tally.Take()
	if len(got) != MaxDenials || int64(len(got))+uncounted != denials {
		t.Errorf("%d counted, %d uncounted", len(got), uncounted)
	}
}

// A count that is there already allocates nothing, and keeps nothing of the caller's memory.
func TestTallyOnTheDataPath(t *testing.T) {
	var tally Tally
	for range 100 * shards {
		tally.Denied("HTTPRoute/ai/chat", "", exchange.HostDenied)
	}
	if n := testing.AllocsPerRun(1000, func() { tally.Denied("HTTPRoute/ai/chat", "", exchange.HostDenied) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"denials":[{"route":"HTTPRoute/ai/chat","policy":"P/ai/p","reason":"host_denied","count":3}],"uncounted":2,"backends":[{"name":"Backend/ai/b","share":0.25}],"expiries":[{"secret":"Secret/ai/tls","until":1800000000}]}`))
	f.Add([]byte(`{"denials":[{"reason":"host_denied","count":1e300}],"backends":[{"name":"\ud800","share":1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Decode(text)
		if err != nil {
			return
		}
		if len(r.Denials) > MaxDenials || len(r.Backends) > MaxBackends || len(r.Expiries) > MaxExpiries || r.Uncounted < 0 {
			t.Fatalf("out of bounds: %+v", r)
		}
		for _, d := range r.Denials {
			if d.Reason.Status() == 0 || d.Count <= 0 || len(d.Route) > maxName || len(d.Policy) > maxName {
				t.Errorf("%+v", d)
			}
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(*back) != fmt.Sprint(*r) {
			t.Errorf("%+v\nread again: %+v", r, back)
		}
	})
}

func BenchmarkDenied(b *testing.B) {
	var tally Tally
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tally.Denied("HTTPRoute/ai/chat", "GuardRailsPolicy/ai/posture", exchange.HostDenied)
		}
	})
}
