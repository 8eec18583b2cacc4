package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// The parts that a profile is told by, in the order of the table.
const (
	writing    = "system calls: write"
	reading    = "system calls: read"
	calling    = "system calls: others"
	collecting = "collecting garbage"
	allocating = "allocating"
	growing    = "growing stacks"
	scheduling = "scheduling, channels, locks"
	securing   = "crypto/tls and ciphers"
	netHTTP    = "net/http"
	own        = "Ebbgate"
	rest       = "others"
)

// kernel are functions that enter the kernel, and runtimes those of the runtime with what they are there for: whoever is below
// them on the stack, it is the work of those above.
var (
	kernel   = []string{"internal/runtime/syscall", "syscall.RawSyscall", "runtime.entersyscall", "runtime.reentersyscall", "runtime.exitsyscall", "runtime.futex", "runtime.usleep"}
	runtimes = []struct{ prefix, part string }{
		{"runtime.gcBgMarkWorker", collecting},
		{"runtime.gcAssist", collecting},
		{"runtime.gcStart", collecting},
		{"runtime.gcMark", collecting},
		{"runtime.bgsweep", collecting},
		{"runtime.bgscavenge", collecting},
		{"runtime.deductSweepCredit", collecting},
		{"runtime.newstack", growing},
		{"runtime.mallocgc", allocating},
		{"runtime.newobject", allocating},
		{"runtime.mcall", scheduling},
		{"runtime.schedule", scheduling},
		{"runtime.mstart", scheduling},
		{"runtime.newproc", scheduling},
		{"runtime.goready", scheduling},
		{"runtime.gopark", scheduling},
		{"runtime.goexit0", scheduling},
		{"runtime.selectgo", scheduling},
		{"runtime.chan", scheduling},
		{"runtime.sema", scheduling},
		{"sync.(*Mutex)", scheduling},
		{"internal/sync.(*Mutex)", scheduling},
		{"sync.runtime_", scheduling},
	}
	packages = []struct{ prefix, part string }{
		{"crypto/", securing},
		{"net/http.", netHTTP},
		{"net/http/", netHTTP},
		{"vendor/golang.org/x/net/", netHTTP},
		{"github.com/ebbgate/", own},
	}
)

// partOf tells whose work a stack is; its functions come from the inside out.
func partOf(stack []string) string {
	in := func(prefixes ...string) func(string) bool {
		return func(name string) bool {
			return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		}
	}
	if len(stack) > 0 && in(kernel...)(stack[0]) {
		switch {
		case slices.ContainsFunc(stack, in("syscall.write", "syscall.sendmsg")):
			return writing
		case slices.ContainsFunc(stack, in("syscall.read", "syscall.recv")):
			return reading
		}
		return calling
	}
	for _, r := range runtimes {
		if slices.ContainsFunc(stack, in(r.prefix)) {
			return r.part
		}
	}
	for _, name := range stack {
		for _, p := range packages {
			if strings.HasPrefix(name, p.prefix) {
				return p.part
			}
		}
	}
	return rest
}

// shares reads a profile of CPU time: what part of it each kind of work has.
func shares(file string) (map[string]float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open profile: %w", err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", file, err)
	}
	parts, sum := map[string]float64{}, 0.0
	for _, s := range p.Sample {
		var stack []string
		for _, at := range s.Location {
			for _, line := range at.Line { // of functions that are inlined, the inner ones first
				stack = append(stack, line.Function.Name)
			}
		}
		spent := float64(s.Value[len(s.Value)-1]) // nanoseconds
		parts[partOf(stack)] += spent
		sum += spent
	}
	for part := range parts {
		parts[part] /= sum
	}
	return parts, nil
}

// profiles writes what the requests that were profiled cost, by part.
func profiles(b *strings.Builder, results []result) error {
	var rows []result
	var each []map[string]float64
	for _, r := range results {
		if r.profile == "" {
			continue
		}
		parts, err := shares(r.profile)
		if err != nil {
			return err
		}
		rows, each = append(rows, r), append(each, parts)
	}
	if len(rows) == 0 {
		return nil
	}
	b.WriteString("\n| CPU ms per 1,000, by profile |")
	for _, r := range rows {
		fmt.Fprintf(b, " %s |", r.work.title)
	}
	b.WriteString("\n" + strings.Repeat("|---", 1+len(rows)) + "|\n")
	for _, part := range []string{writing, reading, calling, securing, own, netHTTP, scheduling, growing, allocating, collecting, rest} {
		fmt.Fprintf(b, "| %s |", part)
		for i, r := range rows {
			fmt.Fprintf(b, " %s |", number(each[i][part]*r.cost(), 1))
		}
		b.WriteString("\n")
	}
	b.WriteString("| all |")
	for _, r := range rows {
		fmt.Fprintf(b, " %s |", number(r.cost(), 1))
	}
	b.WriteString("\n")
	return nil
}
