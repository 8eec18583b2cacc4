package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
)

// world is a cluster with a Gateway.
type world struct {
	*testing.T
	client  *fake.Clientset
	applier *Applier
	gateway *gwapiv1.Gateway
	refuse  map[string]error // by "verb resource": what the API server answers
	asked   map[string]bool  // "verb group/resource" of all calls
}

// newWorld has client-go's fake give UIDs, refuse those of others, and carry no trial out, as an API server does.
func newWorld(t *testing.T, objects ...runtime.Object) *world {
	w := &world{T: t, client: fake.NewClientset(objects...), refuse: map[string]error{}, asked: map[string]bool{}}
	w.applier = NewApplier(Cluster{Client: w.client})
	w.gateway = &gwapiv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "egress", Namespace: "ai", UID: "gateway-1"},
		Spec:       gwapiv1.GatewaySpec{GatewayClassName: "ebbgate", Listeners: []gwapiv1.Listener{{Name: "http", Port: 8080, Protocol: gwapiv1.HTTPProtocolType}}},
	}
	given := 0
	w.client.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		w.asked[fmt.Sprintf("%s %s/%s", action.GetVerb(), action.GetResource().Group, action.GetResource().Resource)] = true
		if err := w.refuse[action.GetVerb()+" "+action.GetResource().Resource]; err != nil {
			return true, nil, err
		}
		switch action := action.(type) {
		case clienttesting.CreateActionImpl:
			if slices.Contains(action.CreateOptions.DryRun, metav1.DryRunAll) {
				return true, action.Object, nil
			}
		case clienttesting.PatchActionImpl:
			if action.PatchType != types.ApplyPatchType {
				return false, nil, nil
			}
			var fields map[string]any
			if err := json.Unmarshal(action.Patch, &fields); err != nil {
				return true, nil, err
			}
			meta, _ := fields["metadata"].(map[string]any)
			if meta == nil {
				meta = map[string]any{}
				fields["metadata"] = meta
			}
			there, err := w.client.Tracker().Get(action.GetResource(), action.GetNamespace(), action.GetName())
			switch {
			case err != nil && meta["uid"] != nil:
				return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), action.GetName(), errors.New("no such UID"))
			case err == nil && meta["uid"] != nil && meta["uid"] != string(there.(metav1.Object).GetUID()):
				return true, nil, invalid("metadata.uid")
			case err != nil:
				given++
				meta["uid"] = fmt.Sprintf("given-%d", given)
				w.asked[fmt.Sprintf("create %s/%s", action.GetResource().Group, action.GetResource().Resource)] = true
			}
			if action.Patch, err = json.Marshal(fields); err != nil {
				return true, nil, err
			}
			return clienttesting.ObjectReaction(w.client.Tracker())(action)
		}
		return false, nil, nil
	})
	return w
}

// invalid is how an API server refuses a field.
func invalid(field string) error {
	err := apierrors.NewInvalid(schema.GroupKind{Kind: "Kind"}, "egress-ebbgate", nil)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeFieldValueInvalid, Field: field}}
	return err
}

// apply applies the Gateway with a deployment, and gives what was written: "verb resource name".
func (w *world) apply(d *v1alpha1.ProxyDeployment) (Applied, []string) {
	w.Helper()
	applied, written, err := w.try(d)
	if err != nil {
		w.Fatal(err)
	}
	return applied, written
}

func (w *world) try(d *v1alpha1.ProxyDeployment) (Applied, []string, error) {
	objects, _ := Objects(w.gateway, &v1alpha1.GatewayParameters{Spec: v1alpha1.GatewayParametersSpec{Deployment: d}}, config)
	w.client.ClearActions()
	applied, err := w.applier.Apply(w.Context(), w.gateway, objects)
	return applied, w.written(), err
}

func (w *world) written() (written []string) {
	for _, action := range w.client.Actions() {
		name := ""
		switch action := action.(type) {
		case clienttesting.GetActionImpl, clienttesting.ListActionImpl:
			continue
		case clienttesting.PatchActionImpl:
			if action.PatchType == types.JSONPatchType { // it follows each application of a Deployment
				continue
			}
			name = action.Name
		case clienttesting.DeleteActionImpl:
			name = action.Name
		}
		written = append(written, strings.TrimSpace(action.GetVerb()+" "+action.GetResource().Resource+" "+name))
	}
	return written
}

func (w *world) same(what string, want, got any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s:\n%s", what, diff)
	}
}

// force applies a part of an object as somebody else.
func (w *world) force(manager, resource, text string) {
	w.Helper()
	group := schema.GroupVersionResource{Version: "v1", Resource: resource}
	if resource == "deployments" {
		group.Group = "apps"
	}
	if _, err := w.client.Invokes(clienttesting.NewPatchActionWithOptions(group, "ai", "egress-ebbgate", types.ApplyPatchType, []byte(text),
		metav1.PatchOptions{FieldManager: manager, Force: new(true)}), &corev1.Service{}); err != nil {
		w.Fatal(err)
	}
}

var all = []string{
	"patch serviceaccounts egress-ebbgate", "patch configmaps egress-ebbgate", "patch services egress-ebbgate",
	"patch deployments egress-ebbgate", "patch poddisruptionbudgets egress-ebbgate",
}

func TestApplyWritesWhatDiffers(t *testing.T) {
	w := newWorld(t)
	applied, written := w.apply(nil)
	w.same("at first", all, written)
	if applied.Service == nil || applied.Service.Name != "egress-ebbgate" || len(applied.Problems) > 0 {
		t.Errorf("applied: %+v", applied)
	}
	_, written = w.apply(nil)
	w.same("again", []string(nil), written)

	_, written = w.apply(&v1alpha1.ProxyDeployment{NodeSelector: map[string]string{"pool": "egress"}})
	w.same("with nodes", []string{"patch deployments egress-ebbgate"}, written)
	_, written = w.apply(nil)
	w.same("with any node", []string{"patch deployments egress-ebbgate"}, written)
	d, err := w.client.AppsV1().Deployments("ai").Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if nodes := d.Spec.Template.Spec.NodeSelector; nodes != nil {
		t.Errorf("what was taken back is still there: %v", nodes)
	}

	w.force("somebody", "services", `{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"example.com/theirs":"kept"}},"spec":{"type":"NodePort"}}`)
	applied, written = w.apply(nil)
	w.same("changed by somebody", []string{"patch services egress-ebbgate"}, written)
	if applied.Service.Spec.Type != corev1.ServiceTypeClusterIP || applied.Service.Annotations["example.com/theirs"] != "kept" {
		t.Errorf("after a change by somebody: %s, %v", applied.Service.Spec.Type, applied.Service.Annotations)
	}

	_, written = w.apply(&v1alpha1.ProxyDeployment{Replicas: new(int32(1))})
	w.same("one replica", []string{"patch deployments egress-ebbgate", "delete poddisruptionbudgets egress-ebbgate"}, written)

	w.gateway.Spec.GatewayClassName = "other"
	w.refuse["patch services"] = invalid("spec.ports")
	if _, written = w.apply(nil); !slices.Contains(written, "delete deployments egress-ebbgate") || slices.Contains(written, "delete services egress-ebbgate") {
		t.Errorf("of another class, with a Service that is refused: %q", written)
	}
	delete(w.refuse, "patch services")
	if _, written = w.apply(nil); !slices.Equal(written, []string{"patch services egress-other", "delete services egress-ebbgate"}) {
		t.Errorf("of another class: %q", written)
	}

	w.gateway.DeletionTimestamp = new(metav1.Now())
	w.client.ClearActions()
	if _, err := w.applier.Apply(t.Context(), w.gateway, nil); err != nil || len(w.client.Actions()) > 0 {
		t.Errorf("of a Gateway that is being deleted: %v, %v", w.client.Actions(), err)
	}
	w.gateway.DeletionTimestamp = nil
	if _, err := w.applier.Apply(t.Context(), w.gateway, nil); err != nil || len(w.written()) != 5 {
		t.Errorf("without objects: %q, %v", w.written(), err)
	}
	services, err := w.client.CoreV1().Services("ai").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(services.Items) > 0 {
		t.Errorf("left: %v, %v", services.Items, err)
	}
}

// TestKnownCostsNoCall has an informer that knows everything, and then one that knows nothing yet.
func TestKnownCostsNoCall(t *testing.T) {
	w := newWorld(t)
	w.apply(nil)
	foreign := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "unlabelled", Namespace: "ai", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "egress", UID: "gateway-1", Controller: new(true)},
	}}}
	if err := w.client.Tracker().Add(foreign); err != nil {
		t.Fatal(err)
	}
	var known []Object
	for _, k := range w.applier.kinds {
		list, err := k.list(t.Context(), "ai", metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, list...)
	}
	settled := w.applier.settled
	w.applier = NewApplier(Cluster{Client: w.client, Known: func(kind, namespace string) (found []Object) {
		for _, o := range known {
			if o.GetObjectKind().GroupVersionKind().Kind == kind && o.GetNamespace() == namespace {
				found = append(found, o)
			}
		}
		return found
	}})
	w.applier.settled = settled
	applied, _ := w.apply(nil)
	if calls := w.client.Actions(); len(calls) > 0 || applied.Service == nil {
		t.Errorf("all is known: calls %v, Service %v", calls, applied.Service)
	}
	known = nil
	if _, written := w.apply(nil); len(written) > 0 {
		t.Errorf("nothing is known, and all is there: %q", written)
	}
}

func TestAutoscalerHasTheReplicas(t *testing.T) {
	w := newWorld(t)
	replicas := func() int32 {
		d, err := w.client.AppsV1().Deployments("ai").Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
		if err != nil || d.Spec.Replicas == nil {
			t.Fatalf("replicas: %v, %v", d.Spec.Replicas, err)
		}
		return *d.Spec.Replicas
	}
	w.apply(&v1alpha1.ProxyDeployment{Replicas: new(int32(3))})
	scaled := &v1alpha1.ProxyDeployment{Autoscaling: &v1alpha1.ProxyAutoscaling{Min: 2, Max: 9, CPU: 70}}
	_, written := w.apply(scaled)
	w.same("autoscaling on", []string{"patch deployments egress-ebbgate", "patch deployments egress-ebbgate", "patch horizontalpodautoscalers egress-ebbgate"}, written)
	w.same("replicas before the autoscaler has counted", int32(3), replicas())
	w.force("kube-controller-manager", "deployments", `{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":7}}`)
	_, written = w.apply(scaled)
	w.same("after the autoscaler has", []string(nil), written)
	scaled.NodeSelector = map[string]string{"pool": "egress"}
	_, written = w.apply(scaled)
	w.same("another change", []string{"patch deployments egress-ebbgate"}, written)
	w.same("replicas are the autoscaler's", int32(7), replicas())
	_, written = w.apply(nil)
	w.same("autoscaling off", []string{"patch deployments egress-ebbgate", "delete horizontalpodautoscalers egress-ebbgate"}, written)
	w.same("replicas are ours", int32(2), replicas())
}

// TestTakesNothingOver has others' objects where the Gateway's should be.
func TestTakesNothingOver(t *testing.T) {
	labelled := map[string]string{LabelManagedBy: managedBy, LabelName: proxyName}
	meta := func(labels map[string]string, owner *metav1.OwnerReference) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Name: "egress-ebbgate", Namespace: "ai", UID: "theirs", Labels: labels}
		if owner != nil {
			owner.Controller = new(true)
			m.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		return m
	}
	for _, c := range []struct {
		title string
		meta  metav1.ObjectMeta
		want  string // the problem; empty: an error
	}{
		{"nobody's", meta(nil, nil), "Service ai/egress-ebbgate is needed, and is not the Gateway's"},
		{"nobody's, with our labels", meta(labelled, nil), "Service ai/egress-ebbgate is needed, and is not the Gateway's"},
		{"somebody's", meta(labelled, &metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "App", Name: "egress", UID: "app"}), "Service ai/egress-ebbgate is needed, and is that of App egress"},
		{"another Gateway's", meta(labelled, &metav1.OwnerReference{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "other", UID: "gateway-0"}),
			"Service ai/egress-ebbgate is needed, and is that of Gateway other"},
		{"the former Gateway's", meta(labelled, &metav1.OwnerReference{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "egress", UID: "gateway-0"}), ""},
	} {
		t.Run(c.title, func(t *testing.T) {
			service := &corev1.Service{ObjectMeta: c.meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
			w := newWorld(t, service)
			applied, written, err := w.try(nil)
			w.same("written", slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.Contains(s, " services ") }), written)
			if applied.Service != nil {
				t.Error("the Service is not the Gateway's, and is said to be")
			}
			switch {
			case c.want == "" && (err == nil || len(applied.Problems) > 0):
				t.Errorf("problems %v, error %v", applied.Problems, err)
			case c.want != "" && (err != nil || len(applied.Problems) != 1 || applied.Problems[0].Message != c.want || applied.Problems[0].Reason != "NameTaken"):
				t.Errorf("problems %v, error %v", applied.Problems, err)
			}
			if _, err := w.applier.Apply(t.Context(), w.gateway, nil); err != nil {
				t.Error(err)
			}
			left, err := w.client.CoreV1().Services("ai").Get(t.Context(), "egress-ebbgate", metav1.GetOptions{})
			if err != nil || left.UID != "theirs" || left.Spec.Ports[0].Port != 1 {
				t.Errorf("the Service of others is %v, %v", left, err)
			}
		})
	}
	t.Run("the Gateway's, without our labels", func(t *testing.T) {
		config := &corev1.ConfigMap{ObjectMeta: meta(nil, &metav1.OwnerReference{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "egress", UID: "gateway-1"})}
		w := newWorld(t, config)
		if _, err := w.applier.Apply(t.Context(), w.gateway, nil); err != nil || len(w.written()) > 0 {
			t.Errorf("written %q, error %v", w.written(), err)
		}
	})
}

// TestKeepsWhatAppearsMeanwhile has somebody make the Service after the API server has said that there is none.
func TestKeepsWhatAppearsMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.force("somebody", "services", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"egress-ebbgate","namespace":"ai"},"spec":{"type":"NodePort"}}`)
	w.refuse["get services"] = apierrors.NewNotFound(schema.GroupResource{Resource: "services"}, "egress-ebbgate")
	if applied, _, err := w.try(nil); !apierrors.IsConflict(err) || len(applied.Problems) > 0 {
		t.Errorf("problems %v, error %v", applied.Problems, err)
	}
	delete(w.refuse, "get services")
	applied, _ := w.apply(nil)
	if len(applied.Problems) != 1 || applied.Problems[0].Reason != "NameTaken" {
		t.Errorf("once it is seen: problems %v", applied.Problems)
	}
}

// TestAddressesThatAServiceCannotChange has an API server that gave a Service an address, and may give another.
func TestAddressesThatAServiceCannotChange(t *testing.T) {
	w := newWorld(t)
	w.apply(nil)
	w.force("apiserver", "services", `{"apiVersion":"v1","kind":"Service","spec":{"clusterIP":"10.96.0.7","clusterIPs":["10.96.0.7"]}}`)
	before, _ := w.apply(nil)

	w.gateway.Spec.Addresses = []gwapiv1.GatewaySpecAddress{{Value: "192.0.2.1"}}
	w.refuse["create services"] = invalid("spec.clusterIPs")
	applied, written := w.apply(nil)
	w.same("not given", []string{"create services"}, written)
	w.same("not given: the Service stays", before.Service.UID, applied.Service.UID)
	if len(applied.Problems) != 1 || applied.Problems[0].Reason != "AddressNotUsable" {
		t.Errorf("problems %v", applied.Problems)
	}

	delete(w.refuse, "create services")
	applied, written = w.apply(nil)
	w.same("given", []string{"create services", "delete services egress-ebbgate", "patch services egress-ebbgate"}, written)
	w.same("given: the address", []string{"192.0.2.1"}, applied.Service.Spec.ClusterIPs)
	if applied.Service.UID == before.Service.UID || len(applied.Problems) > 0 {
		t.Errorf("applied %+v", applied)
	}

	w.gateway.Spec.Addresses = nil
	_, written = w.apply(nil)
	w.same("any address", []string{"patch services egress-ebbgate"}, written)
}

func TestRefusals(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for _, c := range []struct {
		refusal error
		reason  string // of the problem; empty: an error
	}{
		{invalid("spec.template.spec.tolerations[0].operator"), "Invalid"},
		{invalid("metadata.uid"), ""},
		{apierrors.NewForbidden(deployments, "egress-ebbgate", errors.New("exceeded quota")), "NoResources"},
		{apierrors.NewConflict(deployments, "egress-ebbgate", errors.New("changed")), ""},
		{&apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable}}, ""},
		{errors.New("connection refused"), ""},
	} {
		w := newWorld(t)
		w.refuse["patch deployments"] = c.refusal
		applied, written, err := w.try(nil)
		w.same("the others are applied all the same", all, written)
		switch {
		case c.reason == "" && (!errors.Is(err, c.refusal) || len(applied.Problems) > 0):
			t.Errorf("%v: problems %v, error %v", c.refusal, applied.Problems, err)
		case c.reason != "" && (err != nil || len(applied.Problems) != 1 || applied.Problems[0].Reason != c.reason || applied.Problems[0].Condition != "Programmed"):
			t.Errorf("%v: problems %v, error %v", c.refusal, applied.Problems, err)
		}
	}
}

// TestRules holds the rights against the calls: each is used, and each call has one.
func TestRules(t *testing.T) {
	w := newWorld(t)
	scaled := &v1alpha1.ProxyDeployment{Autoscaling: &v1alpha1.ProxyAutoscaling{Min: 2, Max: 9, CPU: 70}}
	w.apply(nil)
	w.apply(scaled)
	w.force("apiserver", "services", `{"apiVersion":"v1","kind":"Service","spec":{"clusterIP":"10.96.0.7","clusterIPs":["10.96.0.7"]}}`)
	w.gateway.Spec.Addresses = []gwapiv1.GatewaySpecAddress{{Value: "10.96.0.8"}}
	w.apply(scaled)
	if _, err := w.applier.Apply(t.Context(), w.gateway, nil); err != nil {
		t.Fatal(err)
	}
	var rights []string
	for _, rule := range Rules() {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				rights = append(rights, fmt.Sprintf("%s %s/%s", verb, rule.APIGroups[0], resource))
			}
		}
	}
	w.same("rights and calls", slices.Sorted(slices.Values(rights)), slices.Sorted(maps.Keys(w.asked)))
}
