package propagation

import (
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/apiserver"
)

// TestOutage takes the API server from the controller for good: its log says so in one line, whoever of it asks in vain.
func TestOutage(t *testing.T) {
	server, err := apiserver.Start(t.Context())
	must(t, err)
	r := newRig(t, server)
	must(t, server.Close())
	r.controller.Await(t, "no longer leading", "Attempting to acquire leader lease") // after 10 s without an answer
	for text, want := range map[string]int{"the API server cannot be reached": 1, "watch a kind": 0, "Failed to watch": 0, "rror retrieving": 0} {
		if n := r.controller.Err.Count(text); n != want {
			t.Errorf("%q is %d times in its log, want %d:\n%s", text, n, want, r.controller.Err)
		}
	}
}
