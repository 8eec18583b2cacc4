// Package examples_test runs every story of this folder for real: the command built from this tree, the story's files
// unchanged, far sides with real TLS on the addresses that standalone/ names, real clients, and assertions on what the
// far side received. Each README is run too, command by command. It tests no part by itself: the parts' own tests do.
package examples_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

// binary is the command, built once. It has the race detector where the tests have it: a race ends it with a code of its
// own, which fails the test.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ebbgate-examples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "ebbgate")
	arguments := []string{"build", "-o", binary}
	if race {
		arguments = append(arguments, "-race")
	}
	build := exec.CommandContext(context.Background(), "go", append(arguments, "../cmd/ebbgate")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// story is the folder of one gateway, and the Secrets that the README makes for it. A story with two gateways is two of these,
// in folders below its own.
type story struct {
	name    string
	secrets func(*secrets, *ca.CA)
}

var stories = []story{
	{"reach-a-service", reachSecrets},
	{"central-credentials", centralSecrets},
	{"verify-the-remote", verifySecrets},
	{"mutual-tls", mutualSecrets},
	{"provider-failover", failoverSecrets},
	{"local-first", localSecrets},
	{"inference-cluster/workloads", workloadsSecrets},
	{"inference-cluster/inference", inferenceSecrets},
	{"provider-features", providerSecrets},
	{"region-locks", regionSecrets},
	{"attribution", attributionSecrets},
}

// folders are those that have a README, each once.
func folders() []string {
	var list []string
	for _, s := range stories {
		if top, _, _ := strings.Cut(s.name, "/"); !slices.Contains(list, top) {
			list = append(list, top)
		}
	}
	return list
}

func named(t *testing.T, name string) story {
	t.Helper()
	i := slices.IndexFunc(stories, func(s story) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("there is no story %s", name)
	}
	return stories[i]
}

// copied is a story whose files the test may change.
func copied(t *testing.T, name string) story {
	t.Helper()
	s, folder := named(t, name), t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(s.name)); err != nil {
		t.Fatal(err)
	}
	s.name = folder
	return s
}

func TestValidateFindsNoProblems(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary, "validate", "-f", s.name, "--secrets", newSecrets(t, s).dir).CombinedOutput()
			if err != nil || string(out) != "no problems\n" {
				t.Errorf("validate: %v\n%s", err, out)
			}
		})
	}
}

// TestValidateNamesEveryMissingSecret holds that the examples bring no Secret of their own, and that they say what they need.
func TestValidateNamesEveryMissingSecret(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary, "validate", "-f", s.name).CombinedOutput()
			if err == nil {
				t.Fatalf("validate finds nothing wrong without the Secrets:\n%s", out)
			}
			for _, secret := range newSecrets(t, s).names(t) {
				if !strings.Contains(string(out), "Secret "+secret+" does not exist") {
					t.Errorf("%s is not named:\n%s", secret, out)
				}
			}
		})
	}
}

func TestEveryFileBelongsToAStory(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name = filepath.ToSlash(name)
		folder := strings.TrimSuffix(path.Dir(name), "/standalone")
		switch ext := path.Ext(name); {
		case folder == ".":
			if ext == ".yaml" {
				t.Errorf("%s lies outside the stories", name)
			}
		case path.Base(name) == "README.md" && slices.Contains(folders(), path.Dir(name)):
		case !slices.ContainsFunc(stories, func(s story) bool { return s.name == folder }):
			t.Errorf("%s: no test runs the story %s", name, folder)
		case ext != ".yaml":
			t.Errorf("%s is neither README.md nor YAML of the story or its standalone folder", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryStoryRunsOnACluster holds that the whole-node tests apply every folder by its name.
func TestEveryStoryRunsOnACluster(t *testing.T) {
	files, err := filepath.Glob("../test/e2e/kube/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for _, s := range stories {
		if !strings.Contains(tests.String(), fmt.Sprintf("story(t, %q,", s.name)) {
			t.Errorf("no test in test/e2e/kube applies %s", s.name)
		}
	}
}

// eventually asks again and again until it holds; the asking is what takes the time, so nothing sleeps.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
