// Package faults has far sides fail in every way, at every moment, under clients and far sides of both HTTP versions, and
// holds what the gateway makes of it: what the client sees, who is asked how often, and why. The outcome is a page for
// users, docs/faults.md, which the test writes with -update and else compares. It tests no policy, and no far side that
// behaves.
package faults

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write docs/faults.md")

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // gateways that wait for most of the time
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
