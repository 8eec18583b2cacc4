// Command bench measures what a request costs Ebbgate, nginx and HAProxy when they do the same work, in one interleaved
// run on the machine it runs on, and prints a Markdown table: CPU time of the proxy for 1,000 requests, and ratios.
//
// It needs Linux, two cores, and nginx, haproxy, wrk, h2load and taskset. It speaks on the loopback interface alone, ends what
// it started, and leaves nothing behind. It asserts nothing about speed, and what it measures on a busy machine it calls
// void. `make bench` runs it through run.sh; docs/performance.md says how to read the table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bounds of what a run may be asked for.
const (
	maxRounds  = 20
	maxTries   = 100
	maxSeconds = 60
)

// options are what the command line asks for.
type options struct {
	rounds  int
	tries   int           // rounds at most, disturbed ones included
	each    time.Duration // one measurement
	streams int           // that have events; idle ones are a multiple
	routes  int           // beside those of the rows
	works   []work
	proxies []string
	profile string // folder for CPU profiles of Ebbgate; empty is none
	ebbgate string // the program; empty is to build it
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures what args ask for: the table goes to out, what it is at goes to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parseOptions(args, progress)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.bound())
	defer cancel()
	rig, err := newRig(ctx, o, progress)
	if err != nil {
		return err
	}
	defer rig.close()
	results, err := rig.measure(ctx, o, progress)
	if err != nil {
		return err
	}
	return writeReport(out, rig.describe(o), results)
}

// bound is how long a run may take at most, building Ebbgate with a cold cache included.
func (o options) bound() time.Duration {
	measurements := o.tries*len(o.works)*(len(o.proxies)+1) + len(o.proxies)
	return 15*time.Minute + time.Duration(measurements)*(o.each+10*time.Second)
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	var seconds float64
	var rows, only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.rounds, "rounds", 3, fmt.Sprintf("measurements of each proxy and row, 1 to %d", maxRounds))
	flags.IntVar(&o.tries, "tries", 0, fmt.Sprintf("rounds at most for a row where others disturb them, up to %d; 0 is twice the rounds", maxTries))
	flags.Float64Var(&seconds, "seconds", 5, fmt.Sprintf("length of a measurement in seconds, 0.2 to %d", maxSeconds))
	flags.IntVar(&o.streams, "streams", 500, fmt.Sprintf("streams that have events, 1 to %d; a ninth of those that are measured idle", maxStreams))
	flags.IntVar(&o.routes, "routes", 0, fmt.Sprintf("further routes among which each proxy finds that of the request, up to %d", maxRoutes))
	flags.StringVar(&rows, "rows", "", "rows to measure, separated by commas; empty is all: "+strings.Join(workNames(), ","))
	flags.StringVar(&only, "only", "", "proxies to measure, separated by commas; empty is all: "+strings.Join(proxyNames(), ","))
	flags.StringVar(&o.profile, "profile", "", "folder to write a profile of Ebbgate to, one a row: of CPU, of idle of memory; what was measured meanwhile is marked")
	flags.StringVar(&o.ebbgate, "ebbgate", "", "the ebbgate program; empty builds ./cmd/ebbgate")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.each = time.Duration(seconds * float64(time.Second))
	if o.tries == 0 {
		o.tries = 2 * o.rounds
	}
	if o.tries < o.rounds || o.tries > maxTries {
		return options{}, fmt.Errorf("tries are as many as the rounds or more, and %d at most", maxTries)
	}
	// Written so that NaN is outside too.
	if within := seconds >= 0.2 && seconds <= maxSeconds; !within || o.rounds < 1 || o.rounds > maxRounds || flags.NArg() > 0 {
		return options{}, fmt.Errorf("rounds are 1 to %d, seconds 0.2 to %d, and nothing follows the flags", maxRounds, maxSeconds)
	}
	if o.streams < 1 || o.streams > maxStreams {
		return options{}, fmt.Errorf("streams are 1 to %d", maxStreams)
	}
	if o.routes < 0 || o.routes > maxRoutes {
		return options{}, fmt.Errorf("further routes are %d at most", maxRoutes)
	}
	return o.choose(rows, only)
}

// choose fills in the rows and proxies that the lists name, in the order of the table.
func (o options) choose(rows, only string) (options, error) {
	chosen, err := pick("row", rows, workNames())
	if err != nil {
		return options{}, err
	}
	for _, w := range works(o.streams) {
		if o.routes > 0 {
			w.title += fmt.Sprintf(", among %d routes", o.routes)
		}
		if slices.Contains(chosen, w.name) {
			o.works = append(o.works, w)
		}
	}
	o.proxies, err = pick("proxy", only, proxyNames())
	if err == nil && o.profile != "" && !slices.Contains(o.proxies, ebbgate) {
		err = errors.New("a profile is Ebbgate's, which -only leaves out")
	}
	return o, err
}

// pick are those of all that list names, in the order of all; an empty list is all of them.
func pick(kind, list string, all []string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	named := strings.Split(list, ",")
	for _, name := range named {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("no %s is called %q: there are %s", kind, name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(named, name) }), nil
}
