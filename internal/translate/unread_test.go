package translate

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// TestUnread: a route and a Backend that could not be read say so in their status, the one serves nothing and the other
// closes; and nothing of that is left once they can be.
func TestUnread(t *testing.T) {
	const route, backend, why = "HTTPRoute/ai/other", "Backend/ai/openai", "the object does not fit its type at spec.x"
	translator := New(Config{Kinds: kinds()})
	whole := estate(1)
	put(whole, "HTTPRoute", path("other", "/other"))
	unread := &source.Snapshot{Objects: map[string]source.Object{}, Unread: map[string]string{route: why, backend: why}}
	for key, object := range whole.Objects {
		unread.Objects[key] = object
	}
	put(unread, "HTTPRoute", &gwapiv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "other", Generation: 3},
		Spec:       gwapiv1.HTTPRouteSpec{CommonRouteSpec: gwapiv1.CommonRouteSpec{ParentRefs: []gwapiv1.ParentReference{{Name: "egress"}}}},
		Status:     gwapiv1.HTTPRouteStatus{RouteStatus: gwapiv1.RouteStatus{Parents: []gwapiv1.RouteParentStatus{{ControllerName: "example.com/other"}}}},
	})
	put(unread, "Backend", &v1alpha1.Backend{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "openai", Generation: 3}})
	says := func(what string, list []metav1.Condition, reason string, generation int64) {
		t.Helper()
		is := meta.FindStatusCondition(list, attach.Accepted)
		if is == nil || is.Status != metav1.ConditionFalse || is.Reason != reason || !strings.Contains(is.Message, "spec: "+why) || is.ObservedGeneration != generation {
			t.Errorf("%s: %+v", what, is)
		}
	}
	for range 2 { // and back
		result := translator.Apply(unread)
		parents := statusOf(t, result, route).Parents
		if len(parents) != 2 || parents[0].ControllerName != "example.com/other" {
			t.Fatalf("parents %+v", parents)
		}
		says("the route", parents[1].Conditions, string(gwapiv1.RouteReasonUnsupportedValue), 3)
		says("the Backend", statusOf(t, result, backend).Ancestors[0].Conditions, string(gwapiv1.PolicyReasonInvalid), 3)
		if n := statusOf(t, result, "Gateway/ai/egress").Listeners[0].AttachedRoutes; len(result.Plan.Rules) != 1 || n != 1 {
			t.Errorf("%d rules, %d routes attached", len(result.Plan.Rules), n)
		}
		if b := result.Plan.Backends[0]; b.Name != backend || b.Fault == nil || !strings.Contains(b.Fault.Message, why) {
			t.Errorf("the Backend in the plan: %+v", b)
		}
		result = translator.Apply(whole)
		for _, list := range [][]metav1.Condition{statusOf(t, result, route).Parents[0].Conditions, statusOf(t, result, backend).Ancestors[0].Conditions} {
			if !meta.IsStatusConditionTrue(list, attach.Accepted) {
				t.Errorf("once it can be read: %+v", list)
			}
		}
		if len(result.Plan.Rules) != 2 || result.Plan.Backends[0].Fault != nil {
			t.Errorf("once they can be read: %d rules, %+v", len(result.Plan.Rules), result.Plan.Backends[0].Fault)
		}
	}
	gone := &source.Snapshot{Objects: map[string]source.Object{}}
	translator.Apply(unread)
	translator.Apply(gone)
	if _, left := translator.inputs.Unread.Peek(backend); left {
		t.Error("why it could not be read stays when it is gone")
	}
}
