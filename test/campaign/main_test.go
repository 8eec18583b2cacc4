// Package campaign sends a large number of requests through the real command to emulated AI providers that fail at
// random, at every point of an exchange, and holds each answer against what the emulators themselves sent and counted:
// under the default policy no request is executed twice, no answer is corrupt or ends in silence, and whatever another
// backend could serve without the risk of a repeat is served. What each fault by itself comes to is told by test/faults.
package campaign

import (
	"flag"
	"os"
	"testing"
)

var (
	count  = flag.Int("requests", 10_000, "how many requests are sent")
	seed   = flag.Uint64("seed", 0, "of all that is drawn; 0 is another each time")
	report = flag.String("report", "", "the file that the outcome is written to, as a page")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
