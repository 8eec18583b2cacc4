// Command h2spec runs h2spec's tests against a server of HTTP/2 and prints each with what became of it, a line a test:
// its id, "passed", "failed" or "skipped", and for a failure what was expected and what came, separated by tabs. It judges
// nothing; the test of test/attacks builds and calls it. A module of its own, since nothing that is shipped needs h2spec.
//
//	h2spec [-tls] [-timeout 4s] 127.0.0.1:8080
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

func main() {
	secure := flag.Bool("tls", false, "speak TLS, with whatever certificate the server shows")
	timeout := flag.Duration("timeout", 4*time.Second, "how long to wait for the server's reaction")
	flag.Parse()
	if err := run(os.Stdout, flag.Arg(0), *secure, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "h2spec:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, address string, secure bool, timeout time.Duration) error {
	host, digits, _ := strings.Cut(address, ":")
	port, err := strconv.Atoi(digits)
	if err != nil {
		return fmt.Errorf("no address of host:port: %q", address)
	}
	c := &config.Config{Host: host, Port: port, Path: "/", Timeout: timeout, MaxHeaderLen: 4000, Strict: true, TLS: secure, Insecure: secure}
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		if err := runGroup(out, c, group); err != nil {
			return err
		}
	}
	return nil
}

func runGroup(out io.Writer, c *config.Config, group *spec.TestGroup) error {
	for i, test := range append(group.Tests, group.StrictTests...) {
		outcome, err := runTest(c, test)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s/%d\t%s\n", group.ID(), i+1, outcome); err != nil {
			return err
		}
	}
	for _, g := range group.Groups {
		if err := runGroup(out, c, g); err != nil {
			return err
		}
	}
	return nil
}

func runTest(c *config.Config, test *spec.TestCase) (outcome string, err error) {
	conn, err := spec.Dial(c)
	if err != nil {
		return "", fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = conn.Close() }()
	switch err := test.Run(c, conn); {
	case err == nil:
		return "passed", nil
	case errors.Is(err, spec.ErrSkipped):
		return "skipped", nil
	default:
		return fmt.Sprintf("failed\t%s: %s", test.Desc, strings.ReplaceAll(err.Error(), "\n", " | ")), nil
	}
}
