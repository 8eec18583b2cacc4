package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "../../docs/faults.md"

// checkPage compares the page with what was seen, or writes it.
func checkPage(t *testing.T, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(got), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("docs/faults.md and what was seen differ; -update writes it (- the page, + seen):\n%s", diff)
	}
}

const intro = `# Faults

What a client sees when a destination fails, and who is asked again. Written by a test that has destinations fail in each of these ways, under
HTTP/1.1 and HTTP/2 on both sides, and that holds for each of %d exchanges: no answer that was cut looks whole; nobody but the first is asked for a
POST unless it provably was not taken; what provably was not taken goes to another backend, where there is one.

    go test ./test/faults -update

How to read it:

- *Towards* is the version spoken to the destination. Clients of both versions see the same, unless a line names one.
- *GET* and *PUT* stand for the idempotent methods (RFC 9110, section 9.2.2), *POST* for all others: without a body, with one, and with one that had not come whole when the fault happened.
- *Class* is what an attempt proves: see [what is sent again](protocols.md#what-is-sent-again). Without one an answer had begun.
- *Two backends*: the second, which is healthy, has next to no weight. *` + "`retry`" + `*: the route has one, of one attempt and no codes. *Asked twice*: the first backend.
- *Cut*: the connection is reset over HTTP/1.1, the stream over HTTP/2. [Reasons](reasons.md) explains the words.
`

const grpcIntro = `
## gRPC

The code that a client of google.golang.org/grpc sees, by rules of one backend and of two. Nothing but a call that was not taken is made again.

`

// render is the page but for gRPC: faults of one group that come to the same share a table.
func render(all map[cell]outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, intro, len(all))
	type section struct {
		names []string
		table string
	}
	var sections []*section
	flush := func() {
		for _, s := range sections {
			fmt.Fprintf(&b, "\n- %s.\n\n%s", strings.Join(s.names, ".\n- "), s.table)
		}
		sections = nil
	}
	for i := range faults {
		f := &faults[i]
		if f.group != "" {
			flush()
			fmt.Fprintf(&b, "\n## %s\n", f.group)
		}
		text := table(i, all)
		if f.races != "" {
			text = f.races + "\n"
		}
		if at := slices.IndexFunc(sections, func(s *section) bool { return s.table == text }); at >= 0 {
			sections[at].names = append(sections[at].names, f.name)
			continue
		}
		sections = append(sections, &section{[]string{f.name}, text})
	}
	flush()
	return b.String()
}

// line is one of a table: what requests of one kind came to.
type line struct {
	class string
	why   string
	cells [4]string
}

// table is one fault's.
func table(index int, all map[cell]outcome) string {
	towards := map[version][]row{}
	var spoken []version
	for _, v := range versions {
		if rows := rowsOf(index, v, all); len(rows) > 0 {
			towards[v] = rows
			spoken = append(spoken, v)
		}
	}
	names := []string{spoken[0].String()}
	switch {
	case len(spoken) == 2 && slices.Equal(towards[http1], towards[http2c]):
		names, spoken = []string{"either"}, spoken[:1]
	case len(spoken) == 2:
		names = append(names, spoken[1].String())
	}
	var every []row
	for _, v := range spoken {
		every = append(every, towards[v]...)
	}
	columns := columnsOf(every)
	var b strings.Builder
	b.WriteString("| towards | request | class |")
	for _, column := range columns {
		fmt.Fprintf(&b, " %s |", title(column))
	}
	b.WriteString(" why |\n|---|---|---|" + strings.Repeat("---|", len(columns)) + "---|\n")
	for i, v := range spoken {
		for _, r := range towards[v] {
			fmt.Fprintf(&b, "| %s | %s | %s |", names[i], r.requests, r.class)
			for _, column := range columns {
				fmt.Fprintf(&b, " %s |", r.cells[column[0]])
			}
			fmt.Fprintf(&b, " %s |\n", r.why)
		}
	}
	return b.String()
}

// row is a line and the requests that it is of.
type row struct {
	requests string
	line
}

// rowsOf are the lines of one version, those of the same content as one.
func rowsOf(index int, v version, all map[cell]outcome) []row {
	var lines []line
	of := map[line][]cell{}
	for r := range requests {
		for client := range clients {
			c := cell{index, v, client, r, 0}
			if _, ok := all[c]; !ok {
				return nil
			}
			l := lineOf(c, all)
			if of[l] == nil {
				lines = append(lines, l)
			}
			of[l] = append(of[l], c)
		}
	}
	rows := make([]row, 0, len(lines))
	for _, l := range lines {
		rows = append(rows, row{label(of[l]), l})
	}
	return rows
}

func lineOf(c cell, all map[cell]outcome) line {
	l := line{class: "–"}
	for setup := range setups {
		c.setup = setup
		l.cells[setup] = seen(all[c])
	}
	first := all[c].attempts[0]
	if first.class != "" {
		l.class = "`" + first.class + "`"
	}
	l.why = why(c, all[c], first.class)
	return l
}

// why is in words what decided; c and o are those of the rule that allows most.
func why(c cell, o outcome, class string) string {
	f := &faults[c.fault]
	switch {
	case class == "" && f.answers:
		return "it is an answer"
	case class == "" && o.whole:
		return "an answer had begun, and nothing of it had gone out"
	case class == "":
		return "its answer had begun"
	case !requests[c.request].idempotent() && class != "Unsent":
		return "perhaps done: nobody is asked again"
	case f.why != "":
		return f.why
	case class == "Unsent":
		return "nothing of it was taken"
	}
	return "perhaps done, and safe to repeat"
}

// seen is what a client saw, and how often the first backend was asked for it.
func seen(o outcome) string {
	var text string
	switch {
	case o.from == "other":
		return fmt.Sprintf("%d by the second", o.view.status)
	case !o.whole:
		text = fmt.Sprintf("%d, cut", o.view.status)
	case o.view.reason != "":
		text = fmt.Sprintf("%d `%s`", o.view.status, o.view.reason)
	default:
		text = fmt.Sprintf("%d, whole", o.view.status)
	}
	switch n := len(o.attempts); n {
	case 1:
		return text
	case 2:
		return text + ", asked twice"
	default:
		return text + fmt.Sprintf(", asked %d times", n)
	}
}

// label names the requests of cells, which are of every client unless it says so.
func label(cells []cell) string {
	var names []string
	for _, group := range []struct {
		name          string
		from, through int
	}{{"GET, PUT", 0, 2}, {"POST", 3, 5}} {
		var some []string
		all := true
		for r := group.from; r <= group.through; r++ {
			switch of := clientsOf(cells, r); len(of) {
			case 0:
				all = false
			case 1:
				all = false
				some = append(some, requests[r].name+" from "+of[0])
			default:
				some = append(some, requests[r].name)
			}
		}
		if all {
			some = []string{group.name}
		}
		names = append(names, some...)
	}
	if text := strings.Join(names, ", "); text != "GET, PUT, POST" {
		return text
	}
	return "any"
}

func clientsOf(cells []cell, request int) (names []string) {
	for _, c := range cells {
		if c.request == request {
			names = append(names, clients[c.client].name)
		}
	}
	return names
}

// columnsOf are the rules, those that no line tells apart as one.
func columnsOf(rows []row) [][]int {
	var columns [][]int
	for setup := range setups {
		at := slices.IndexFunc(columns, func(column []int) bool {
			return !slices.ContainsFunc(rows, func(r row) bool { return r.cells[column[0]] != r.cells[setup] })
		})
		if at < 0 {
			columns = append(columns, []int{setup})
			continue
		}
		columns[at] = append(columns[at], setup)
	}
	return columns
}

func title(column []int) string {
	switch fmt.Sprint(column) {
	case "[0 1 2 3]":
		return "any rule"
	case "[0 1]":
		return "one backend"
	case "[2 3]":
		return "two backends"
	case "[0 2]":
		return "no `retry`"
	case "[1 3]":
		return "`retry`"
	case "[1 2 3]":
		return "`retry`, or two backends"
	}
	var names []string
	for _, setup := range column {
		names = append(names, setups[setup].name)
	}
	return strings.Join(names, "; ")
}
