package hop

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func fields(name string, values ...string) *exchange.Header {
	h := &exchange.Header{}
	for _, v := range values {
		h.Add(name, v)
	}
	return h
}

const least = `name="edge-1", depth=1, attempt=1, retries=0, client=("" "unknown" "unknown")`

func TestRead(t *testing.T) {
	f := func(want Message, value string) {
		t.Helper()
		got, present, err := Read(fields("ebbgate-hop", value))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || !present || diff != "" {
			t.Errorf("%s: present %t, %v\n%s", value, present, err, diff)
		}
	}
	f(Message{Hop: exchange.Hop{Name: "edge-1", Depth: 1, Attempt: 1}, Namespace: "unknown", ServiceAccount: "unknown"}, least)
	f(Message{
		Hop:     exchange.Hop{Name: "b.1_x", Depth: 4, Attempt: 2, Retries: 3, Regions: [][]string{{"eu-*", "uk-1"}, {"eu-west-1"}, {}}},
		Cluster: "hub/edge", Namespace: "payments", ServiceAccount: "invoice",
	}, `regions=("eu-* uk-1" "eu-west-1" ""),client=("hub/edge"  "payments" "invoice");x=1,depth=4,retries=3,name="b.1_x",attempt=2`)
	f(Message{Hop: exchange.Hop{Name: "edge-1", Depth: 1, Attempt: 1}, Namespace: "unknown", ServiceAccount: "unknown"}, least+`, later=("x" 1), regions=()`)
}

func TestReadRefuses(t *testing.T) {
	f := func(values ...string) {
		t.Helper()
		if m, present, err := Read(fields(Name, values...)); err == nil || !present || m.Depth != 0 {
			t.Errorf("%q is taken: %+v", values, m)
		}
	}
	f("")
	f("x")
	f(`name="a"`)
	f(least, least)
	f(least, "")
	f(least + ",")
	f(least + "; name=")
	for _, change := range [][2]string{
		{"depth=1", "depth=0"}, {"depth=1", "depth=-1"}, {"depth=1", "depth=1000"}, {"depth=1", "depth=1.0"}, {"depth=1", `depth="1"`},
		{"depth=1", "depth=(1)"}, {"depth=1", "depth"}, {"depth=1", "Depth=1"}, {"attempt=1", "attempt=0"}, {"retries=0", "retries=-1"},
		{`name="edge-1"`, `name=""`}, {`name="edge-1"`, "name=edge"}, {`name="edge-1"`, `name="a b"`}, {`name="edge-1"`, `name="a\"b"`},
		{`name="edge-1"`, `name="` + strings.Repeat("a", maxName+1) + `"`}, {`"unknown" "unknown"`, `"unknown"`}, {`"unknown" "unknown"`, `"a" "b" "c"`},
		{`"unknown" "unknown"`, `"a" b`}, {`"unknown" "unknown"`, `"a" "b\\c"`}, {`("" "unknown" "unknown")`, `"a"`},
		{`"unknown" "unknown"`, `"a/b" "c"`}, {`"unknown" "unknown"`, `"a" "b/c"`}, {`name="edge-1"`, `name="a/b"`},
	} {
		if value := strings.Replace(least, change[0], change[1], 1); value == least {
			t.Errorf("%q changes nothing", change)
		} else {
			f(value)
		}
	}
	f(least + `, regions="eu-*"`)
	f(least + `, regions=(eu)`)
	f(least + `, regions=("eu\"")`)
	f(least + `, regions=("eu,us")`)
	f(least + `, regions=(` + strings.Repeat(`"a" `, maxLists+1) + `)`)
	f(least + `, regions=("` + strings.Repeat("a ", maxPatterns+1) + `")`)
	f(least + `, x="` + strings.Repeat("a", maxField) + `"`)
}

func TestNothingIsSaid(t *testing.T) {
	h := fields("Ebbgate-Request-Id", least)
	if m, present, err := Read(h); present || err != nil || m.Depth != 0 {
		t.Errorf("%+v %t %v", m, present, err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = Read(h) }); n != 0 {
		t.Errorf("%v allocations without the field", n)
	}
}

func TestWrite(t *testing.T) {
	f := func(m Message, want string) {
		t.Helper()
		got, err := m.String()
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%+v is %q, %v", m, got, err)
		}
	}
	one := exchange.Hop{Name: "a", Depth: 1, Attempt: 1}
	f(Message{Hop: one, Namespace: "n", ServiceAccount: "s"}, `name="a", depth=1, attempt=1, retries=0, client=("" "n" "s")`)
	f(Message{Hop: one, Cluster: "x y", Namespace: "n", ServiceAccount: "s"}, `name="a", depth=1, attempt=1, retries=0, client=("" "unknown" "unknown")`)
	f(Message{Hop: one, Namespace: `n"`, ServiceAccount: "s"}, `name="a", depth=1, attempt=1, retries=0, client=("" "unknown" "unknown")`)
	f(Message{Hop: exchange.Hop{Name: `"`, Depth: 1, Attempt: 1}}, "")
	f(Message{Hop: exchange.Hop{Name: "a", Attempt: 1}}, "")
	with := func(regions ...[]string) Message {
		m := Message{Hop: one}
		m.Regions = regions
		return m
	}
	f(with([]string{}, []string{"eu-*", "us"}), `name="a", depth=1, attempt=1, retries=0, client=("" "" ""), regions=("" "eu-* us")`)
	f(with([]string{""}), "")
	f(with([]string{"a b"}), "")
	f(with(make([][]string, maxLists+1)...), "")
	f(with(make([]string, maxPatterns+1)), "")
	long := make([]string, maxPatterns)
	for i := range long {
		long[i] = strings.Repeat("a", 200)
	}
	f(with(long), "")
}

func TestPassed(t *testing.T) {
	f := func(want bool, values ...string) {
		t.Helper()
		if got := Passed(fields("via", values...), "edge-1"); got != want {
			t.Errorf("%q: %t", values, got)
		}
	}
	f(true, "1.1 edge-1")
	f(true, "HTTP/1.1 Edge-1 (squid, 5)")
	f(true, "1.0 fred, 1.1 p.example.net,2  edge-1")
	f(true, "1.0 fred", "1.1 edge-1(x)")
	f(true, "1.1\tedge-1")
	f(true, "1.0 fred (, 1.1 edge-1")
	f(false)
	f(false, "")
	f(false, "edge-1")
	f(false, "1.1 edge-10, 1.1 edge, 1.1 x.edge-1, 1.1 edge-1:80")
	f(false, "1.1 fred (edge-1)", "1.1 fred edge-1")
	h := fields("Via", "1.0 fred, 1.1 p.example.net (Apache/1.1)")
	if n := testing.AllocsPerRun(100, func() { Passed(h, "edge-1") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRead: what is read can be written, and reads the same.
func FuzzRead(f *testing.F) {
	f.Add(least)
	f.Add(`name="b", depth=4, attempt=2, retries=3, client=("hub/edge" "n" "s"), regions=("eu-* uk-1" "" "x")`)
	f.Add(`name="b";x=?1, depth=4, attempt=@2, retries=:YQ==:, client=(a 1.5 "\"")`)
	f.Fuzz(func(t *testing.T, value string) {
		m, present, err := Read(fields(Name, value))
		if !present || err != nil {
			if m.Depth != 0 || m.Namespace != "" || m.Regions != nil {
				t.Errorf("%q is refused, and %+v", value, m)
			}
			return
		}
		written, err := m.String()
		if err != nil && len(value) < maxField/2 {
			t.Fatalf("%q is read, and not written: %v", value, err)
		}
		again, _, err := Read(fields(Name, written))
		if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); written != "" && (err != nil || diff != "") {
			t.Errorf("%q: %v\n%s", value, err, diff)
		}
	})
}

// FuzzPassed: whatever came before, the name that a gateway has added is found.
func FuzzPassed(f *testing.F) {
	for _, seed := range []string{"", "1.1 a", `1.1 a (b \"`, "((,", "HTTP/1.1\ta.example:80 (x), "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, before string) {
		if !Passed(fields("Via", before, "1.1 edge-1"), "edge-1") || !Passed(fields("Via", before+", 1.1 edge-1"), "edge-1") {
			t.Errorf("behind %q the name is lost", before)
		}
		if !strings.Contains(strings.ToLower(before), "edge-1") && Passed(fields("Via", before), "edge-1") {
			t.Errorf("%q has no such name", before)
		}
	})
}
