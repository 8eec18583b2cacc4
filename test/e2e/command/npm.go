package command

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const programPatience = 2 * time.Minute // for npm or another program to come to its end

// Run runs a program to its end and gives what it printed; ok is false where it failed. The environment is added to the
// test's own.
func Run(t testing.TB, environment []string, program string, args ...string) (out string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the test names it
	cmd.Env = append(os.Environ(), environment...)
	cmd.WaitDelay = 5 * time.Second
	combined, err := cmd.CombinedOutput()
	return string(combined), err == nil
}

// Node gives the path of Node.js, once what the lock file in the working directory names is installed there.
func Node(t testing.TB) string {
	t.Helper()
	const install = "install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm)"
	node, npm := Need(t, "node", install), Need(t, "npm", install)
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join("node_modules", ".installed-lock")
	if installed, err := os.ReadFile(stamp); err == nil && bytes.Equal(installed, lock) {
		return node
	}
	if out, ok := Run(t, nil, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"); !ok {
		t.Fatalf("npm ci: is the registry within reach?\n%s", out)
	}
	if err := os.WriteFile(stamp, lock, 0o600); err != nil { //nolint:gosec // a name of our own, in the test's folder
		t.Fatal(err)
	}
	return node
}

// CheckLock holds the lock file in the working directory free of any registry's address: whoever runs the tests has one
// of their own.
func CheckLock(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Resolved, Integrity, Version string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Packages) < 3 {
		t.Fatalf("%d packages", len(lock.Packages))
	}
	for name, p := range lock.Packages {
		if p.Resolved != "" || name != "" && (p.Integrity == "" || p.Version == "") {
			t.Errorf("%q: resolved %q, integrity %q, version %q", name, p.Resolved, p.Integrity, p.Version)
		}
	}
	if strings.Contains(string(text), "://registry") {
		t.Error("a registry's address is in the lock file")
	}
}
