// Package protocols_test has clients that others wrote speak every protocol to the real command: curl, Node.js, gRPC's own
// clients, WebSocket's. Far sides that record what they saw are behind it. What is tested is that each client gets what
// it would get without us in between, and that the far side sees the same request whichever version carried it.
package protocols_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// binary is the command under test: a path in the environment, so that no global holds it.
const binary = "EBBGATE_UNDER_TEST"

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	folder, err := os.MkdirTemp("", "ebbgate-protocols-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }() // of the system's temporary folder: it is swept anyway
		var path string
		if path, err = command.Build(context.Background(), folder); err == nil {
			err = os.Setenv(binary, path)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
