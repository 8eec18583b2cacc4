package guardrails

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

func translate(refs policy.References, object policy.Object) any {
	spec := &object.(*v1alpha1.GuardRailsPolicy).Spec
	c := &Config{Mode: string(spec.Mode)}
	if h := spec.Hosts; h != nil {
		c.AllowHosts, c.DenyHosts = names(h.Allow), names(h.Deny)
	}
	if a := spec.Addresses; a != nil {
		c.AllowPrivate = ranges.Translate(refs, "spec.addresses.allowPrivate", a.AllowPrivate)
		c.DenyRanges = ranges.Translate(refs, "spec.addresses.deny", a.Deny)
	}
	if l := spec.Limits; l != nil {
		c.RequestBody, c.HeaderBytes = bytes(l.RequestBody), bytes(l.HeaderBytes)
	}
	return c
}

func bytes(q *resource.Quantity) int64 {
	if q == nil {
		return 0
	}
	return q.Value()
}

func names(patterns []v1alpha1.HostPattern) []string {
	var list []string
	for _, p := range patterns {
		list = append(list, string(p))
	}
	return list
}
