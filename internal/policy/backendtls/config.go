// Package backendtls is the policy kind BackendTLSPolicy, the standard's: what proves a Service's port, or a Backend that
// states no TLS, to us, and us to it by certificate. It sets the engine's TLS setting; it shakes no hand and reads no
// certificate. policy/order lists it; translate and proxy's engine call it through policy.Kind.
package backendtls

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// Config is the plan's form of a BackendTLSPolicy.
type Config struct {
	TLS *plan.TLS `json:"tls,omitempty" policy:"setting"`
}

// Object is a BackendTLSPolicy with the methods of a policy.
type Object struct{ *gwapiv1.BackendTLSPolicy }

// TargetReferences are the policy's spec.targetRefs.
func (o Object) TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName {
	return o.Spec.TargetRefs
}

// PolicyStatus is where the policy's conditions stand.
func (o Object) PolicyStatus() *gwapiv1.PolicyStatus { return &o.Status }

// Kind describes BackendTLSPolicy.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name:   "BackendTLSPolicy",
		Group:  gwapiv1.GroupName,
		Attach: []plan.TargetKind{plan.TargetBackend, plan.TargetPort},
		Object: func(object runtime.Object) policy.Object {
			if p, ok := object.(*gwapiv1.BackendTLSPolicy); ok {
				return Object{p}
			}
			return nil
		},
		Refuses:   refuses,
		Whole:     true,
		Config:    func() any { return new(Config) },
		Translate: translate,
		Apply:     apply,
	}
}

// refuses leaves TLS to a destination that states it itself, of which an XBackend is always one.
func refuses(target runtime.Object) (reason gwapiv1.PolicyConditionReason, message, mend string) {
	switch b := target.(type) {
	case *v1alpha1.Backend:
		if b.Spec.TLS != nil {
			return gwapiv1.PolicyReasonConflicted, "the Backend's own spec.tls says how it is verified", "write it in one of the two"
		}
	case *unstructured.Unstructured:
		return gwapiv1.PolicyReasonInvalid, "an XBackend says itself how it is verified", "write spec.tls of the XBackend"
	}
	return "", "", ""
}
