//go:build cluster

// Package kube_test holds Ebbgate to its word on a whole node: installed by its chart, with workloads in Pods, and with
// destinations outside the cluster, which are this process on addresses that the node routes to itself. It breaks what can
// break: controllers, proxies, the API server, keys. run.sh prepares the cluster and calls it; it is no part of `make test`, hence
// the build constraint.
package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	patience = 60 * time.Second // for what a busy node should do in a moment
	glance   = 200 * time.Millisecond
	system   = "ebbgate-system"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	stop, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	return m.Run()
}

// kubectl is kubectl as the cluster's administrator.
func kubectl(t testing.TB, input string, args ...string) string {
	t.Helper()
	out, err := try(context.WithoutCancel(t.Context()), input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, errors.String())
	}
	return out.String(), nil
}

// apply applies YAML, and takes it back when the test ends.
func apply(t testing.TB, yaml string) {
	t.Helper()
	kubectl(t, yaml, "apply", "-f", "-")
	t.Cleanup(func() { kubectl(t, yaml, "delete", "--ignore-not-found", "--wait=false", "-f", "-") })
}

// namespace makes namespaces that end with the test.
func namespace(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		kubectl(t, "", "create", "namespace", name)
	}
	t.Cleanup(func() { kubectl(t, "", append([]string{"delete", "namespace", "--timeout=120s"}, names...)...) })
}

// eventually asks until it is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(glance) {
		if time.Now().After(end) {
			t.Fatalf("not so after %s: %s", patience, what)
		}
	}
}

// object reads what is asked for as JSON into a value.
func object(t testing.TB, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(kubectl(t, "", append([]string{"get", "-o", "json"}, args...)...)), into); err != nil {
		t.Fatal(err)
	}
}

// condition is one of an object's own conditions: its status, and what it says.
func condition(t testing.TB, object, kind string) (status, message string) {
	t.Helper()
	out := kubectl(t, "", "-n", "ai", "get", object, "-o", `jsonpath={range .status.conditions[?(@.type=="`+kind+`")]}{.status} {.message}{end}`)
	status, message, _ = strings.Cut(out, " ")
	return status, message
}

// pods are the names of the Pods with a label, those that are not on their way out.
func pods(t testing.TB, namespace, label string) []string {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name, DeletionTimestamp string }
		}
	}
	object(t, &list, "pods", "-n", namespace, "-l", label)
	var names []string
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp == "" {
			names = append(names, p.Metadata.Name)
		}
	}
	return names
}
