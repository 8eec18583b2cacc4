// Command ebbgate is the egress gateway: run serves a folder of Gateway API YAML in one process, validate checks one,
// translate shows what it comes to, demo shows it at work. Here flags become configuration and the parts are wired; nothing else.
package main

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

// version is set by the linker; a plain build says what the module knows.
var version string

func main() { os.Exit(execute()) }

// execute runs the command line and gives the exit code: 0, 1 for what went wrong, 2 for a wrong command line.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := &cobra.Command{
		Use:   "ebbgate",
		Short: "The one guarded way out: an egress gateway, above all towards AI providers",
		Long: `Ebbgate is an egress gateway built from Gateway API. Workloads send requests to it; it decides whether they may
leave, proves itself to the other side, checks that the other side is who it should be, and accounts for all of it.

See it work:                 ebbgate demo
Try it without a key:        ebbgate run --quickstart
With your provider's key:    OPENAI_API_KEY=… ebbgate run
With configuration of yours: ebbgate run -f DIR`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate("ebbgate {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(), demoCommand(), validateCommand(), translateCommand(), versionCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
	})
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "ebbgate:", err)
		return 2
	case !errors.Is(err, errSaid):
		fmt.Fprintln(os.Stderr, "ebbgate:", err)
	}
	return 1
}

// noArguments refuses arguments where there is nothing that they could be.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{fmt.Errorf("%q is no command (see %s --help)", args[0], c.CommandPath())}
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

// errSaid is a failure whose words have been printed.
var errSaid = errors.New("said")

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		Run:   func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "ebbgate", versionText()) },
	}
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
