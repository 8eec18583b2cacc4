// Package attacks sends a running proxy what two parsers could read in two ways, from both sides and in both versions, and
// holds that it is refused, or read in the one right way by whoever is behind: servers of
// net/http, nginx and HAProxy. Behind every attack come canaries, on its connection and on another, which must get their own
// answers: so nothing was left over, and no request was made of two. The corpus is tables. It tests no policy, and
// nothing that internal/http1 alone decides is explained here a second time.
package attacks

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // far sides that wait for each other most of the time
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
