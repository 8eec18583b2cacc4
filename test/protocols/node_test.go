package protocols_test

import (
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

func TestLock(t *testing.T) { command.CheckLock(t) }

// node runs a file of tests of Node.js against the gateway.
func node(t *testing.T, r *rig, file string, more ...string) {
	t.Helper()
	environment := append([]string{"GATEWAY=" + r.plain, "GATEWAY_TLS=" + r.secure, "NODE_EXTRA_CA_CERTS=" + r.root}, more...)
	out, ok := command.Run(t, environment, command.Node(t), "--test", "--test-reporter=spec", file)
	if !ok {
		t.Fatal(out)
	}
	t.Log(out)
}

func TestNode(t *testing.T) {
	r := serve(t)
	node(t, r, "http1.mjs")
	trailed := 0
	for _, seen := range r.web.Requests() {
		if len(seen.Trailers) == 1 && strings.EqualFold(seen.Trailers[0], "x-mine: 1") {
			trailed++
		}
	}
	if trailed != 2 { // one over TLS, one without
		t.Errorf("%d requests arrived with their trailers", trailed)
	}
}
