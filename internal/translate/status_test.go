package translate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

func statusOf(t *testing.T, r *Result, object string) *Status {
	t.Helper()
	for _, s := range r.Statuses {
		if s.Object == object {
			return s
		}
	}
	t.Fatalf("no status of %s", object)
	return nil
}

func entries(controller gwapiv1.GatewayController, count int) []gwapiv1.PolicyAncestorStatus {
	var list []gwapiv1.PolicyAncestorStatus
	for i := range count {
		list = append(list, gwapiv1.PolicyAncestorStatus{
			AncestorRef: gwapiv1.ParentReference{Name: gwapiv1.ObjectName(fmt.Sprint("theirs-", i))}, ControllerName: controller,
			Conditions: []metav1.Condition{{Type: "Accepted", Status: "True", Reason: "Fine", LastTransitionTime: metav1.NewTime(epoch.Add(-time.Hour))}},
		})
	}
	return list
}

// A transition's time is the object's own where the status is the same, else now; and it does not move on its own.
func TestTransitionTimesAreKept(t *testing.T) {
	now := epoch
	translator := New(Config{Kinds: kinds(), Now: func() time.Time { return now }})
	s := estate(1)
	route := path("route-0000", "/0")
	early := metav1.NewTime(epoch.Add(-time.Hour))
	route.Status.Parents = []gwapiv1.RouteParentStatus{{
		ParentRef: gwapiv1.ParentReference{Name: "egress"}, ControllerName: attach.Controller,
		Conditions: []metav1.Condition{{Type: "Accepted", Status: "True", LastTransitionTime: early}, {Type: "ResolvedRefs", Status: "False", LastTransitionTime: early}},
	}}
	s = change(s, "HTTPRoute", route)
	f := func(next *source.Snapshot, accepted, resolved time.Time) {
		t.Helper()
		conditions := statusOf(t, translator.Apply(next), "HTTPRoute/ai/route-0000").Parents[0].Conditions
		if !conditions[0].LastTransitionTime.Time.Equal(accepted) || !conditions[1].LastTransitionTime.Time.Equal(resolved) {
			t.Errorf("accepted %v, resolved %v", conditions[0].LastTransitionTime, conditions[1].LastTransitionTime)
		}
	}
	f(s, early.Time, epoch)
	now = epoch.Add(time.Minute)
	broken := path("route-0000", "/0")
	broken.Spec.Rules[0].BackendRefs[0].Name = "missing"
	f(change(s, "HTTPRoute", broken), early.Time, now)
	now = epoch.Add(2 * time.Minute)
	broken = broken.DeepCopy()
	broken.Generation = 9
	f(change(s, "HTTPRoute", broken), early.Time, epoch.Add(time.Minute))
}

func TestEntriesOfOthersStay(t *testing.T) {
	theirs := gwapiv1.GatewayController("example.com/theirs")
	f := func(before []gwapiv1.PolicyAncestorStatus, wantTheirs, wantOurs int) {
		t.Helper()
		s := estate(1)
		backend := s.Objects["Backend/ai/openai"].(*v1alpha1.Backend)
		backend.Status.Ancestors = before
		got := statusOf(t, New(Config{Kinds: kinds()}).Apply(s), "Backend/ai/openai").Ancestors
		if len(got) != wantTheirs+wantOurs {
			t.Fatalf("%d entries, want %d and %d", len(got), wantTheirs, wantOurs)
		}
		for i := range wantTheirs {
			if diff := cmp.Diff(before[i], got[i]); diff != "" {
				t.Error(diff)
			}
		}
		for _, entry := range got[wantTheirs:] {
			if entry.ControllerName != attach.Controller || entry.AncestorRef.Name != "egress" {
				t.Errorf("%+v", entry)
			}
		}
	}
	f(nil, 0, 1)
	f(entries(theirs, 2), 2, 1)
	f(entries(theirs, 16), 16, 0)
	f(append(entries(theirs, 1), entries(attach.Controller, 3)...), 1, 1)
}

func TestParentsOfOthersStay(t *testing.T) {
	s := estate(0)
	route := path("r", "/")
	route.Status.Parents = []gwapiv1.RouteParentStatus{
		{ParentRef: gwapiv1.ParentReference{Name: "theirs"}, ControllerName: "example.com/theirs", Conditions: entries("", 1)[0].Conditions},
		{ParentRef: gwapiv1.ParentReference{Name: "gone"}, ControllerName: attach.Controller},
	}
	got := statusOf(t, New(Config{}).Apply(change(s, "HTTPRoute", route)), "HTTPRoute/ai/r").Parents
	if len(got) != 2 || got[1].ControllerName != attach.Controller || got[1].ParentRef.Name != "egress" {
		t.Fatalf("%+v", got)
	}
	if diff := cmp.Diff(route.Status.Parents[0], got[0]); diff != "" {
		t.Error(diff)
	}
}

// On Kubernetes a Gateway is programmed, and has addresses, as what runs of it has.
func TestFleets(t *testing.T) {
	translator := New(Config{Kinds: kinds(), Kubernetes: true})
	s := load(t, schema.New(), `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ebbgate}
spec: {controllerName: ebbgate.dev/egress-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: 8080, protocol: HTTP}]
`)
	f := func(fleet *Fleet, programmed metav1.ConditionStatus, message string, addresses int) {
		t.Helper()
		translator.Observe(map[string]*Fleet{"Gateway/ai/egress": fleet})
		status := statusOf(t, translator.Apply(s), "Gateway/ai/egress")
		for where, conditions := range map[string][]metav1.Condition{"Gateway": status.Conditions, "listener": status.Listeners[0].Conditions} {
			c := meta.FindStatusCondition(conditions, attach.Programmed)
			if c == nil || c.Status != programmed || c.Message != message {
				t.Errorf("%s, with %+v: %+v", where, fleet, c)
			}
		}
		if len(status.Addresses) != addresses {
			t.Errorf("with %+v: addresses %v", fleet, status.Addresses)
		}
	}
	f(nil, metav1.ConditionFalse, "nothing runs of it yet", 0)
	f(&Fleet{Message: "no proxy is ready", Addresses: []gwapiv1.GatewayStatusAddress{{Value: "10.96.0.7"}}}, metav1.ConditionFalse, "no proxy is ready", 1)
	f(&Fleet{Programmed: true, Addresses: []gwapiv1.GatewayStatusAddress{{Value: "10.96.0.7"}, {Value: "egress-ebbgate.ai.svc.cluster.local"}}}, metav1.ConditionTrue, "", 2)
	f(nil, metav1.ConditionFalse, "nothing runs of it yet", 0)

	notUsable := string(gwapiv1.GatewayReasonAddressNotUsable)
	translator.Observe(map[string]*Fleet{"Gateway/ai/egress": {Message: "no such address", Reason: notUsable}})
	status := statusOf(t, translator.Apply(s), "Gateway/ai/egress")
	if c := meta.FindStatusCondition(status.Conditions, attach.Programmed); c == nil || c.Reason != notUsable {
		t.Errorf("an address that cannot be had: %+v", c)
	}
}

// How a Backend stands is what proxies tell; what nobody tells is as the status says, until it is sure that nobody does.
func TestHealth(t *testing.T) {
	translator, validator := New(Config{Kinds: kinds(), Kubernetes: true}), schema.New()
	s := func() *source.Snapshot {
		return load(t, validator, `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ebbgate}
spec: {controllerName: ebbgate.dev/egress-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: ebbgate.dev/v1alpha1
kind: Backend
metadata: {name: openai, namespace: ai}
spec:
  type: ExternalHostname
  externalHostname: {hostname: api.openai.com}
  port: {number: 443}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules: [{backendRefs: [{group: ebbgate.dev, kind: Backend, name: openai}]}]
`)
	}
	at := Reach{Backend: "Backend/ai/openai", Gateway: "ai/egress"}
	told := func(h Health) map[Reach]Health { return map[Reach]Health{at: h} }
	f := func(what string, s *source.Snapshot, all map[Reach]Health, sure bool, want string) {
		t.Helper()
		translator.Hear(all, sure)
		got := ""
		if c := meta.FindStatusCondition(statusOf(t, translator.Apply(s), "Backend/ai/openai").Ancestors[0].Conditions, attach.Healthy); c != nil {
			got = strings.TrimSuffix(fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message), ": ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	fresh, known := s(), s()
	known.Objects["Backend/ai/openai"].(*v1alpha1.Backend).Status.Ancestors = []gwapiv1.PolicyAncestorStatus{attach.GatewayAncestor("ai/egress", []metav1.Condition{
		{Type: attach.Healthy, Status: metav1.ConditionFalse, Reason: "Unhealthy", Message: "as before", LastTransitionTime: metav1.Now()},
	})}
	f("nothing told", fresh, nil, false, "")
	f("healthy", fresh, told(Health{Proxies: 2}), false, "True Healthy")
	f("some", fresh, told(Health{Proxies: 4, Out: 1, Returning: 2}), false, "True PartlyHealthy: of 4 proxies 1 send it no requests, and 2 fewer than its share")
	f("out", fresh, told(Health{Proxies: 1, Out: 1}), true, "False Unhealthy: no proxy sends it requests: it is ejected, set aside, or fails its checks")
	f("no longer told", fresh, nil, true, "")
	f("of another Gateway", fresh, map[Reach]Health{{Backend: at.Backend, Gateway: "ai/other"}: {Proxies: 1}}, true, "")
	f("written before, and not told yet", known, nil, false, "False Unhealthy: as before")
	f("written before, and nobody tells", known, nil, true, "")
	f("written before, and told otherwise", known, told(Health{Proxies: 1}), false, "True Healthy")
}

// No list of conditions is longer than its schema allows, however many kinds of policies there are.
func TestConditionsAreBounded(t *testing.T) {
	c := attach.Conditions{}
	var policies []string
	for i := range 20 {
		policies = append(policies, fmt.Sprintf("Kind%02d/ns/name", i))
	}
	c.Affected(policies)
	if len(c.List) != 8 {
		t.Errorf("%d conditions", len(c.List))
	}
}

// While the parameters that a class names cannot be used, those that it had before hold; where there were none, nothing of
// the class is served. A class of the same name that is another object has had none.
func TestAClassKeepsItsLastGoodParameters(t *testing.T) {
	translator, validator := New(Config{Kinds: kinds(), Kubernetes: true}), schema.New()
	f := func(what, uid, names string, replicas int32, classAccepted, gatewayAccepted metav1.ConditionStatus, served int32) {
		t.Helper()
		s := load(t, validator, fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ebbgate, uid: %s}
spec:
  controllerName: ebbgate.dev/egress-gateway
  parametersRef: {group: ebbgate.dev, kind: GatewayParameters, name: %s, namespace: ebbgate-system}
---
apiVersion: ebbgate.dev/v1alpha1
kind: GatewayParameters
metadata: {name: ceiling, namespace: ebbgate-system}
spec: {deployment: {replicas: %d}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: 8080, protocol: HTTP}]
`, uid, names, replicas))
		result := translator.Apply(s)
		for object, want := range map[string]metav1.ConditionStatus{"GatewayClass//ebbgate": classAccepted, "Gateway/ai/egress": gatewayAccepted} {
			c := meta.FindStatusCondition(statusOf(t, result, object).Conditions, attach.Accepted)
			if c == nil || c.Status != want || want == metav1.ConditionFalse && c.Reason != "InvalidParameters" {
				t.Errorf("%s: %s: %+v", what, object, c)
			}
		}
		got := int32(0)
		if p := translator.Parameters("Gateway/ai/egress"); p != nil && p.Spec.Deployment != nil {
			got = *p.Spec.Deployment.Replicas
		}
		if (len(result.Plan.Gateways) == 1) != (gatewayAccepted == metav1.ConditionTrue) || got != served {
			t.Errorf("%s: %d replicas, %d Gateways", what, got, len(result.Plan.Gateways))
		}
	}
	f("none ever", "a", "none", 3, metav1.ConditionFalse, metav1.ConditionFalse, 0)
	f("good", "a", "ceiling", 3, metav1.ConditionTrue, metav1.ConditionTrue, 3)
	f("gone", "a", "none", 3, metav1.ConditionFalse, metav1.ConditionTrue, 3)
	f("back", "a", "ceiling", 4, metav1.ConditionTrue, metav1.ConditionTrue, 4)
	f("another class", "b", "none", 4, metav1.ConditionFalse, metav1.ConditionFalse, 0)
}

// A policy of which nothing but the targets could be read is none that lets its targets pass.
func TestUnreadPoliciesCloseTheirTargets(t *testing.T) {
	s := change(estate(1), "CredentialInjector", &v1alpha1.CredentialInjector{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "openai"},
		Spec:       v1alpha1.CredentialInjectorSpec{TargetRefs: []gwapiv1.LocalPolicyTargetReferenceWithSectionName{backendTarget("openai")}},
	})
	const key = "CredentialInjector/ai/openai"
	s.Unread = map[string]string{key: `unknown field "spec.newer"`}
	result := New(Config{Kinds: kinds()}).Apply(s)
	if p := result.Plan.Policies; len(p) != 1 || p[0].Fault == nil || len(p[0].Targets) != 1 {
		t.Errorf("planned as %+v", p)
	}
	c := meta.FindStatusCondition(statusOf(t, result, key).Ancestors[0].Conditions, "Accepted")
	if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "spec.newer") {
		t.Errorf("%+v", c)
	}
}
