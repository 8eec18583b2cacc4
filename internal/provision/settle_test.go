package provision

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
)

// somebody patches the Deployment as kubectl does.
func (c *cluster) somebody(form types.PatchType, text string) {
	c.Helper()
	_, err := c.admin.AppsV1().Deployments(c.gateway.Namespace).Patch(c.Context(), "egress-ebbgate", form, []byte(text), metav1.PatchOptions{FieldManager: "kubectl-patch"})
	c.must(err)
}

func (c *cluster) deployment() *appsv1.Deployment {
	c.Helper()
	d, err := c.admin.AppsV1().Deployments(c.gateway.Namespace).Get(c.Context(), "egress-ebbgate", metav1.GetOptions{})
	c.must(err)
	return d
}

// TestClusterBringsBack has others write into the Deployment: it is what we make again, in one go, and then rests.
func TestClusterBringsBack(t *testing.T) {
	scaled := v1alpha1.ProxyDeployment{Autoscaling: &v1alpha1.ProxyAutoscaling{Min: 2, Max: 9, CPU: 70}}
	w := newCluster(t)
	now := time.Now()
	w.applier.now = func() time.Time { return now }
	w.apply(deployed(scaled))
	w.somebody(types.MergePatchType, `{"spec":{"replicas":7}}`)
	_, written := w.apply(deployed(scaled))
	w.same("written after the autoscaler", 0, written)
	ours := bare(w.deployment().Spec)
	for _, c := range []struct {
		title string
		form  types.PatchType
		patch string
	}{
		{"a sidecar", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"example.com/other"}]}}}}`},
		{"an init container", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"initContainers":[{"name":"other","image":"example.com/other"}]}}}}`},
		{"a command", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"proxy","command":["sh"]}]}}}}`},
		{"an environment", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"proxy","env":[{"name":"LD_PRELOAD","value":"/x"}]}]}}}}`},
		{"a volume", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"volumes":[{"name":"other","emptyDir":{}}]}}}}`},
		{"names", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"dnsPolicy":"None","dnsConfig":{"nameservers":["192.0.2.1"]}}}}}`},
		{"a pause", types.MergePatchType, `{"spec":{"paused":true}}`},
		{"a sidecar, and nobody's fields", types.JSONPatchType, `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"other","image":"example.com/other"}},
			{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`},
	} {
		w.somebody(c.form, c.patch)
		now = now.Add(mendEvery)
		applied, written := w.apply(deployed(scaled))
		w.same(c.title+": mended", []string{"Deployment " + w.gateway.Namespace + "/egress-ebbgate"}, applied.Mended)
		if written == 0 {
			t.Errorf("%s: nothing was written", c.title)
		}
		d := w.deployment()
		w.same(c.title, ours, bare(d.Spec))
		w.same(c.title+": the autoscaler's number", int32(7), *d.Spec.Replicas)
		applied, written = w.apply(deployed(scaled))
		w.same(c.title+": written again", 0, written)
		w.same(c.title+": mended again", []string(nil), applied.Mended)
	}

	w.somebody(types.StrategicMergePatchType, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	_, written = w.apply(deployed(scaled))
	w.same("a restart", 0, written)
	scaled.NodeSelector = map[string]string{"pool": "egress"}
	applied, _ := w.apply(deployed(scaled))
	w.same("a change of ours: mended", []string(nil), applied.Mended)
	if at := w.deployment().Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]; at != "now" {
		t.Errorf("a restart is taken back by a change of ours: %q", at)
	}
}

// TestClusterBringsBackWhatItFinds has somebody write into the Deployment while no controller runs.
func TestClusterBringsBackWhatItFinds(t *testing.T) {
	w := newCluster(t)
	w.apply(v1alpha1.GatewayParametersSpec{})
	w.applier = NewApplier(w.applier.cluster)
	applied, _ := w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("mended, and nothing was", []string(nil), applied.Mended)
	w.somebody(types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"example.com/other"}]}}}}`)
	w.applier = NewApplier(w.applier.cluster)
	applied, _ = w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("mended", 1, len(applied.Mended))
	w.same("containers", 1, len(w.deployment().Spec.Template.Spec.Containers))
}

// TestClusterSettlesWhileItRolls has somebody write the Deployment between what is seen of it and what is written, as the
// controller of Deployments writes its status, and an autoscaler its replicas.
func TestClusterSettlesWhileItRolls(t *testing.T) {
	w := newCluster(t)
	meanwhile := func(times int) {
		w.before = func(r *http.Request) {
			if r.Header.Get("Content-Type") == string(types.JSONPatchType) && times > 0 {
				times--
				w.somebody(types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{"example.com/rolls":"%d"}},"spec":{"replicas":%d}}`, times, 5+times))
			}
		}
	}
	scaled := deployed(v1alpha1.ProxyDeployment{Autoscaling: &v1alpha1.ProxyAutoscaling{Min: 2, Max: 9, CPU: 70}})
	meanwhile(settleTries - 1)
	applied, _ := w.apply(scaled)
	w.same("mended", []string(nil), applied.Mended)
	w.same("the autoscaler's number", int32(5), *w.deployment().Spec.Replicas)
	_, written := w.apply(scaled)
	w.same("written again", 0, written)
	meanwhile(settleTries)
	objects, _ := Objects(w.gateway, nil, config)
	if _, err := w.applier.Apply(t.Context(), w.gateway, objects); !apierrors.IsConflict(err) {
		t.Errorf("written all the time: %v", err)
	}
}

// TestClusterFights has somebody write a sidecar into the Deployment whenever it is gone.
func TestClusterFights(t *testing.T) {
	w := newCluster(t)
	now := time.Now()
	w.applier.now = func() time.Time { return now }
	w.apply(v1alpha1.GatewayParametersSpec{})
	sidecar := func() {
		w.somebody(types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"example.com/other"}]}}}}`)
	}
	sidecar()
	applied, _ := w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("at first", []string(nil), reasons(applied))
	sidecar()
	for range 3 {
		applied, written := w.apply(v1alpha1.GatewayParametersSpec{})
		w.same("within a minute: written", 0, written)
		w.same("within a minute", []string{"Invalid"}, reasons(applied))
		if text := applied.Problems[0].Message; !strings.Contains(text, "again and again (spec.template.spec.containers[") {
			t.Error(text)
		}
	}
	applied, written := w.apply(deployed(v1alpha1.ProxyDeployment{NodeSelector: map[string]string{"pool": "egress"}}))
	w.same("a change of ours waits for nothing", []string(nil), reasons(applied))
	if written == 0 || len(w.deployment().Spec.Template.Spec.Containers) != 1 {
		t.Errorf("a change of ours: written %d", written)
	}
	w.apply(v1alpha1.GatewayParametersSpec{})
	sidecar()
	now = now.Add(mendEvery)
	applied, _ = w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("after a minute", []string(nil), reasons(applied))
	w.same("after a minute: containers", 1, len(w.deployment().Spec.Template.Spec.Containers))
}

// TestClusterAdmissionAdds has the cluster's own admission write into all Deployments: what it adds is no reason to write
// again and again, nor one to call somebody's.
func TestClusterAdmissionAdds(t *testing.T) {
	w := newCluster(t)
	of := w.admin.AdmissionregistrationV1()
	name := w.gateway.Namespace + "-mesh"
	anything := []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
	}}}
	_, err := of.MutatingAdmissionPolicies().Create(t.Context(), &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy, FailurePolicy: new(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.gateway.Namespace}}, ResourceRules: anything,
			},
			Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: `
				Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
					containers: [Object.spec.template.spec.containers{name: "mesh", image: "example.com/mesh"}]}}}}`}}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = of.MutatingAdmissionPolicyBindings().Create(t.Context(), &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}, metav1.CreateOptions{})
	w.must(err)
	t.Cleanup(func() {
		for _, err := range []error{
			of.MutatingAdmissionPolicies().Delete(context.Background(), name, metav1.DeleteOptions{}),
			of.MutatingAdmissionPolicyBindings().Delete(context.Background(), name, metav1.DeleteOptions{}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.apply(v1alpha1.GatewayParametersSpec{})
	trial := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{GenerateName: "trial-"}, Spec: w.deployment().Spec}
	trial.Spec.Template.Spec.Containers = trial.Spec.Template.Spec.Containers[:1]
	for end := time.Now().Add(time.Minute); ; { // until the API server has heard of the policy
		made, err := w.admin.AppsV1().Deployments(w.gateway.Namespace).Create(t.Context(), trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		w.must(err)
		if len(made.Spec.Template.Spec.Containers) == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the policy adds nothing")
		}
	}
	w.apply(deployed(v1alpha1.ProxyDeployment{NodeSelector: map[string]string{"pool": "egress"}}))
	w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("containers", 2, len(w.deployment().Spec.Template.Spec.Containers))
	applied, written := w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("written again", 0, written)
	w.same("problems", []string(nil), reasons(applied))
	w.somebody(types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"example.com/other"}]}}}}`)
	applied, _ = w.apply(v1alpha1.GatewayParametersSpec{})
	w.same("mended", 1, len(applied.Mended))
	w.same("containers, after somebody", 2, len(w.deployment().Spec.Template.Spec.Containers))
}
