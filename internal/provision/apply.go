package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
)

// FieldManager is what the API server knows our fields by.
const FieldManager = "ebbgate-controller"

// scaler holds the number of replicas from when an autoscaler is to have it until it first sets it.
const scaler = "ebbgate-controller-autoscaling"

// Cluster is where an Applier works.
type Cluster struct {
	Client kubernetes.Interface
	// Known is what informers have of a kind in a namespace, at least of the objects that Selector finds. What is known to
	// be as it should costs no call. Nil: the API server is asked.
	Known func(kind, namespace string) []Object
}

// Applier brings a cluster to what Objects made. It may be used by several at once, though not for the same Gateway. All that
// it keeps is what the API server made of each Gateway's Deployment.
type Applier struct {
	cluster Cluster
	kinds   []kind
	now     func() time.Time

	mu      sync.Mutex
	settled map[types.NamespacedName]settled // by Gateway
}

// NewApplier returns an Applier of a cluster.
func NewApplier(c Cluster) *Applier {
	return &Applier{cluster: c, kinds: kinds(c.Client), now: time.Now, settled: map[types.NamespacedName]settled{}}
}

// Selector finds the objects of all Gateways.
func Selector() labels.Selector {
	return labels.SelectorFromSet(labels.Set{LabelManagedBy: managedBy, LabelName: proxyName})
}

// Applied is what became of a Gateway's objects.
type Applied struct {
	Service  *corev1.Service   // as it is now; nil where there is none of the Gateway
	Problems []problem.Problem // what the user can mend; apply again later, since it may also mend itself
	Mended   []string          // objects that somebody had changed and that are as they should be again
}

// Apply has a Gateway's objects be as given, and no others of it; none are left of one that has no objects. It writes only
// what differs, and touches nothing that another owns. One object that fails holds up no other. An error is worth
// another try at once.
func (a *Applier) Apply(ctx context.Context, g *gwapiv1.Gateway, objects []Object) (Applied, error) {
	var done Applied
	if g.DeletionTimestamp != nil {
		return done, nil // Kubernetes collects what it owns
	}
	var errs []error
	for _, k := range a.kinds {
		known, err := a.known(ctx, g, k)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var wanted []string
		whole := true
		for _, want := range objects {
			if want.GetObjectKind().GroupVersionKind().Kind != k.name {
				continue
			}
			wanted = append(wanted, want.GetName())
			last := a.kept(g).mended
			live, wrong, err := a.bring(ctx, g, k, want, known)
			if wrong != nil {
				done.Problems = append(done.Problems, *wrong)
			}
			errs = append(errs, err)
			whole = whole && wrong == nil && err == nil
			if service, ok := live.(*corev1.Service); ok {
				done.Service = service
			}
			if a.kept(g).mended != last {
				done.Mended = append(done.Mended, fmt.Sprintf("%s %s/%s", k.name, want.GetNamespace(), want.GetName()))
			}
		}
		if whole { // else the former one may be all that there is
			errs = append(errs, a.clear(ctx, g, k, wanted, known))
		}
	}
	return done, errors.Join(errs...)
}

// known are the objects of a kind that are the Gateway's, as far as is known.
func (a *Applier) known(ctx context.Context, g *gwapiv1.Gateway, k kind) ([]Object, error) {
	var list []Object
	if a.cluster.Known != nil {
		list = a.cluster.Known(k.name, g.Namespace)
	} else {
		var err error
		if list, err = k.list(ctx, g.Namespace, metav1.ListOptions{LabelSelector: Selector().String()}); err != nil {
			return nil, fmt.Errorf("list %ss of namespace %s: %w", k.name, g.Namespace, err)
		}
	}
	var ours []Object
	for _, o := range list {
		if Selector().Matches(labels.Set(o.GetLabels())) && metav1.IsControlledBy(o, g) {
			ours = append(ours, o)
		}
	}
	return ours, nil
}

// bring has one object be as wanted, and returns what is there of the Gateway then.
func (a *Applier) bring(ctx context.Context, g *gwapiv1.Gateway, k kind, want Object, known []Object) (Object, *problem.Problem, error) {
	fields, err := encode(want)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range known {
		if o.GetName() == want.GetName() && current(o, fields) && a.stays(g, o, fields) {
			return o, nil, nil
		}
	}
	what := fmt.Sprintf("%s %s/%s", k.name, want.GetNamespace(), want.GetName())
	live, err := k.get(ctx, want.GetNamespace(), want.GetName())
	switch {
	case apierrors.IsNotFound(err):
		return a.write(ctx, g, k, fields, nil)
	case err != nil:
		return nil, nil, fmt.Errorf("get %s: %w", what, err)
	case live.GetDeletionTimestamp() != nil || former(live, g):
		return nil, nil, fmt.Errorf("apply %s: the former one is not deleted yet", what)
	case !metav1.IsControlledBy(live, g):
		wrong := about(g, "NameTaken", "", fmt.Sprintf("%s is needed, and is %s", what, owner(live)), "delete or rename it, or give the Gateway another name")
		return nil, &wrong, nil
	case current(live, fields) && a.stays(g, live, fields):
		return live, nil, nil
	}
	switch live := live.(type) {
	case *corev1.Service:
		if moves(live, want.(*corev1.Service)) {
			return a.replace(ctx, g, k, want.(*corev1.Service), fields, live)
		}
	case *appsv1.Deployment:
		if wrong := a.fought(g, live, fields); wrong != nil {
			return live, wrong, nil
		}
		if want.(*appsv1.Deployment).Spec.Replicas == nil {
			if err := a.handOver(ctx, k, live); err != nil {
				return live, nil, fmt.Errorf("hand the replicas of %s over: %w", what, err)
			}
		}
	}
	return a.write(ctx, g, k, fields, live)
}

// write applies one object. Where one is there, it is that one or none: another of the same name would have another UID.
// Where none is there, whatever appears meanwhile keeps its fields.
func (a *Applier) write(ctx context.Context, g *gwapiv1.Gateway, k kind, fields map[string]any, live Object) (Object, *problem.Problem, error) {
	force := live != nil
	if live != nil {
		if err := unstructured.SetNestedField(fields, string(live.GetUID()), "metadata", "uid"); err != nil {
			return live, nil, err
		}
	}
	named := &unstructured.Unstructured{Object: fields}
	what := fmt.Sprintf("%s %s/%s", k.name, named.GetNamespace(), named.GetName())
	data, err := json.Marshal(fields)
	if err != nil {
		return live, nil, fmt.Errorf("apply %s: %w", what, err)
	}
	made, err := k.patch(ctx, named.GetNamespace(), named.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: FieldManager, Force: &force})
	if d, ok := made.(*appsv1.Deployment); ok && err == nil {
		made, err = a.settle(ctx, g, k, fields, live, d)
	}
	if err != nil {
		if wrong := refused(g, what, err); wrong != nil {
			return live, wrong, nil
		}
		return live, nil, fmt.Errorf("apply %s: %w", what, err)
	}
	return made, nil, nil
}

// clear deletes what the Gateway has of a kind and needs no more.
func (a *Applier) clear(ctx context.Context, g *gwapiv1.Gateway, k kind, wanted []string, known []Object) error {
	var errs []error
	for _, o := range known {
		if slices.Contains(wanted, o.GetName()) || o.GetDeletionTimestamp() != nil {
			continue
		}
		if err := a.remove(ctx, k, o); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// remove deletes this object, and not another that has its name by now.
func (a *Applier) remove(ctx context.Context, k kind, o Object) error {
	uid := o.GetUID()
	background := metav1.DeletePropagationBackground
	err := k.remove(ctx, o.GetNamespace(), o.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s %s/%s: %w", k.name, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// moves reports whether a Service is to have another clusterIP, which Kubernetes does not let change.
func moves(live, want *corev1.Service) bool {
	for i, ip := range want.Spec.ClusterIPs {
		if i < len(live.Spec.ClusterIPs) && live.Spec.ClusterIPs[i] != ip {
			return true
		}
	}
	return false
}

// replace makes a Service anew, with another clusterIP. The old one goes only once the API server has said that it would
// give the new address: one that is not usable takes nothing away.
func (a *Applier) replace(ctx context.Context, g *gwapiv1.Gateway, k kind, want *corev1.Service, fields map[string]any, live *corev1.Service) (Object, *problem.Problem, error) {
	what := fmt.Sprintf("Service %s/%s", want.Namespace, want.Name)
	trial := want.DeepCopy()
	trial.Name, trial.GenerateName = "", "ebbgate-trial-"
	_, err := a.cluster.Client.CoreV1().Services(want.Namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager})
	if err != nil {
		if wrong := refused(g, what, err); wrong != nil {
			return live, wrong, nil
		}
		return live, nil, fmt.Errorf("try the addresses of %s: %w", what, err)
	}
	if err := a.remove(ctx, k, live); err != nil {
		return live, nil, err
	}
	if left, err := k.get(ctx, want.Namespace, want.Name); err == nil && left.GetUID() == live.UID {
		return nil, nil, fmt.Errorf("apply %s: the former one is not deleted yet", what)
	}
	return a.write(ctx, g, k, fields, nil)
}

// handOver leaves the number of replicas to an autoscaler. Were it only left out of what we apply, it would fall to 1, as
// nobody's, until the autoscaler sets it.
func (a *Applier) handOver(ctx context.Context, k kind, live *appsv1.Deployment) error {
	holds := slices.ContainsFunc(live.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == FieldManager && entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), `"f:replicas"`)
	})
	if !holds || live.Spec.Replicas == nil {
		return nil
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": live.Name, "namespace": live.Namespace, "uid": live.UID},
		"spec":     map[string]any{"replicas": *live.Spec.Replicas},
	})
	if err != nil {
		return err
	}
	force := true
	_, err = k.patch(ctx, live.Namespace, live.Name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: scaler, Force: &force})
	return err
}

// former reports whether an object is of an earlier Gateway of the same name, with which it is going.
func former(live Object, g *gwapiv1.Gateway) bool {
	o := metav1.GetControllerOf(live)
	return o != nil && o.Kind == "Gateway" && strings.HasPrefix(o.APIVersion, gwapiv1.GroupName+"/") && o.Name == g.Name && o.UID != g.UID
}

// owner says whose an object is.
func owner(live Object) string {
	if o := metav1.GetControllerOf(live); o != nil {
		return fmt.Sprintf("that of %s %s", o.Kind, o.Name)
	}
	return "not the Gateway's"
}

// refused is the problem where the API server does not take an object for what is in it, or for what the namespace may have.
func refused(g *gwapiv1.Gateway, what string, err error) *problem.Problem {
	var wrong problem.Problem
	switch {
	case apierrors.IsInvalid(err) && blames(err, "metadata.uid"):
		return nil // another object has appeared since
	case apierrors.IsInvalid(err) && blames(err, "spec.clusterIP", "spec.loadBalancerIP", "spec.ipFamil"):
		wrong = about(g, string(gwapiv1.GatewayReasonAddressNotUsable), "spec.addresses", fmt.Sprintf("%s is refused: %s", what, err),
			"ask for an address that the cluster can give, or for none")
	case apierrors.IsInvalid(err):
		wrong = about(g, string(gwapiv1.GatewayReasonInvalid), "spec.infrastructure", fmt.Sprintf("%s is refused: %s", what, err),
			"mend the GatewayParameters that it names, or its labels and annotations")
	case apierrors.IsForbidden(err):
		wrong = about(g, string(gwapiv1.GatewayReasonNoResources), "", fmt.Sprintf("%s is refused: %s", what, err),
			"see the quotas of the namespace, and the rights of the controller")
	default:
		return nil
	}
	return &wrong
}

// blames reports whether an object is refused for a field that begins so.
func blames(err error, prefixes ...string) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(cause metav1.StatusCause) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(cause.Field, prefix) })
	})
}
