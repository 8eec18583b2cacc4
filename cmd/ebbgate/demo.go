package main

import (
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ebbgate/ebbgate/internal/command"
	"github.com/ebbgate/ebbgate/internal/demo"
)

func demoCommand() *cobra.Command {
	var config demo.Config
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a first request, a refusal, a reload and a failover: no key and no network needed",
		Long: `Show, on this machine alone and within seconds, what the gateway does: it serves a folder of YAML in front of two
emulated providers behind real TLS. A workload without a key is answered; a policy refuses; the YAML is edited, well and
badly, while requests run; a provider dies, comes back, and fails where nobody can know whether it did the work.

Each step says what it saw. The exit code is 0 where every claim holds, and 1 otherwise or where the demo is ended early.`,
		Args: command.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case config.Port < 0 || config.Port > 65535:
				return command.Usage("--port: %d is none of 0 to 65535", config.Port)
			case config.Pause < 0:
				return command.Usage("--pause: a time is not negative")
			}
			signal.Ignore(syscall.SIGPIPE) // a reader that is gone must not keep the folder from being removed
			config.Out = c.OutOrStdout()
			return demo.Run(c.Context(), config)
		},
	}
	c.Flags().DurationVar(&config.Pause, "pause", time.Second, "pause between what happens, to follow it; 0s: none")
	c.Flags().IntVar(&config.Port, "port", 0, "port of 127.0.0.1 to serve on; 0: any that is free")
	return c
}
