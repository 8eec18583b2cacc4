package status

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	routes    = schema.GroupVersionResource{Group: gwapiv1.GroupName, Version: "v1", Resource: "httproutes"}
	resources = map[string]schema.GroupVersionResource{
		"HTTPRoute": routes, "Gateway": {Group: gwapiv1.GroupName, Version: "v1", Resource: "gateways"},
	}
	long = metav1.NewTime(time.Unix(1_700_000_000, 0))
)

func accepted(status metav1.ConditionStatus) []metav1.Condition {
	return []metav1.Condition{{Type: attach.Accepted, Status: status, Reason: "Accepted", ObservedGeneration: 3, LastTransitionTime: long}}
}

func entry(controller gwapiv1.GatewayController, status metav1.ConditionStatus) gwapiv1.RouteParentStatus {
	return gwapiv1.RouteParentStatus{ParentRef: gwapiv1.ParentReference{Name: "egress"}, ControllerName: controller, Conditions: accepted(status)}
}

func route(parents ...gwapiv1.RouteParentStatus) *gwapiv1.HTTPRoute {
	return &gwapiv1.HTTPRoute{
		TypeMeta:   metav1.TypeMeta{APIVersion: routes.GroupVersion().String(), Kind: "HTTPRoute"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "chat", ResourceVersion: "7"},
		Status:     gwapiv1.HTTPRouteStatus{RouteStatus: gwapiv1.RouteStatus{Parents: parents}},
	}
}

// server answers patches of statuses, and keeps them.
type server struct {
	mu      sync.Mutex
	patches []string
	answers []error // to the next patches; then all is well
}

func (s *server) patch(t *testing.T, action clienttesting.Action) error {
	p := action.(clienttesting.PatchAction)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.GetSubresource() != "status" {
		t.Errorf("patched %q", p.GetSubresource())
	}
	s.patches = append(s.patches, string(p.GetPatch()))
	if len(s.answers) == 0 {
		return nil
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	return err
}

// settle has a Writer look at one object until nothing is left to do, and gives what it wrote.
func (s *server) settle(t *testing.T, key string, object source.Object, wanted ...*translate.Status) (written []map[string]any) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme())
		client.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
			return true, &unstructured.Unstructured{}, s.patch(t, action)
		})
		w := New(client, func(kind string) (schema.GroupVersionResource, bool) { g, ok := resources[kind]; return g, ok }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		w.Set(&source.Snapshot{Objects: map[string]source.Object{key: object}}, wanted)
		time.Sleep(time.Hour)
		cancel()
		<-done
	})
	for _, p := range s.patches {
		var patch map[string]any
		if err := json.Unmarshal([]byte(p), &patch); err != nil {
			t.Fatal(err)
		}
		written = append(written, patch)
	}
	return written
}

func wantedRoute(parents ...gwapiv1.RouteParentStatus) *translate.Status {
	return &translate.Status{Object: "HTTPRoute/ai/chat", Parents: parents}
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	const foreign = "example.com/other"
	f := func(name string, is *gwapiv1.HTTPRoute, wanted *translate.Status, controllers ...string) {
		t.Helper()
		var statuses []*translate.Status
		if wanted != nil {
			statuses = append(statuses, wanted)
		}
		got := new(server).settle(t, "HTTPRoute/ai/chat", is, statuses...)
		if len(controllers) == 0 {
			if len(got) > 0 {
				t.Errorf("%s: wrote %v", name, got)
			}
			return
		}
		if len(got) != 1 {
			t.Fatalf("%s: wrote %v", name, got)
		}
		var names []string
		for _, e := range got[0]["status"].(map[string]any)["parents"].([]any) {
			names = append(names, e.(map[string]any)["controllerName"].(string))
		}
		if diff := cmp.Diff(controllers, names); diff != "" || got[0]["metadata"].(map[string]any)["resourceVersion"] != "7" {
			t.Errorf("%s: %s%v", name, diff, got[0])
		}
	}
	ours, theirs := entry(attach.Controller, metav1.ConditionTrue), entry(foreign, metav1.ConditionTrue)
	refused := entry(attach.Controller, metav1.ConditionFalse)
	f("a new status", route(), wantedRoute(ours), string(attach.Controller))
	f("beside another's", route(theirs), wantedRoute(theirs, ours), foreign, string(attach.Controller))
	f("another's that nobody here has seen", route(theirs), wantedRoute(ours), foreign, string(attach.Controller))
	f("a changed one", route(ours, theirs), wantedRoute(theirs, refused), foreign, string(attach.Controller))
	f("no longer ours", route(ours, theirs), nil, foreign)
	f("right already", route(theirs, ours), wantedRoute(theirs, ours))
	f("right already, in another order", route(ours, theirs), wantedRoute(theirs, ours))
	f("none of our business", route(theirs), nil)
}

func TestConditionsOfOthersStay(t *testing.T) {
	g := &gwapiv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "egress", ResourceVersion: "7"}}
	g.Status.Conditions = append(accepted(metav1.ConditionFalse), metav1.Condition{Type: "example.com/Scanned", Status: metav1.ConditionTrue},
		metav1.Condition{Type: "ebbgate.dev/Degraded", Status: metav1.ConditionTrue})
	got := new(server).settle(t, "Gateway/ai/egress", g, &translate.Status{Object: "Gateway/ai/egress", Conditions: accepted(metav1.ConditionTrue)})
	if len(got) != 1 {
		t.Fatalf("wrote %v", got)
	}
	var types []string
	for _, c := range got[0]["status"].(map[string]any)["conditions"].([]any) {
		types = append(types, c.(map[string]any)["type"].(string))
	}
	if diff := cmp.Diff([]string{"example.com/Scanned", attach.Accepted}, types); diff != "" {
		t.Error(diff)
	}
}

func TestWritingIsTriedAgain(t *testing.T) {
	r := new(server)
	conflict := apierrors.NewConflict(routes.GroupResource(), "chat", nil)
	r.answers = []error{conflict, apierrors.NewInternalError(context.DeadlineExceeded), conflict}
	if got := r.settle(t, "HTTPRoute/ai/chat", route(), wantedRoute(entry(attach.Controller, metav1.ConditionTrue))); len(got) != 4 {
		t.Errorf("%d tries", len(got))
	}
	r = new(server)
	r.answers = []error{apierrors.NewNotFound(routes.GroupResource(), "chat")}
	if got := r.settle(t, "HTTPRoute/ai/chat", route(), wantedRoute(entry(attach.Controller, metav1.ConditionTrue))); len(got) != 1 {
		t.Errorf("%d tries for what is gone", len(got))
	}
}
