package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/report"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
)

func denied(route, policy string, reason exchange.Reason, n int64) *report.Report {
	return &report.Report{Denials: []report.Denial{{Cause: report.Cause{Route: route, Policy: policy, Reason: reason}, Count: n}}}
}

func stands(backend string, share float64) *report.Report {
	return &report.Report{Backends: []report.Backend{{Name: backend, Share: share}}}
}

// events are those of an object of a kind with a reason.
func (c *cluster) events(kind, reason string) (list []eventsv1.Event) {
	c.t.Helper()
	all, err := c.typed().EventsV1().Events(c.namespace).List(c.t.Context(), metav1.ListOptions{})
	must(c.t, err)
	for _, e := range all.Items {
		if e.Regarding.Kind == kind && e.Reason == reason {
			list = append(list, e)
		}
	}
	return list
}

// event waits until there is one Event of so many denials.
func (c *cluster) event(kind, reason string, count int32) eventsv1.Event {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		list := c.events(kind, reason)
		if len(list) == 1 && times(list[0]) == count {
			return list[0]
		}
		if time.Now().After(end) {
			c.t.Fatalf("no Event %s of %d: %+v", reason, count, list)
		}
	}
}

// times is how often an Event was.
func times(e eventsv1.Event) int32 {
	if e.Series == nil {
		return 1
	}
	return e.Series.Count
}

// TestReplicasAreMerged: every proxy counts until it has ended, and denials add up.
func TestReplicasAreMerged(t *testing.T) {
	r := newReports()
	f := func(backend string, want translate.Health) {
		t.Helper()
		all, sure := r.health()
		if got := all[translate.Reach{Backend: backend, Gateway: "ai/egress"}]; got != want || sure {
			t.Errorf("%s: %+v, want %+v", backend, got, want)
		}
	}
	const openai, other = "Backend/ai/openai", "Backend/ai/other"
	r.take("ai/egress", 1, &report.Report{Backends: []report.Backend{{Name: openai, Share: 1}, {Name: other, Share: 0}}})
	r.take("ai/egress", 2, stands(openai, 0))
	r.take("ai/egress", 3, stands(openai, 0.5))
	r.take("ai/second", 4, stands(openai, 0))
	f(openai, translate.Health{Proxies: 3, Out: 1, Returning: 1})
	f(other, translate.Health{Proxies: 1, Out: 1})
	r.take("ai/egress", 2, stands(openai, 1))
	f(openai, translate.Health{Proxies: 3, Returning: 1})
	for stream := range uint64(4) {
		r.take("ai/egress", stream, nil)
	}
	f(openai, translate.Health{})

	r.take("ai/egress", 1, denied("HTTPRoute/ai/chat", "", exchange.HostDenied, 2))
	r.take("ai/egress", 2, denied("HTTPRoute/ai/chat", "", exchange.HostDenied, 3))
	r.take("ai/second", 3, denied("HTTPRoute/ai/chat", "", exchange.HostDenied, 4))
	of := report.Cause{Route: "HTTPRoute/ai/chat", Reason: exchange.HostDenied}
	if diff := cmp.Diff(map[cause]int64{{"ai/egress", of}: 5, {"ai/second", of}: 4}, r.denied(), cmp.AllowUnexported(cause{})); diff != "" {
		t.Error(diff)
	}
	if again := r.denied(); len(again) > 0 {
		t.Errorf("told twice: %v", again)
	}
	for i := range 2 * maxCauses {
		r.take("ai/egress", 1, denied(fmt.Sprintf("HTTPRoute/ai/%d", i), "", exchange.HostDenied, 1))
	}
	r.take("ai/second", 3, denied("HTTPRoute/ai/chat", "", exchange.HostDenied, 4))
	got := r.denied()
	if n := len(got); n != maxCauses+1 || got[cause{"ai/second", of}] != 4 {
		t.Errorf("%d causes wait", n)
	}
}

// TestExpiries: a certificate that ends soon is told of once an hour, for all proxies that have it, and no other.
func TestExpiries(t *testing.T) {
	r, now := newReports(), time.Unix(1_800_000_000, 0)
	until := func(secret string, left time.Duration) report.Expiry {
		return report.Expiry{Secret: "Secret/ai/" + secret, Until: now.Add(left).Unix()}
	}
	for stream := range uint64(2) {
		r.take("ai/egress", stream, &report.Report{Expiries: []report.Expiry{until("ended", -time.Hour), until("soon", 6*24*time.Hour), until("late", 8*24*time.Hour)}})
	}
	f := func(what string, at time.Time, want ...string) {
		t.Helper()
		all := map[cause]int64{}
		for _, secret := range want {
			all[cause{"ai/egress", report.Cause{Policy: "Secret/ai/" + secret, Reason: certificateExpires}}] = 1
		}
		if diff := cmp.Diff(all, r.expires(at), cmp.AllowUnexported(cause{})); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	f("at first", now, "ended", "soon")
	f("at once", now.Add(time.Minute))
	f("an hour later", now.Add(time.Hour), "ended", "soon")
	r.take("ai/egress", 0, nil)
	r.take("ai/egress", 1, &report.Report{Expiries: []report.Expiry{until("ended", 90*24*time.Hour)}})
	f("renewed", now.Add(4*time.Hour))
	if len(r.expired) > 0 {
		t.Errorf("remembered for ever: %v", r.expired)
	}
}

// TestEvents: there is one Event for each route, policy and reason, it counts on whoever leads, and comes again when
// Kubernetes has forgotten it.
func TestEvents(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	route, policy := "HTTPRoute/"+c.namespace+"/chat", "EgressPolicy/"+c.namespace+"/openai"
	object := func(key string) source.Object {
		parts := strings.Split(key, "/")
		if resources[parts[0]].Resource == "" || parts[2] == "gone" {
			return nil
		}
		return c.get(parts[0], parts[2])
	}
	leader := func() *events {
		e := newEvents(c.typed(), "one", slog.New(slog.DiscardHandler), object)
		e.every = 0
		return e
	}
	gateway := c.namespace + "/egress"
	of := func(policy string, reason exchange.Reason, n int64) map[cause]int64 {
		return map[cause]int64{{gateway, report.Cause{Route: route, Policy: policy, Reason: reason}}: n}
	}
	one := leader()
	one.write(t.Context(), of(policy, exchange.RequestNotAllowed, 1))
	first := c.event("HTTPRoute", "RequestNotAllowed", 1)
	if first.Related == nil || first.Related.Kind != "EgressPolicy" || first.Regarding.UID != c.get("HTTPRoute", "chat").GetUID() || first.Type != "Warning" ||
		!strings.Contains(first.Note, "EgressPolicy "+c.namespace+"/openai") || first.ReportingController != "ebbgate.dev/egress-gateway" {
		t.Errorf("%+v", first)
	}
	one.write(t.Context(), of(policy, exchange.RequestNotAllowed, 4))
	if got := c.event("HTTPRoute", "RequestNotAllowed", 5); got.UID != first.UID {
		t.Error("it is another Event")
	}
	one.write(t.Context(), nil)
	c.event("HTTPRoute", "RequestNotAllowed", 5)
	one.write(t.Context(), of("", exchange.AddressDenied, 7))
	c.event("HTTPRoute", "AddressDenied", 7)
	one.write(t.Context(), map[cause]int64{{gateway, report.Cause{Policy: "Secret/" + c.namespace + "/tls", Reason: certificateExpires}}: 1})
	if got := c.event("Gateway", "CertificateExpires", 1); !strings.Contains(got.Note, "Secret "+c.namespace+"/tls") || strings.Contains(got.Note, "denied") {
		t.Errorf("%+v", got)
	}

	other := leader()
	other.write(t.Context(), of(policy, exchange.RequestNotAllowed, 2))
	if got := c.event("HTTPRoute", "RequestNotAllowed", 7); got.UID != first.UID {
		t.Error("the other's is another Event")
	}

	must(t, c.typed().EventsV1().Events(c.namespace).Delete(t.Context(), first.Name, metav1.DeleteOptions{}))
	other.write(t.Context(), of(policy, exchange.RequestNotAllowed, 3))
	other.write(t.Context(), nil)
	c.event("HTTPRoute", "RequestNotAllowed", 3)

	other.write(t.Context(), map[cause]int64{
		{gateway, report.Cause{Reason: exchange.RouteNotFound}}:                                              2,
		{gateway, report.Cause{Route: "HTTPRoute/" + c.namespace + "/gone", Reason: exchange.RouteNotFound}}: 2,
	})
	c.event("Gateway", "RouteNotFound", 2)
	if list := c.events("HTTPRoute", "RouteNotFound"); len(list) > 0 {
		t.Errorf("of a route that is gone: %v", list)
	}
}

// TestEventsOfWhatIsBeingDeleted: a namespace that takes no Events any more is told of once, and asked no more often than
// something is denied.
func TestEventsOfWhatIsBeingDeleted(t *testing.T) {
	c := newCluster(t)
	must(t, c.typed().CoreV1().Namespaces().Delete(t.Context(), c.namespace, metav1.DeleteOptions{})) // nobody empties it
	var log bytes.Buffer
	e := newEvents(c.typed(), "one", slog.New(slog.NewTextHandler(&log, nil)), func(string) source.Object {
		return &gwapiv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "r"}}
	})
	e.every = 0
	denied := map[cause]int64{}
	for _, reason := range []exchange.Reason{exchange.HostDenied, exchange.AddressDenied} {
		denied[cause{"ai/egress", report.Cause{Route: "HTTPRoute/ai/r", Reason: reason}}] = 1
	}
	for range 3 {
		e.write(t.Context(), denied)
		e.write(t.Context(), nil)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "no more Events in a namespace that is being deleted\" namespace="+c.namespace) {
		t.Errorf("it said %q", text)
	}
	for c, s := range e.series {
		if s.count != 3 || s.written != 3 {
			t.Errorf("%v: %d counted, %d told or dropped", c, s.count, s.written)
		}
	}
}

// TestEventsAreBounded: neither their number nor how many are written at one time grows with what is told.
func TestEventsAreBounded(t *testing.T) {
	c := newCluster(t)
	e := newEvents(c.typed(), strings.Repeat("long", 100), slog.New(slog.DiscardHandler), func(string) source.Object {
		return &gwapiv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: strings.Repeat("n", 253)}}
	})
	many := map[cause]int64{}
	for i := range 2 * maxSeries {
		many[cause{"ai/egress", report.Cause{Route: "HTTPRoute/ai/r", Policy: fmt.Sprintf("EgressPolicy/ai/%d", i), Reason: exchange.HostDenied}}] = 1 << 40
	}
	other := cause{"ai/second", report.Cause{Route: "HTTPRoute/ai/r", Reason: exchange.HostDenied}}
	e.write(t.Context(), many)
	e.count(map[cause]int64{other: 1}, time.Now())
	if len(e.series) != maxSeries+1 || e.series[other] == nil {
		t.Errorf("%d series", len(e.series))
	}
	list, err := c.typed().EventsV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(list.Items) != eventsOnce {
		t.Errorf("%d Events at one time", len(list.Items))
	}
	for _, s := range e.series {
		s.seen = s.seen.Add(-2 * seriesIdle)
		s.written = s.count
	}
	if e.write(t.Context(), nil); len(e.series)+len(e.of) > 0 {
		t.Errorf("%d series are there for ever", len(e.series))
	}
}

// healthy is what a Backend's status says of how it stands.
func healthy(reason string) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool {
		is := meta.FindStatusCondition(conditions(u), "ebbgate.dev/Healthy")
		if is == nil || reason == "" {
			return is == nil && reason == ""
		}
		return is.Reason == reason
	}
}

// TestProxiesReport: what two proxies tell of their Gateway's backend is its status, what they deny an Event of their route;
// what a proxy tells of another Gateway's is nothing; and a status outlives the controller that wrote it.
func TestProxiesReport(t *testing.T) {
	c := newCluster(t)
	c.apply(manifests)
	c.apply(strings.NewReplacer("name: openai}", "name: foreign}", "name: chat}", "name: foreign}", "name: egress}", "name: other}").Replace(
		manifests[strings.Index(manifests, "---")+4 : strings.LastIndex(manifests, "---")]))
	leader := c.replica("one")
	c.until("Deployment", "egress-ebbgate", "running", replicas(2))
	set := c.set("egress-ebbgate")
	proxies := make([]*proxy, 2)
	tokens := make([]string, 2)
	for i := range proxies {
		tokens[i] = c.token("egress-ebbgate", c.pod(set, nil), plan.TokenAudience)
		proxies[i] = c.proxy(leader, tokens[i])
	}
	backend, route := "Backend/"+c.namespace+"/openai", "HTTPRoute/"+c.namespace+"/chat"
	c.until("Backend", "openai", "without health", healthy(""))
	proxies[0].tells.Store(stands(backend, 1))
	c.until("Backend", "openai", "healthy", healthy("Healthy"))
	proxies[1].tells.Store(stands(backend, 0))
	c.until("Backend", "openai", "healthy in part", healthy("PartlyHealthy"))
	told := denied(route, "", exchange.AddressDenied, 2)
	told.Denials = append(told.Denials, denied("HTTPRoute/"+c.namespace+"/foreign", "", exchange.AddressDenied, 9).Denials...)
	told.Backends = append(stands(backend, 0).Backends, stands("Backend/"+c.namespace+"/foreign", 0).Backends...)
	proxies[0].tells.Store(told)
	was := c.until("Backend", "openai", "unhealthy", healthy("Unhealthy"))
	c.event("HTTPRoute", "AddressDenied", 2)
	if foreign := c.get("Backend", "foreign"); !healthy("")(foreign) {
		t.Errorf("believed of another Gateway's: %v", foreign.Object["status"])
	}

	next := c.replica("two")
	leader.end()
	for _, p := range proxies {
		p.stop()
	}
	again := c.proxy(next, tokens[0])
	select {
	case <-again.plans:
	case <-time.After(patience):
		t.Fatal("no plan came from the other")
	}
	c.apply(strings.Replace(manifests[strings.LastIndex(manifests, "---\n")+4:], "us-1", "eu-1", 1)) // which it has to see
	c.until("EgressPolicy", "openai", "seen by the other", is("Accepted", metav1.ConditionTrue))
	if is := c.get("Backend", "openai"); is.GetResourceVersion() != was.GetResourceVersion() {
		t.Errorf("the other says something else, and nobody has told it: %v", is.Object["status"])
	}
	again.tells.Store(stands(backend, 1))
	c.until("Backend", "openai", "healthy again", healthy("Healthy"))
}

// TestWhatNobodyTellsIsForgotten: once every proxy has had the time to tell, a status says nothing of what none does.
func TestWhatNobodyTellsIsForgotten(t *testing.T) {
	r := newReports()
	r.every, r.known = time.Hour, 0
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	r.run(ctx, func(context.Context, map[cause]int64) {}, func() {
		if _, sure := r.health(); !sure {
			t.Error("not sure, and told so")
		}
		cancel(enough)
	})
	if _, sure := r.health(); sure || !errors.Is(context.Cause(ctx), enough) {
		t.Error("sure of what there is after its lead")
	}
}
