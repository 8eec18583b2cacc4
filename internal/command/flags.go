package command

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// ProcessFlags are those of every process that goes on: its pages and its own log.
type ProcessFlags struct {
	Admin, Health string
	Pprof         bool
	level         string
}

// Add adds the flags; health is the default of --health, and traffic says that the process has backends to show.
func (f *ProcessFlags) Add(c *cobra.Command, health string, traffic bool) {
	pages := "/config_dump, /problems, /metrics"
	if traffic {
		pages += ", /backends"
	}
	c.Flags().StringVar(&f.Admin, "admin", "127.0.0.1:9901", "address of the admin pages ("+pages+"); empty: none")
	c.Flags().StringVar(&f.Health, "health", health, "address of /healthz, /readyz and /metrics; empty: none")
	c.Flags().BoolVar(&f.Pprof, "pprof", false, "serve /debug/pprof on the admin address")
	c.Flags().StringVar(&f.level, "log-level", "info", "least level of the process's own log on stderr: debug, info, warn or error")
}

// Logger checks the flags, and makes the process's own log. What libraries print by themselves goes to it too, at debug:
// net/http's client of HTTP/2 has a line for each far side that breaks its rules.
func (f *ProcessFlags) Logger(w io.Writer) (*slog.Logger, error) {
	for name, address := range map[string]string{"admin": f.Admin, "health": f.Health} {
		if address != "" {
			if err := Address(name, address); err != nil {
				return nil, err
			}
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, Usage("--log-level: %q is none of debug, info, warn and error", f.level)
	}
	logger := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(logger.Handler(), slog.LevelDebug).Writer()) // net/http's client writes there what far sides do wrong: as much as they like
	return logger, nil
}

// Address refuses what is no address with a port.
func Address(flag, address string) error {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return Usage("--%s: %q is no HOST:PORT", flag, address)
	}
	return nil
}

// TrafficFlags are those of a process that serves traffic.
type TrafficFlags struct {
	Drain         time.Duration
	access, audit string
	files         []*os.File
}

// Add adds the flags.
func (f *TrafficFlags) Add(c *cobra.Command) {
	c.Flags().StringVar(&f.access, "access-log", "stdout", "access log: stdout, stderr, off or a file to append to")
	c.Flags().StringVar(&f.audit, "audit-log", "stderr", "audit log: stdout, stderr or a file to append to")
	c.Flags().DurationVar(&f.Drain, "drain", 30*time.Second, "how long exchanges may go on after SIGTERM or Ctrl-C; a second one cuts them")
}

// Open opens both logs, until Close; the access log is nil where there is to be none.
func (f *TrafficFlags) Open() (access, audit io.Writer, err error) {
	if access, err = f.open("--access-log", f.access); err != nil {
		return nil, nil, err
	}
	if audit, err = f.open("--audit-log", f.audit); err != nil {
		return nil, nil, err
	}
	if audit == nil {
		return nil, nil, Usage("--audit-log: the audit log is always on")
	}
	return access, audit, nil
}

func (f *TrafficFlags) open(flag, where string) (io.Writer, error) {
	switch where {
	case "off":
		return nil, nil
	case "stdout":
		return os.Stdout, nil
	case "stderr":
		return os.Stderr, nil
	}
	file, err := os.OpenFile(where, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	f.files = append(f.files, file)
	return file, nil
}

// Close closes the logs that are files.
func (f *TrafficFlags) Close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}
