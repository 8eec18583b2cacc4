package kube

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ebbgate/ebbgate/internal/source"
)

// broken is an object that could not be read.
type broken struct {
	metav1.PartialObjectMetadata
	rest source.Object // what has of its spec alone what says where it belongs, and its status; nil where that cannot be read
	why  string
}

const maxWhy = 1000 // bytes of why an object could not be read: it may name each of its fields

// places are the fields of a spec that say where an object belongs: what a policy is on, and what a route is of.
var places = []string{"targetRefs", "parentRefs"}

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
	s.grumble(kind, fmt.Errorf("%s/%s keeps its last good version; without one a policy closes its targets, and a route or a Backend is not served: %w", u.GetNamespace(), u.GetName(), err))
	why := err.Error()
	b := &broken{why: strings.ToValidUTF8(why[:min(len(why), maxWhy)], "")}
	b.Namespace, b.Name, b.UID, b.ResourceVersion = u.GetNamespace(), u.GetName(), u.GetUID(), u.GetResourceVersion()
	spec := map[string]any{}
	for _, field := range places {
		if list, written, _ := unstructured.NestedSlice(u.Object, "spec", field); written {
			spec[field] = list
		}
	}
	if len(spec) > 0 || kind == "Backend" { // which belongs wherever it is named
		u.Object["spec"] = spec
		b.rest, _ = s.schema.Decode(u) // nil where not even this can be read
	}
	return b
}
