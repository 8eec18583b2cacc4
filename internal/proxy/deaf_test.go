package proxy

import (
	"net/http"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// A connection of HTTP/2 over which nothing has come for a request that was given up takes no other.
func TestDeafConnectionsTakeNoMore(t *testing.T) {
	far := testkit.HTTP2Fault(t, upstream.HTTP2FaultConfig{Kind: upstream.Deaf, First: 1})
	b := service("a", far.Addr())
	b.Protocol = plan.HTTP2
	r := newRig(t, tuned(func(s *policy.Settings) { s.Timeouts.FirstByte = 600 * time.Millisecond }), b)
	if res, body := r.do("POST", "/0/x", "{}"); res.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, body := r.do("POST", "/0/x", "{}"); res.StatusCode != http.StatusOK {
		t.Errorf("the second: %d %s", res.StatusCode, body)
	}
}
