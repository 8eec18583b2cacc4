// Package sdk_test has real clients call the real command: the official SDKs of providers under Node.js, and curl. The
// quickstart's emulators are at the far end, which judge what arrives as the providers would.
package sdk_test

import (
	"fmt"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"testing"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// quickstart runs the quickstart and gives its base URL.
func quickstart(t *testing.T) string {
	t.Helper()
	path, err := command.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ports := testkit.Ports(t, 3)
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

func TestSDKs(t *testing.T) {
	node := command.Node(t)
	f := func(version string, environment ...string) {
		t.Run(version, func(t *testing.T) {
			environment = append(environment, "GATEWAY="+quickstart(t))
			out, ok := command.Run(t, environment, node, "--test", "--test-reporter=spec", "sdk.mjs")
			if !ok {
				t.Fatal(out)
			}
			t.Log(out)
		})
	}
	f("HTTP1")
	f("HTTP2", "H2C=1")
}

func TestLock(t *testing.T) { command.CheckLock(t) }
