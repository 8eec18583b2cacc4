// Package backendtraffic is the policy kind XBackendTrafficPolicy, the standard's: how many of a destination's requests may
// be retries, and whether a client stays with one endpoint. It sets the engine's knobs; it counts, repeats and remembers
// nothing. policy/order lists it; translate and proxy's engine call it through policy.Kind.
package backendtraffic

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// Config is the plan's form of an XBackendTrafficPolicy.
type Config struct {
	Budget  *Budget       `json:"retryConstraint,omitempty" policy:"setting"`
	Session *plan.Session `json:"sessionPersistence,omitempty" policy:"setting"`
}

// Budget bounds the retries to a share of the requests of an interval, with a floor that is always allowed (GEP-3388).
type Budget struct {
	Percent       int           `json:"percent"`
	Interval      time.Duration `json:"interval"`
	Floor         int           `json:"floor"`
	FloorInterval time.Duration `json:"floorInterval"`
}

// Object is an XBackendTrafficPolicy with the methods of a policy.
type Object struct {
	*gwapixv1alpha1.XBackendTrafficPolicy
}

// TargetReferences are the policy's spec.targetRefs, which have no sections.
func (o Object) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	list := make([]gwapiv1.LocalPolicyTargetReferenceWithSectionName, len(o.Spec.TargetRefs))
	for i, ref := range o.Spec.TargetRefs {
		list[i].LocalPolicyTargetReference = ref
	}
	return list
}

// PolicyStatus is where the policy's conditions stand.
func (o Object) PolicyStatus() *gwapiv1.PolicyStatus { return &o.Status }

// Kind describes XBackendTrafficPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name:   name,
		Group:  gwapixv1alpha1.GroupName,
		Attach: []plan.TargetKind{plan.TargetBackend},
		Object: func(object runtime.Object) policy.Object {
			if p, ok := object.(*gwapixv1alpha1.XBackendTrafficPolicy); ok {
				return Object{p}
			}
			return nil
		},
		Config:    func() any { return new(Config) },
		Translate: translate,
		Effective: effective,
		Apply:     apply,
	}
}
