package translate

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/source"
)

func calls(name string, hostnames ...gwapiv1.Hostname) *gwapiv1.GRPCRoute {
	like := path(name, "/")
	return &gwapiv1.GRPCRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: name},
		Spec: gwapiv1.GRPCRouteSpec{
			CommonRouteSpec: like.Spec.CommonRouteSpec, Hostnames: hostnames,
			Rules: []gwapiv1.GRPCRouteRule{{BackendRefs: []gwapiv1.GRPCBackendRef{{BackendRef: like.Spec.Rules[0].BackendRefs[0].BackendRef}}}},
		},
	}
}

// A contest runs again for every route of its Gateway, and only the routes whose fate it changes run after it. Without
// GRPCRoutes there is none.
func TestAContestRunsWhomItConcerns(t *testing.T) {
	s := estate(0)
	for i := range 50 {
		route := path(fmt.Sprintf("route-%04d", i), "/")
		route.Spec.Hostnames = []gwapiv1.Hostname{gwapiv1.Hostname(fmt.Sprintf("h%d.test", i))}
		put(s, "HTTPRoute", route)
	}
	translator := New(Config{Now: func() time.Time { return epoch }})
	translator.Apply(s)
	f := func(what string, next *source.Snapshot, contests, routes, rules int) {
		t.Helper()
		result := translator.Apply(next)
		if runs := translator.Runs(); runs["contests"] != contests || runs["routes"] != routes || len(result.Plan.Rules) != rules {
			t.Errorf("%s: %d rules, %v", what, len(result.Plan.Rules), runs)
		}
		if diff := cmp.Diff(text(t, New(Config{Now: func() time.Time { return epoch }}).Apply(next)), text(t, result)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		s = next
	}
	f("a GRPCRoute that precedes two", change(s, "GRPCRoute", calls("a", "h1.test", "h2.test")), 1, 3, 49)
	f("one that another precedes", change(s, "GRPCRoute", calls("z", "h3.test")), 1, 1, 49)
	f("one that shares nothing", change(s, "GRPCRoute", calls("z", "other.test")), 1, 1, 50)
	f("an HTTPRoute among them", change(s, "HTTPRoute", path("zz", "/")), 1, 1, 50)
	apart := path("route-0001", "/")
	apart.Spec.Hostnames = []gwapiv1.Hostname{"apart.test"}
	f("an HTTPRoute that gives way", change(s, "HTTPRoute", apart), 1, 1, 51)
	gone := &source.Snapshot{Objects: maps.Clone(s.Objects)}
	delete(gone.Objects, "GRPCRoute/ai/a")
	f("a GRPCRoute that goes", gone, 1, 2, 51) // route-0002 comes back, and zz yields to another
	gone = &source.Snapshot{Objects: maps.Clone(s.Objects)}
	delete(gone.Objects, "GRPCRoute/ai/z")
	f("the last that goes", gone, 1, 1, 51)
	f("an HTTPRoute then", change(s, "HTTPRoute", path("zz", "/new")), 0, 1, 51)
}
