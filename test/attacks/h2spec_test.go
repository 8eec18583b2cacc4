package attacks

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// TestH2spec runs h2spec against both listeners. What fails and is not in testdata/h2spec.txt is a failure, and what is in it
// and passes too.
func TestH2spec(t *testing.T) {
	t.Parallel()
	tool := filepath.Join(t.TempDir(), "h2spec")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", tool, ".")
	build.Dir = "../h2spec"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build h2spec: %v\n%s", err, out)
	}
	up := testkit.Upstream(t, upstream.Config{Handler: own()})
	g := serve(t, far{address: up.Addr(), protocol: plan.HTTP11})
	for name, args := range map[string][]string{"plain": {g.plain}, "tls": {"-tls", g.secure}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			expected := failures(t, name)
			ran := 0
			for line := range strings.Lines(string(out)) {
				id, outcome, _ := strings.Cut(strings.TrimSpace(line), "\t")
				failed := strings.HasPrefix(outcome, "failed")
				ran++
				if failed != expected[id] {
					t.Errorf("%s: %s; in the list of failures: %t", id, outcome, expected[id])
				}
				delete(expected, id)
			}
			if ran < 140 || len(expected) > 0 {
				t.Errorf("%d tests ran, and of the list not %v", ran, expected)
			}
		})
	}
}

// failures are the tests that are to fail on a listener.
func failures(t *testing.T, listener string) map[string]bool {
	t.Helper()
	file, err := os.Open("testdata/h2spec.txt")
	check(t, err)
	defer file.Close()
	list := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || words[0] == "#":
		case len(words) < 4:
			t.Errorf("%q: a listener, a test, and why it fails", lines.Text())
		case words[0] == listener || words[0] == "both":
			list[words[1]] = true
		}
	}
	return list
}
