// Package soak keeps the real command busy with clients and far sides that behave in every way, well and badly, and looks at
// what it holds meanwhile: memory, goroutines, file descriptors. TestSoak is mixed traffic with reloads, whose page is
// docs/soak.md; the other tests are one kind of rudeness each, by the thousand, and docs/floods.md and docs/crowds.md are what
// they cost. Nothing
// is asserted of time.
package soak

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

var (
	length  = flag.Duration("for", 15*time.Second, "how long the mixed traffic goes on")
	seed    = flag.Uint64("seed", 0, "of all that is drawn; 0 is another each time")
	report  = flag.String("report", "", "the file that the mixed traffic's outcome is written to, as a page")
	idle    = flag.Int("idle", 5000, "how many idle clients there are, where the limit on files lets them be")
	flood   = flag.Duration("flood", 100*time.Millisecond, "how long each flood goes on")
	crowd   = flag.String("crowd-report", "", "the file that the crowds' outcome is written to, as a page")
	flooded = flag.String("flood-report", "", "the file that the floods' outcome is written to, as a page")
)

// The commands under test: as the test is built, and as users have it.
const (
	underTest = "EBBGATE_UNDER_TEST"
	plain     = "EBBGATE_PLAIN"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withCommands(m))
}

func withCommands(m *testing.M) int {
	folder, err := os.MkdirTemp("", "ebbgate-soak-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }() // of the system's temporary folder: it is swept anyway
		err = build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(folder string) error {
	for name, make := range map[string]func(context.Context, string) (string, error){underTest: command.Build, plain: command.BuildPlain} {
		own, err := os.MkdirTemp(folder, "")
		if err != nil {
			return err
		}
		path, err := make(context.Background(), own)
		if err != nil {
			return err
		}
		if err := os.Setenv(name, path); err != nil {
			return err
		}
	}
	return nil
}
