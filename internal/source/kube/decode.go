package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// decode makes an object's Go type of what the API server sent, without what nobody here reads. One that does not fit its
// type is its metadata alone.
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
	s.grumble(kind, fmt.Errorf("%s/%s keeps its last good version: %w", u.GetNamespace(), u.GetName(), err))
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: u.GetAPIVersion(), Kind: u.GetKind()},
		ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion()},
	}
}
