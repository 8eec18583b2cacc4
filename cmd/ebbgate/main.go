// Command ebbgate is the egress gateway: run serves a folder of Gateway API YAML in one process, validate checks one,
// translate shows what it comes to, demo shows it at work. Here flags become configuration and the parts are wired; nothing else.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ebbgate/ebbgate/internal/command"
)

// version is set by the linker; a plain build says what the module knows.
var version string

func main() { os.Exit(command.Execute(rootCommand())) }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "ebbgate",
		Short: "The one guarded way out: an egress gateway, above all towards AI providers",
		Long: `Ebbgate is an egress gateway built from Gateway API. Workloads send requests to it; it decides whether they may
leave, proves itself to the other side, checks that the other side is who it should be, and accounts for all of it.

See it work:                 ebbgate demo
Try it without a key:        ebbgate run --quickstart
With your provider's key:    OPENAI_API_KEY=… ebbgate run
With configuration of yours: ebbgate run -f DIR
On Kubernetes:               ebbgate controller, which the Helm chart runs`,
		Version: command.Version(version),
		Args:    command.NoArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(runCommand(), controllerCommand(), demoCommand(), validateCommand(), translateCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  command.NoArguments,
		Run:   func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "ebbgate", command.Version(version)) },
	}
}
