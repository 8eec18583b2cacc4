package pods

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ebbgate/ebbgate/internal/plan"
)

const (
	maxAddresses = 4   // of one Pod; Kubernetes has one of each family
	maxName      = 253 // bytes of what a Pod's maker is called: whoever creates the Pod says it, and the API server takes any
)

// pod is what is kept of a Pod.
type pod struct {
	metav1.TypeMeta
	metav1.ObjectMeta // name, namespace, UID, version, owner and when it has to be gone
	scheduled         bool
	serviceAccount    string
	addresses         []netip.Addr
}

// DeepCopyObject makes it a runtime.Object. Nothing changes one.
func (p *pod) DeepCopyObject() runtime.Object { return p }

// owner is who made an object.
type owner struct {
	kind, name string
	uid        types.UID
}

func ownerOf(references []metav1.OwnerReference) *owner {
	for i := range references {
		if r := &references[i]; controls(r) {
			return &owner{r.Kind, r.Name, r.UID}
		}
	}
	return nil
}

// controls reports whether a reference is to the maker, called what an object can be called.
func controls(r *metav1.OwnerReference) bool {
	return r.Controller != nil && *r.Controller && len(r.Kind) <= maxName && len(r.Name) <= maxName
}

// meta keeps of an object's metadata what is used.
func meta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	kept := metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, DeletionTimestamp: m.DeletionTimestamp,
	}
	for _, r := range m.OwnerReferences {
		if controls(&r) {
			kept.OwnerReferences = []metav1.OwnerReference{r}
		}
	}
	return kept
}

// slim makes a pod of a Pod.
func slim(object any) (any, error) {
	from, ok := object.(*corev1.Pod)
	if !ok { // the tombstone of a deletion that was missed
		return object, nil
	}
	return &pod{
		ObjectMeta: meta(&from.ObjectMeta), scheduled: from.Spec.NodeName != "",
		serviceAccount: cmp.Or(from.Spec.ServiceAccountName, "default"), addresses: addresses(from),
	}, nil
}

// slimOwner keeps of an owner who made it.
func slimOwner(object any) (any, error) {
	from, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: from.TypeMeta, ObjectMeta: meta(&from.ObjectMeta)}, nil
}

// addresses are those that are the Pod's alone. In its node's network it has none: there its address is every other such
// Pod's as well, and the node's own.
func addresses(p *corev1.Pod) []netip.Addr {
	if p.Spec.HostNetwork {
		return nil
	}
	node := []string{p.Status.HostIP}
	for _, ip := range p.Status.HostIPs {
		node = append(node, ip.IP)
	}
	written := []string{p.Status.PodIP}
	for _, ip := range p.Status.PodIPs {
		written = append(written, ip.IP)
	}
	var list []netip.Addr
	for _, text := range written {
		a, err := netip.ParseAddr(text)
		a = a.Unmap()
		if err != nil || slices.Contains(list, a) || slices.ContainsFunc(node, func(of string) bool { return same(of, a) }) {
			continue
		}
		if !a.IsGlobalUnicast() || a.Zone() != "" || len(list) == maxAddresses {
			continue
		}
		list = append(list, a)
	}
	return list
}

func same(text string, a netip.Addr) bool {
	other, err := netip.ParseAddr(text)
	return err == nil && other.Unmap() == a
}

// workload is what is told of a pod; nil where no node has it. up finds who made an owner.
func (p *pod) workload(up func(namespace string, of *owner) *owner) *plan.Workload {
	if !p.scheduled {
		return nil
	}
	w := &plan.Workload{
		Name: plan.ObjectName("Pod", p.Namespace, p.Name), UID: string(p.UID), ServiceAccount: p.serviceAccount,
		Addresses: p.addresses, Ending: p.DeletionTimestamp != nil,
	}
	made := ownerOf(p.OwnerReferences)
	for range len(between) { // Pod → ReplicaSet → Deployment, Pod → Job → CronJob
		if made == nil {
			break
		}
		w.Owner = made.kind + "/" + made.name
		made = up(p.Namespace, made)
	}
	return w
}

// byOwner is the index of Pods by who made them.
const byOwner = "owner"

func ownersOf(object any) ([]string, error) {
	p, ok := object.(*pod)
	if !ok {
		return nil, nil
	}
	if made := ownerOf(p.OwnerReferences); made != nil {
		return []string{made.kind + "/" + p.Namespace + "/" + made.name}, nil
	}
	return nil, nil
}
