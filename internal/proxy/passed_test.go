package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// TestLoopsAreRefused: whoever sends it, a request whose Via has this gateway's name has been here.
func TestLoopsAreRefused(t *testing.T) {
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(1)})
	r := newRig(t, nil, service("far", far.Addr()))
	g := *r.plan.Gateways[0]
	g.HopName = "edge-1"
	r.plan.Gateways[0] = &g
	r.update()
	f := func(via string, status int) {
		t.Helper()
		answer := r.raw("GET /0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nVia: " + via + "\r\n\r\n")
		if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) {
			t.Errorf("Via %q: %.40q", via, answer)
		}
		if e := r.seen.last(t); e.status != status || (e.reason == exchange.LoopDetected) != (status == 508) {
			t.Errorf("Via %q: logged %+v", via, e)
		}
	}
	f("1.1 edge-1", 508)
	f("1.1 other, 2 EDGE-1 (x)", 508)
	f("1.1 edge-2", 200)
	f("1.1 t/g", 200)
	if n := far.Heads(); n != 2 {
		t.Errorf("%d requests left, want 2", n)
	}
	if got := strings.Join(far.Requests()[0].Values("Via"), ", "); got != "1.1 edge-2, 1.1 edge-1" {
		t.Errorf("the far side saw Via %s", got)
	}
}

// TestNamesOfGatewaysDiffer: by process and by Gateway, where nobody has named them.
func TestNamesOfGatewaysDiffer(t *testing.T) {
	one, other := newRig(t, nil), newRig(t, nil)
	a, b := &plan.Gateway{Name: "ai/egress"}, &plan.Gateway{Name: "ai/other"}
	names := map[string]bool{one.hopName(a): true, one.hopName(b): true, other.hopName(a): true}
	if len(names) != 3 || !names[one.hopName(a)] {
		t.Errorf("%v", names)
	}
	if got := one.hopName(&plan.Gateway{Name: "ai/egress", HopName: "edge-1"}); got != "edge-1" {
		t.Errorf("a named one is %s", got)
	}
}
