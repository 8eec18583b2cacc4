// Package soak keeps the real command busy with clients and far sides that behave in every way, well and badly, and looks at
// what it holds meanwhile: memory, goroutines, file descriptors. Nothing is asserted of time.
package soak

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// The commands under test: as the test is built, and as users have it.
const (
	underTest = "EBBGATE_UNDER_TEST"
	plain     = "EBBGATE_PLAIN"
)

func TestMain(m *testing.M) {
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
