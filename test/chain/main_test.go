// Package chain_test puts proxies that others wrote, nginx, HAProxy and Squid, between the real command and a destination,
// as its parents, with the configurations that docs/parent-mode.md shows. Chains of gateways of our own are tested in
// internal/proxy.
package chain_test

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
	folder, err := os.MkdirTemp("", "ebbgate-chain-")
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
