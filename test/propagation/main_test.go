// Package propagation changes one route among many on a real API server, and tells how long it takes until the real
// controller and a real proxy serve it, what clients see meanwhile, and what both cost; and the same of Pods that come and go
// among many. The pages docs/propagation.md and docs/pods.md are what it wrote; nothing in them is asserted but what holds at
// any speed.
package propagation

import (
	"flag"
	"os"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

var (
	routes  = flag.Int("routes", 100, "how many routes there are")
	changes = flag.Int("changes", 20, "how many changes are made, one after another")
	report  = flag.String("report", "", "the file that the outcome is written to, as a page")

	pods       = flag.Int("pods", 100, "how many Pods there are")
	podChanges = flag.Int("pod-changes", 20, "how many Pods come in others' place, one after another")
	podReport  = flag.String("pod-report", "", "the file that what Pods cost is written to, as a page")
)

var suite apiserver.Suite

func TestMain(m *testing.M) {
	flag.Parse()
	suite.Tests = m
	os.Exit(suite.Run())
}
