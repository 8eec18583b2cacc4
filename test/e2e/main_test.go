// Package e2e_test runs the real command as a user would, on folders of YAML with real destinations behind it, and holds it to
// what the documentation says of every failure: what the client is answered, that the destination saw no byte of the
// request, and that the last good configuration keeps serving. What several parts could get wrong together is tested
// here; what one part could get wrong alone is tested beside it.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// binary is the command under test: a path in the environment, so that no global holds it.
const binary = "EBBGATE_UNDER_TEST"

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	folder, err := os.MkdirTemp("", "ebbgate-e2e-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }() // of the system's temporary folder: it is swept anyway
		var path string
		if path, err = buildInto(context.Background(), folder); err == nil {
			err = os.Setenv(binary, path)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
