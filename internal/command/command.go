// Package command is what the project's commands have in common: signals, exit codes, versions, and the flags of logs and
// pages. It knows nothing of what they serve. cmd calls it.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// ErrSaid is a failure whose words have been printed.
var ErrSaid = errors.New("said")

// UsageError is a command line that cannot be meant.
type UsageError struct{ error }

// Usage is a UsageError with a text.
func Usage(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// Execute runs the command line and gives the exit code: 0, 1 for what went wrong, 2 for a wrong command line. The first
// SIGINT or SIGTERM ends the command's context, the second one the process.
func Execute(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return Usage("%w (see %s --help)", err, c.CommandPath()) })
	err := root.ExecuteContext(ctx)
	var usage *UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "%s: %v\n", root.Name(), err)
		return 2
	case !errors.Is(err, ErrSaid):
		fmt.Fprintf(os.Stderr, "%s: %v\n", root.Name(), err)
	}
	return 1
}

// NoArguments refuses arguments where there is nothing that they could be.
func NoArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return Usage("%q is no command (see %s --help)", args[0], c.CommandPath())
}

// Version is what the linker set, or what the module knows.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
