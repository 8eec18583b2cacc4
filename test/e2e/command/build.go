// Package command builds the real ebbgate and runs it as a process for tests: what it prints can be waited for, and it is
// ended by its own process id; and the programs that are its clients, those of Node.js too. It knows nothing of
// configuration. The tests of test/attacks, test/e2e, test/protocols and test/sdk call it.
package command

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Build builds the command into the folder and returns its path: with the race detector, and with
// released buffers overwritten, where the test has these.
func Build(ctx context.Context, folder string) (string, error) {
	return BuildOf(ctx, folder, "ebbgate")
}

// BuildOf builds one of the commands of cmd/ as Build does.
func BuildOf(ctx context.Context, folder, name string) (string, error) {
	var flags []string
	if raced {
		flags = append(flags, "-race")
	}
	if poisoned {
		flags = append(flags, "-tags", "poison")
	}
	return build(ctx, folder, name, flags...)
}

// Raced reports whether what Build builds has the race detector, whose own memory tells nothing of the command's.
func Raced() bool { return raced }

// BuildPlain builds ebbgate as users have it, whatever the test has: the race detector takes memory of its own, and ends a
// process that has more than 8,128 goroutines.
func BuildPlain(ctx context.Context, folder string) (string, error) {
	return build(ctx, folder, "ebbgate")
}

func build(ctx context.Context, folder, name string, flags ...string) (string, error) {
	path := filepath.Join(folder, name)
	args := append([]string{"build", "-o", path}, flags...)
	args = append(args, "github.com/ebbgate/ebbgate/cmd/"+name)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput() //nolint:gosec // what the test names
	if err != nil {
		return "", fmt.Errorf("build command: %w\n%s", err, out)
	}
	return path, nil
}

// Need gives the path of a program that the test cannot do without.
func Need(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not there: %s", program, install)
	}
	return path
}

// raceReported tells whether the race detector spoke.
func raceReported(text string) bool { return strings.Contains(text, "WARNING: DATA RACE") }
