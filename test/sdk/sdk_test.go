// Package sdk_test has real clients call the real command: the official SDKs of providers under Node.js, and curl. The
// quickstart's emulators are at the far end, which judge what arrives as the providers would.
package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const patience = 2 * time.Minute // for npm or a program to come to its end

// quickstart runs the quickstart and gives its base URL.
func quickstart(t *testing.T) string {
	t.Helper()
	path, err := command.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ports := command.Ports(t, 3)
	local := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	p := command.Start(t, path, nil, "run", "--quickstart", "--port", fmt.Sprint(ports[0]), "--admin", local(1), "--health", local(2))
	p.Await(t, "Ebbgate serves")
	t.Cleanup(func() {
		if code := p.Stop(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	return fmt.Sprintf("http://localhost:%d", ports[0])
}

// run runs a program and gives its output; ok is false where it failed.
func run(t *testing.T, environment []string, program string, args ...string) (out string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.WaitDelay = 5 * time.Second
	combined, err := cmd.CombinedOutput()
	return string(combined), err == nil
}

func TestSDKs(t *testing.T) {
	const install = "install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm)"
	node, npm := command.Need(t, "node", install), command.Need(t, "npm", install)
	packages(t, npm)
	out, ok := run(t, []string{"GATEWAY=" + quickstart(t)}, node, "--test", "--test-reporter=spec", "sdk.mjs")
	if !ok {
		t.Fatal(out)
	}
	t.Log(out)
}

// packages installs what the lock file names, unless that is there already.
func packages(t *testing.T, npm string) {
	t.Helper()
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join("node_modules", ".installed-lock")
	if installed, err := os.ReadFile(stamp); err == nil && bytes.Equal(installed, lock) {
		return
	}
	if out, ok := run(t, nil, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"); !ok {
		t.Fatalf("npm ci: is the registry within reach?\n%s", out)
	}
	if err := os.WriteFile(stamp, lock, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLock keeps the lock file free of any registry's address: whoever runs the tests has one of their own.
func TestLock(t *testing.T) {
	text, err := fs.ReadFile(os.DirFS("."), "package-lock.json")
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
