package command

import (
	"log/slog"
	"os"
	"strings"
	"syscall"
)

// SwitchOverHTTP2 has net/http take requests to switch protocols over HTTP/2 (RFC 8441), such as WebSockets: it reads that
// from GODEBUG as the process starts, and nowhere else, so the process starts itself anew. What an operator says in
// GODEBUG stays.
func SwitchOverHTTP2(logger *slog.Logger) {
	const setting = "http2xconnect="
	debug := os.Getenv("GODEBUG")
	if strings.Contains(debug, setting) {
		return
	}
	if debug != "" {
		debug += ","
	}
	command, err := os.Executable()
	if err == nil {
		err = os.Setenv("GODEBUG", debug+setting+"1")
	}
	if err == nil {
		err = syscall.Exec(command, os.Args, os.Environ()) //nolint:gosec // ourselves
	}
	logger.Warn("WebSockets over HTTP/2 are off: the process cannot start itself anew", "error", err)
}
