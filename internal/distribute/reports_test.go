package distribute

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
)

func (r *rig) heard() told {
	r.t.Helper()
	select {
	case t := <-r.reports:
		return t
	case <-time.After(hang):
		r.t.Fatalf("no report comes; the log:\n%s", r.log)
		return told{}
	}
}

func denial(route, policy string, n int64) report.Denial {
	return report.Denial{Cause: report.Cause{Route: route, Policy: policy, Reason: exchange.HostDenied}, Count: n}
}

// A proxy speaks for its own Gateway, of what that has, and every proxy for itself.
func TestReports(t *testing.T) {
	r := newRig(t)
	r.publish(configured(1))
	asked := make(chan struct{}, 1)
	var asks int
	share := func(n float64) []report.Backend {
		return []report.Backend{{Name: "Backend/a/llm", Share: n}, {Name: "Backend/b/llm", Share: 0}}
	}
	r.reporting("token-of-a/gw", nil, func() *report.Report {
		select {
		case asked <- struct{}{}:
		default:
		}
		if asks++; asks > 1 {
			return &report.Report{Backends: share(0.5)}
		}
		return &report.Report{Uncounted: 2, Backends: share(1), Expiries: []report.Expiry{{Secret: "Secret/a/key", Until: 1}, {Secret: "Secret/b/key", Until: 1}}, Denials: []report.Denial{
			denial("HTTPRoute/a/r0000", "", 3), denial("HTTPRoute/b/r0000", "", 4), denial("HTTPRoute/a/r0000", "CredentialInjector/b/key", 5),
			denial("HTTPRoute/a/r0000", "CredentialInjector/a/key", 6), denial("", "", 7),
		}}
	})
	want := &report.Report{
		Denials:   []report.Denial{denial("HTTPRoute/a/r0000", "", 3), denial("HTTPRoute/a/r0000", "CredentialInjector/a/key", 6), denial("", "", 7)},
		Uncounted: 2, Backends: share(1)[:1], Expiries: []report.Expiry{{Secret: "Secret/a/key", Until: 1}},
	}
	first := r.heard()
	if diff := cmp.Diff(want, first.report); diff != "" || first.gateway != "a/gw" {
		t.Errorf("%s: %s", first.gateway, diff)
	}
	second := r.heard()
	if diff := cmp.Diff(&report.Report{Denials: []report.Denial{}, Backends: share(0.5)[:1]}, second.report, cmp.Comparer(func(a, b []report.Denial) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" || second.stream != first.stream {
		t.Errorf("stream %d, before %d: %s", second.stream, first.stream, diff)
	}
	for range 20 { // what it says has not changed, and is not said
		<-asked
	}
	select {
	case more := <-r.reports:
		t.Errorf("said again: %+v", more.report)
	default:
	}

	r.reporting("token-of-a/gw", nil, func() *report.Report { return &report.Report{Backends: share(0)} })
	other := r.heard()
	if other.gateway != "a/gw" || other.stream == first.stream {
		t.Errorf("another proxy of %s is stream %d", other.gateway, other.stream)
	}
	r.stop()
	ended := map[uint64]bool{}
	for range 2 {
		end := r.heard()
		ended[end.stream] = end.report == nil
	}
	if !ended[first.stream] || !ended[other.stream] {
		t.Errorf("%d and %d have ended, told was %v", first.stream, other.stream, ended)
	}
}

// A proxy tells on after the controller was away, and what it counted meanwhile is not lost.
func TestReportsGoOnAfterTheControllersAbsence(t *testing.T) {
	r := newRig(t)
	r.publish(configured(1))
	var tally report.Tally
	r.reporting("token-of-a/gw", nil, func() *report.Report {
		denials, uncounted := tally.Take()
		return &report.Report{Denials: denials, Uncounted: uncounted}
	})
	r.heard()
	r.stop()
	r.logged("no connection to the controller", 1) // what it counted before may have gone with the connection
	tally.Denied("HTTPRoute/a/r0000", "", exchange.HostDenied)
	r.start()
	r.publish(configured(1))
	for {
		if got := r.heard(); got.report != nil && len(got.report.Denials) > 0 {
			if got.report.Denials[0].Count != 1 {
				t.Errorf("%+v", got.report)
			}
			return
		}
	}
}

func (r *rig) teller(header string) grpc.ClientStream {
	r.t.Helper()
	conn, ctx := r.connection(header)
	stream, err := conn.NewStream(ctx, &reportsService.Streams[0], "/"+reportsName+"/"+reportsStream)
	if err != nil {
		r.t.Fatal(err)
	}
	return stream
}

func TestStrangersReports(t *testing.T) {
	r := newRig(t)
	r.streams = 1
	r.stop()
	r.start()
	r.publish(configured(1))
	f := func(what, header string, message []byte, want codes.Code) {
		t.Helper()
		stream := r.teller(header)
		_ = stream.SendMsg(wrapperspb.Bytes(message)) // what is wrong comes with the answer
		if err := stream.RecvMsg(&wrapperspb.BytesValue{}); status.Code(err) != want || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	const token = "Bearer token-of-a/gw"
	f("no token", "", []byte("{}"), codes.Unauthenticated)
	f("a wrong token", "Bearer wrong", []byte("{}"), codes.Unauthenticated)
	f("no JSON", token, []byte(secretText), codes.InvalidArgument)
	r.heard()
	f("too long a report", token, []byte(`{"uncounted":`+strings.Repeat("1", report.MaxBytes)+`}`), codes.InvalidArgument)
	r.heard()
	f("too long a message", token, make([]byte, maxRequest+1), codes.ResourceExhausted)
	r.heard()
	if err := r.teller(token).SendMsg(wrapperspb.Bytes([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if got := r.heard(); got.report == nil || len(got.report.Denials)+len(got.report.Backends) > 0 {
		t.Errorf("%+v", got)
	}
	f("one too many", token, []byte("{}"), codes.ResourceExhausted)
}

// However fast a proxy tells, it is not read faster than it should be.
func TestAProxyIsReadInItsTime(t *testing.T) {
	r := newRig(t)
	r.stop()
	r.pause = time.Hour
	r.start()
	r.publish(configured(1))
	stream := r.teller("Bearer token-of-a/gw")
	for range 100 {
		if err := stream.SendMsg(wrapperspb.Bytes([]byte("{}"))); err != nil {
			t.Fatal(err)
		}
	}
	r.heard()
	r.stop()
	if end := r.heard(); end.report != nil {
		t.Errorf("a second one was read: %+v", end)
	}
}

// Nothing is known of a Gateway that has no plan, and so nothing told of it is believed.
func TestReportsWithoutAPlan(t *testing.T) {
	r := newRig(t)
	stream := r.teller("Bearer token-of-a/gw")
	if err := stream.SendMsg(wrapperspb.Bytes([]byte(`{"uncounted":1}`))); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := r.heard(); got.report != nil {
		t.Errorf("told before a plan: %+v", got.report)
	}
	r.publish(&plan.Plan{})
	stream = r.teller("Bearer token-of-a/gw")
	if err := stream.SendMsg(wrapperspb.Bytes([]byte(`{"backends":[{"name":"Backend/a/llm","share":0}]}`))); err != nil {
		t.Fatal(err)
	}
	if got := r.heard(); got.report == nil || len(got.report.Backends) > 0 {
		t.Errorf("told of a Gateway that is not there: %+v", got.report)
	}
}

// A controller that takes no reports, as an older one, is asked once a connection.
func TestAControllerWithoutReports(t *testing.T) {
	r := newRig(t)
	r.reports = nil
	r.stop()
	r.start()
	r.publish(configured(1))
	r.reporting("token-of-a/gw", nil, func() *report.Report { return &report.Report{Uncounted: 1} }).next()
	r.logged("the controller takes no reports", 1)
	r.until("a/gw", all(1))
}
