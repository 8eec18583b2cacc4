// Package failover keeps the real command as busy as the machine can, takes its primary destination away and gives it
// back, and tells what clients see meanwhile: errors, how long it takes, the slowest answers, and who serves. The page
// docs/failover-under-load.md is what it wrote; nothing in it is asserted but what holds at any speed.
package failover

import (
	"flag"
	"os"
	"testing"
	"time"
)

var (
	before   = flag.Duration("before", time.Second, "how long all is well at first")
	away     = flag.Duration("away", 2*time.Second, "how long the primary is away")
	ejection = flag.Duration("ejection", 2*time.Second, "health.passive.ejection")
	slow     = flag.Duration("slow-start", 3*time.Second, "health.slowStart")
	report   = flag.String("report", "", "the file that the outcome is written to, as a page")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
