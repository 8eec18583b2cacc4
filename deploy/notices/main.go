// Command notices writes THIRD_PARTY_NOTICES.md: every module that our programs link, its licence, and the texts that
// those licences ask to be handed on. `make generate` runs it; with -check it says whether the file is stale. It reads
// the modules from Go's own cache and decides nothing about whether a licence is acceptable, but fails on one it does
// not know.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
)

const file = "THIRD_PARTY_NOTICES.md"

func main() {
	check := flag.Bool("check", false, "fail where the file is stale, and write nothing")
	flag.Parse()
	programs := flag.Args()
	if len(programs) == 0 {
		programs = []string{"./cmd/..."}
	}
	if err := run(context.Background(), *check, programs); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, check bool, programs []string) error {
	modules, err := linked(ctx, programs)
	if err != nil {
		return err
	}
	parts, err := collect(modules)
	if err != nil {
		return err
	}
	want := render(parts)
	if !check {
		return os.WriteFile(file, want, 0o644)
	}
	have, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read what stands: %w", err)
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%s is stale: run make generate and commit the result", file)
	}
	return nil
}
