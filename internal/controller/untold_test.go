package controller

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/problem"
)

// TestUntold: what has no status is logged, once while it lasts, and so many a minute.
func TestUntold(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	u := newUntold(slog.New(slog.NewTextHandler(&log, nil)))
	u.now = func() time.Time { return now }
	lines := func(problems ...problem.Problem) int {
		t.Helper()
		log.Reset()
		u.tell(problems)
		return strings.Count(log.String(), "\n")
	}
	of := func(object string) problem.Problem {
		return problem.Problem{Object: object, Field: "spec.ports[0]", Message: "port 80 has 10001 endpoints"}
	}
	one := of("Service/ai/web")
	if n := lines(one, of("Gateway/ai/egress")); n != 1 || !strings.Contains(log.String(), "object=Service/ai/web field=spec.ports[0]") {
		t.Errorf("a Service, and a Gateway, which has a status: %q", log.String())
	}
	if n := lines(one); n != 0 {
		t.Errorf("again: %d lines", n)
	}
	if lines(); lines(one) != 1 {
		t.Error("it was mended, and is not told of anew")
	}
	many := []problem.Problem{one}
	for i := range 2 * untoldOnce {
		many = append(many, of(fmt.Sprintf("EndpointSlice/ai/web-%d", i)))
	}
	if n := lines(many...); n != untoldOnce-2+1 || !strings.Contains(log.String(), "and others") {
		t.Errorf("many: %d lines", n)
	}
	if n := lines(many...); n != 0 {
		t.Errorf("many again: %d lines", n)
	}
	now = now.Add(untoldEvery)
	if n := lines(many...); n != untoldOnce+1 {
		t.Errorf("many, a minute later: %d lines", n)
	}
}
