package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ebbgate/ebbgate/internal/source"
)

// broken is an object that could not be read.
type broken struct {
	metav1.PartialObjectMetadata
	targets source.Object // what has its targets and its status alone; nil where it has no targets
	why     string
}

// decode makes an object's Go type of what the API server sent, without what nobody here reads.
func (s *Source) decode(kind string, object any) any {
	u, ok := object.(*unstructured.Unstructured)
	if !ok { // the tombstone of a deletion that was missed
		return object
	}
	u.SetManagedFields(nil)
	annotations := u.GetAnnotations()
	if _, applied := annotations[corev1.LastAppliedConfigAnnotation]; applied {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		u.SetAnnotations(annotations)
	}
	typed, err := s.schema.Decode(u)
	if err == nil {
		return typed
	}
	s.grumble(kind, fmt.Errorf("%s/%s keeps its last good version; a policy that has none closes its targets: %w", u.GetNamespace(), u.GetName(), err))
	b := &broken{why: err.Error()}
	b.Namespace, b.Name, b.UID, b.ResourceVersion = u.GetNamespace(), u.GetName(), u.GetUID(), u.GetResourceVersion()
	if targets, written, _ := unstructured.NestedSlice(u.Object, "spec", "targetRefs"); written {
		u.Object["spec"] = map[string]any{"targetRefs": targets}
		b.targets, _ = s.schema.Decode(u) // nil where not even these can be read
	}
	return b
}
