package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadmes runs the sh blocks of each README in one shell, in order, as somebody would who pastes them. A text block
// is what the sh block before it prints, where "…" stands for anything within a line, and on a line of its own for any
// lines. Blocks of another kind are not run.
func TestReadmes(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders() {
		t.Run(folder, func(t *testing.T) {
			readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			blocks := scripted(string(readme))
			if len(blocks) < 3 {
				t.Fatalf("%d sh blocks", len(blocks))
			}
			printed := runBlocks(t, root, blocks)
			for i, b := range blocks {
				if b.want != "" && !b.prints(printed[i]) {
					t.Errorf("block %d prints\n%s\nthe README says\n%s", i+1, printed[i], b.want)
				}
			}
		})
	}
}

// scriptBlock is an sh block, and what it prints.
type scriptBlock struct{ commands, want string }

func scripted(text string) []scriptBlock {
	var list []scriptBlock
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		switch {
		case m[1] == "sh":
			list = append(list, scriptBlock{commands: m[2]})
		case m[1] == "text" && len(list) > 0:
			list[len(list)-1].want += m[2]
		}
	}
	return list
}

func (b scriptBlock) prints(out string) bool {
	pattern := regexp.QuoteMeta(strings.TrimSpace(b.want))
	pattern = strings.ReplaceAll(pattern, "\n…\n", "\n(?:.*\n)*")
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(strings.TrimSpace(out))
}

const blockEnd = "----- end of block -----"

// runBlocks gives what each block prints. ebbgate is the one under test, without the pages that another one on this
// machine may have the ports of.
func runBlocks(t *testing.T, root string, blocks []scriptBlock) []string {
	t.Helper()
	bin := t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != run ] || set -- \"$@\" --admin= --health=\nexec %q \"$@\"\n", binary)
	if err := os.WriteFile(filepath.Join(bin, "ebbgate"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, b := range blocks {
		fmt.Fprintf(&script, "%s\necho '%s'\n", b.commands, blockEnd)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script.String())
	shell.Dir = root
	shell.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	// A group of its own, so that what a broken README leaves running ends with it.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	shell.Stdout, shell.Stderr = &stdout, &stderr
	err := shell.Run()
	printed := strings.Split(stdout.String(), blockEnd+"\n")
	if err != nil {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // nobody may be left
		t.Fatalf("block %d of %d failed: %v\n%s\n%s", len(printed), len(blocks), err, printed[len(printed)-1], stderr.String())
	}
	return printed
}
