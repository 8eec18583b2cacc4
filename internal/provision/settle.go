package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
)

const (
	mendEvery   = time.Minute // between two times that a Deployment is brought back which is changed again and again
	settleTries = 5           // while others write it
)

// settled is a Gateway's Deployment as the API server made it of ours: with its defaults, and with what the cluster's own
// webhooks write into it.
type settled struct {
	uid    types.UID
	hash   string // of what was applied
	spec   appsv1.DeploymentSpec
	mended time.Time // when it was last brought back from what somebody had made of it; zero: never
}

// Forget drops what is kept of a Gateway that is gone.
func (a *Applier) Forget(namespace, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.settled, types.NamespacedName{Namespace: namespace, Name: name})
}

func (a *Applier) kept(g *gwapiv1.Gateway) settled {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled[types.NamespacedName{Namespace: g.Namespace, Name: g.Name}]
}

// settle takes out of a Deployment what server-side apply leaves in it, others' containers, volumes and all else that we do
// not write: it gives the API server our spec whole, to default it anew. Where that changes nothing, nothing is written.
// before is the Deployment that was there; nil where there was none.
func (a *Applier) settle(ctx context.Context, g *gwapiv1.Gateway, k kind, fields map[string]any, before Object, d *appsv1.Deployment) (Object, error) {
	made, err := a.whole(ctx, k, fields, d)
	for tries := 1; apierrors.IsConflict(err) && tries < settleTries; tries++ { // while it rolls over, its status is written all the time
		o, failed := k.get(ctx, d.Namespace, d.Name)
		if failed != nil || o.GetUID() != d.UID {
			break
		}
		made, err = a.whole(ctx, k, fields, o.(*appsv1.Deployment))
	}
	if err != nil {
		return d, err
	}
	hash, last := applied(fields), a.kept(g)
	next := settled{uid: made.UID, hash: hash, spec: made.Spec, mended: last.mended}
	if was, ok := before.(*appsv1.Deployment); ok && (last.uid == made.UID && last.hash == hash || was.Annotations[AnnotationApplied] == hash) &&
		!same(was.Spec, made.Spec) { // and we had nothing to change
		next.mended = a.now()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settled[types.NamespacedName{Namespace: g.Namespace, Name: g.Name}] = next
	return made, nil
}

// whole gives the API server our spec in place of a Deployment's as it was seen. What stays of others' are the number of
// replicas, where an autoscaler has it, and annotations of the Pods, which are how kubectl restarts a rollout.
func (a *Applier) whole(ctx context.Context, k kind, fields map[string]any, d *appsv1.Deployment) (*appsv1.Deployment, error) {
	spec, _, err := unstructured.NestedMap(fields, "spec")
	if err != nil {
		return nil, err
	}
	if _, ours := spec["replicas"]; !ours && d.Spec.Replicas != nil {
		spec["replicas"] = int64(*d.Spec.Replicas)
	}
	if len(d.Spec.Template.Annotations) > 0 { // ours among them
		if err := unstructured.SetNestedStringMap(spec, d.Spec.Template.Annotations, "template", "metadata", "annotations"); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal([]map[string]any{ // a resourceVersion that is no longer the newest is a conflict
		{"op": "add", "path": "/metadata/resourceVersion", "value": d.ResourceVersion},
		{"op": "replace", "path": "/spec", "value": spec},
	})
	if err != nil {
		return nil, err
	}
	o, err := k.patch(ctx, d.Namespace, d.Name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: FieldManager})
	if err != nil {
		return nil, err
	}
	return o.(*appsv1.Deployment), nil
}

// stays reports whether an object has no more in it than the API server made of ours. Of a Deployment it is unknown until it
// has been settled.
func (a *Applier) stays(g *gwapiv1.Gateway, live Object, fields map[string]any) bool {
	d, ok := live.(*appsv1.Deployment)
	if !ok {
		return true
	}
	is := a.kept(g)
	return is.uid == d.UID && is.hash == applied(fields) && same(is.spec, d.Spec)
}

// fought is the problem where somebody has changed a Deployment again, too soon to bring it back again.
func (a *Applier) fought(g *gwapiv1.Gateway, live *appsv1.Deployment, fields map[string]any) *problem.Problem {
	is := a.kept(g)
	if is.uid != live.UID || is.hash != applied(fields) || is.mended.IsZero() || a.now().Sub(is.mended) >= mendEvery {
		return nil
	}
	wrong := about(g, string(gwapiv1.GatewayReasonInvalid), "", fmt.Sprintf("Deployment %s/%s is changed by others again and again%s, and brought back once a minute",
		live.Namespace, live.Name, differs(is.spec, live.Spec)), "see who does: kubectl get deployment --show-managed-fields")
	return &wrong
}

// applied is the hash of what is to be applied.
func applied(fields map[string]any) string {
	hash, _, _ := unstructured.NestedString(fields, "metadata", "annotations", AnnotationApplied)
	return hash
}

// bare is what of a Deployment's spec is ours alone, or is compared with what was applied as all objects are.
func bare(spec appsv1.DeploymentSpec) appsv1.DeploymentSpec {
	spec.Replicas, spec.Template.Annotations = nil, nil
	return spec
}

func same(a, b appsv1.DeploymentSpec) bool { return equality.Semantic.DeepEqual(bare(a), bare(b)) }

// differs says where two specs of a Deployment do, at first.
func differs(a, b appsv1.DeploymentSpec) string {
	a, b = bare(a), bare(b)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&a)
	if err != nil {
		return ""
	}
	others, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&b)
	if err != nil {
		return ""
	}
	if at := place("spec", fields, others); at != "" {
		return " (" + at + ")"
	}
	return ""
}

// place is the path of the first field that is not the same; empty where there is none.
func place(path string, a, b any) string {
	if reflect.DeepEqual(a, b) {
		return ""
	}
	if a, ok := a.(map[string]any); ok {
		if b, ok := b.(map[string]any); ok {
			all := maps.Clone(a)
			maps.Copy(all, b)
			for _, key := range slices.Sorted(maps.Keys(all)) {
				if at := place(path+"."+key, a[key], b[key]); at != "" {
					return at
				}
			}
		}
	}
	if a, ok := a.([]any); ok {
		if b, ok := b.([]any); ok {
			for i := range max(len(a), len(b)) {
				if i >= len(a) || i >= len(b) {
					return path + "[" + strconv.Itoa(i) + "]"
				}
				if at := place(path+"["+strconv.Itoa(i)+"]", a[i], b[i]); at != "" {
					return at
				}
			}
		}
	}
	return path
}
