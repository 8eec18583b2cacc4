package protocols_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
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
	r.trailed(t, 2, r.web) // one over TLS, one without
}

func TestNodeHTTP2(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		names := "web,either,one,two,clear"
		if r.straight {
			names = "any"
		}
		node(t, r, "http2.mjs", "NAMES="+names)
		r.trailed(t, 2*len(strings.Split(names, ",")), r.web, r.either, r.clear)
	})
}

func TestNodeGRPC(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		plain, secure := r.grpcAt()
		node(t, r, "grpc.mjs", "GRPC="+plain, "GRPC_TLS="+secure, "STRAIGHT="+strconv.FormatBool(r.straight))
	})
}

func TestNodeWebSocket(t *testing.T) {
	each(t, func(t *testing.T, r *rig) { node(t, r, "websocket.mjs") })
}

// trailed counts the requests that came with the trailer of the test.
func (r *rig) trailed(t *testing.T, want int, far ...*upstream.Upstream) {
	t.Helper()
	n := 0
	for _, up := range far {
		for _, seen := range up.Requests() {
			if len(seen.Trailers) == 1 && strings.EqualFold(seen.Trailers[0], "x-mine: 1") {
				n++
			}
		}
	}
	if n != want {
		t.Errorf("%d requests arrived with their trailers, not %d", n, want)
	}
}
