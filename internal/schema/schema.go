// Package schema defaults and checks what users write, offline and as an API server would: the CRDs' own OpenAPI schemas,
// list types and CEL rules for our kinds and the Gateway API's, strict decoding for the few core kinds we read. Unlike
// an API server it takes an unknown field for an error, and it says how to mend what it finds. It decides nothing about
// meaning: whether a reference leads anywhere is translate's business. source/file and the command `validate` call it.
//
// Everything is compiled on first use, CEL rules one schema node at a time: nearly all of the cost is CEL's, and
// compiling every rule of every kind would eat most of the 0.3 s that a start may take (BenchmarkFolderCold).
package schema

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ebbgate/ebbgate/deploy/crds"
)

// Validator defaults, checks and decodes objects. It may be used by several goroutines at once, on different objects.
type Validator struct {
	kinds  map[schema.GroupKind]*kind
	groups map[string]bool
}

// kind is one kind that we read.
type kind struct {
	schema.GroupKind
	namespaced bool
	versions   []string
	checker    checker
	validName  nameRule
}

// checker checks all of an object but its metadata, and sets defaults in it.
type checker interface {
	check(ctx context.Context, obj *unstructured.Unstructured) []Issue
}

// New returns a Validator. It compiles nothing yet.
func New() *Validator {
	entries, err := crds.Index()
	if err != nil {
		panic(err) // the index is embedded: only a broken build gets here
	}
	v := &Validator{kinds: make(map[schema.GroupKind]*kind), groups: make(map[string]bool)}
	for _, entry := range entries {
		gk := schema.GroupKind{Group: entry.Group, Kind: entry.Kind}
		v.groups[entry.Group] = true
		v.kinds[gk] = &kind{
			GroupKind:  gk,
			namespaced: entry.Namespaced,
			versions:   entry.Versions,
			checker:    &customKind{file: entry.File},
			validName:  subdomainName,
		}
	}
	for _, k := range coreKinds() {
		v.kinds[k.GroupKind] = k
	}
	return v
}

// Kind is a kind that is read, in the versions that it may be written in, the preferred one first.
type Kind struct {
	schema.GroupKind
	Versions []string
}

// Kinds are those that are read, by group and kind.
func (v *Validator) Kinds() []Kind {
	list := make([]Kind, 0, len(v.kinds))
	for gk, k := range v.kinds {
		list = append(list, Kind{gk, k.versions})
	}
	slices.SortFunc(list, func(a, b Kind) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
	})
	return list
}

// Namespaced says whether objects of a kind live in namespaces. Kinds that are not served do not.
func (v *Validator) Namespaced(gk schema.GroupKind) bool {
	k := v.kinds[gk]
	return k != nil && k.namespaced
}

// Check sets the schema's defaults in obj, the namespace "default" included, and returns everything that is wrong with
// it, ordered by field; nothing means an API server would take it. What nobody knows is removed from obj, and so is
// status, which is not the user's to write. The values in obj must be those that JSON decoding gives (int64 or float64).
func (v *Validator) Check(ctx context.Context, obj *unstructured.Unstructured) []Issue {
	gvk := obj.GroupVersionKind()
	if known, _ := v.Serves(gvk); !known {
		return []Issue{v.unserved(gvk)}
	}
	k := v.kinds[gvk.GroupKind()]
	issues := k.checkMetadata(obj)
	issues = append(issues, k.checker.check(ctx, obj)...)
	if gvk.GroupKind() == secretKind {
		for i := range issues {
			issues[i].hide()
		}
	}
	slices.SortStableFunc(issues, func(a, b Issue) int { return strings.Compare(a.Field, b.Field) })
	return slices.Compact(issues)
}
