package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// source is a commit of the programs.
type source struct {
	folder   string // top of the module
	revision string
	version  string
	time     time.Time // of the commit: what in an image bears a time bears this
}

// tag is what the OCI distribution specification lets a tag be.
var tag = regexp.MustCompile(`^\w[\w.-]{0,127}$`)

func (c *config) source(ctx context.Context) (*source, error) {
	s := &source{version: c.Tag}
	out, err := run(ctx, c.Source, nil, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	s.folder = out
	if s.revision, err = run(ctx, s.folder, nil, "git", "rev-parse", "HEAD"); err != nil {
		return nil, err
	}
	if s.version == "" {
		if s.version, err = run(ctx, s.folder, nil, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return nil, err
		}
	}
	if !tag.MatchString(s.version) {
		return nil, fmt.Errorf("%q is no tag: letters, digits, dots, dashes and underscores, 128 at most", s.version)
	}
	written, err := run(ctx, s.folder, nil, "git", "log", "-1", "--format=%cI")
	if err != nil {
		return nil, err
	}
	if s.time, err = time.Parse(time.RFC3339, written); err != nil {
		return nil, fmt.Errorf("time of the commit: %w", err)
	}
	s.time = s.time.UTC()
	return s, nil
}

// compile makes a static binary of a program, the same on every machine: no path of this one in it, nothing of what the environment says.
func (s *source) compile(ctx context.Context, program string, platform v1.Platform, out string) error {
	env := []string{
		"CGO_ENABLED=0", "GOOS=" + platform.OS, "GOARCH=" + platform.Architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off",
	}
	// The commit is in the labels. In the binary it would make those of one commit differ by what else lies in the folder.
	_, err := run(ctx, s.folder, env, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X main.version="+s.version, "-o", out, "./cmd/"+program)
	return err
}

// run gives what a command prints, without white space around it.
func run(ctx context.Context, folder string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) && len(failed.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
