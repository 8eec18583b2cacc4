// Package protocols_test has clients that others wrote speak every protocol to the real command: curl, Node.js, gRPC's own
// clients, WebSocket's. Far sides that record what they saw are behind it. What is tested is that each client gets what
// it would get without us in between, and that the far side sees the same request whichever version carried it.
package protocols_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// binary is the command under test: a path in the environment, so that no global holds it.
const binary = "EBBGATE_UNDER_TEST"

func TestMain(m *testing.M) {
	switchOverHTTP2()
	os.Exit(withBinary(m))
}

// switchOverHTTP2 has the far sides of this process take extended CONNECT, which net/http reads from the environment as a
// process starts.
func switchOverHTTP2() {
	const setting = "http2xconnect=1"
	if strings.Contains(os.Getenv("GODEBUG"), setting) {
		return
	}
	command, err := os.Executable()
	if err == nil {
		err = os.Setenv("GODEBUG", setting)
	}
	if err == nil {
		err = syscall.Exec(command, os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "start anew:", err)
	os.Exit(1)
}

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
