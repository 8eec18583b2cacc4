// Command image builds Ebbgate's container images without Docker: each program as static binaries for several platforms,
// from scratch, with Debian's CA certificates, as an OCI layout and as a tar a platform that `docker load`, `podman load`
// and `ctr images import` read. With -push it sends them to a registry. What it builds depends on the commit, the version of Go
// and the CA certificates alone: the same three give the same digests. `make image` runs it; it signs nothing.
//
// It is a module of its own, so that what it needs of registries is no dependency of the programs.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	c, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		c.Log = os.Stdout
		err = c.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// config is what is built.
type config struct {
	Source    string // of the programs: a folder in their module
	Programs  []string
	Platforms []v1.Platform
	Prefix    string // of the images' names: prefix/program
	Tag       string // and the version that the programs print; empty: what Git calls the commit
	Out       string // folder
	Push      string // registry and path to push to in place of the prefix; empty: none
	CA        string // file of CA certificates
	Log       io.Writer
}

func parse(args []string, usage io.Writer) (*config, error) {
	c := &config{}
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&c.Source, "source", "../..", "folder of the programs' module")
	programs := flags.String("programs", "ebbgate,ebbgate-proxy", "programs, each a folder of cmd/")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64", "platforms")
	flags.StringVar(&c.Prefix, "prefix", "ebbgate.dev", "what the images' names begin with")
	flags.StringVar(&c.Tag, "tag", "", "tag, and the version that the programs print (default: what Git calls the commit)")
	flags.StringVar(&c.Out, "out", "../../bin/image", "folder to write to")
	flags.StringVar(&c.Push, "push", "", "registry to push to, with a path if it needs one, such as registry.example.com/platform")
	flags.StringVar(&c.CA, "ca", "/etc/ssl/certs/ca-certificates.crt", "CA certificates of the images: those of Debian's ca-certificates")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	c.Programs = strings.Split(*programs, ",")
	for _, written := range strings.Split(*platforms, ",") {
		p, err := v1.ParsePlatform(written)
		if err != nil || p.OS != "linux" || p.Architecture == "" || p.Variant != "" {
			return nil, fmt.Errorf("-platforms: %q is no platform such as linux/amd64", written)
		}
		c.Platforms = append(c.Platforms, *p)
	}
	return c, nil
}

func (c *config) run(ctx context.Context) error {
	s, err := c.source(ctx)
	if err != nil {
		return err
	}
	shared, err := c.base(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, program := range c.Programs {
		b, err := c.build(ctx, s, shared, program)
		if err != nil {
			return fmt.Errorf("build %s: %w", program, err)
		}
		if err := b.write(filepath.Join(c.Out, program)); err != nil {
			return fmt.Errorf("write %s: %w", program, err)
		}
		digest, err := b.index.Digest()
		if err != nil {
			return fmt.Errorf("digest of %s: %w", program, err)
		}
		fmt.Fprintf(c.Log, "%s@%s\n", b.name, digest)
		if c.Push != "" {
			to := path.Join(c.Push, program) + ":" + s.version
			if err := b.push(ctx, to); err != nil {
				return fmt.Errorf("push %s: %w", program, err)
			}
			fmt.Fprintf(c.Log, "pushed %s@%s\n", to, digest)
		}
	}
	return nil
}
