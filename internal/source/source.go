// Package source is what the two sources of configuration have in common: a folder of YAML (source/file) and the
// Kubernetes API deliver snapshots of typed objects; they add no meaning.
package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is a typed, defaulted and schema-checked object.
type Object interface {
	metav1.Object
	runtime.Object
}

// Snapshot is everything that is configured at one moment. Objects are immutable; an unchanged object keeps its pointer
// from snapshot to snapshot.
type Snapshot struct {
	Objects map[string]Object // by plan.ObjectName; the namespace of a cluster-scoped object is empty: "GatewayClass//ebbgate"

	// Unread are the policies, routes and Backends, by their name in Objects, of which nothing but targetRefs, parentRefs and
	// the status could be read, and why: they were never read whole. What they are to do nobody knows. May be nil.
	Unread map[string]string

	// Locate tells the file and line of an object's field ("spec.rules[0].matches"), or of the nearest field above it
	// that is written; empty and 0 where unknown. May be nil.
	Locate func(object, field string) (file string, line int)
}
