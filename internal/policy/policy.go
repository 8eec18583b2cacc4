// Package policy is what a policy kind is: a descriptor for the control half (Kind) and stages for the data path. The
// machinery over it is generic: attachment, conflicts, conditions and status in translate; merging, steps and verdicts
// in proxy. A kind's own package under policy/ holds everything else that is peculiar to it; policy/order lists them.
package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// Object is a policy as its user wrote it.
type Object interface {
	metav1.Object
	runtime.Object
	// TargetReferences are its spec.targetRefs.
	TargetReferences() []gwapiv1.LocalPolicyTargetReferenceWithSectionName
	// PolicyStatus is where its conditions go.
	PolicyStatus() *gwapiv1.PolicyStatus
}

// Kind describes one kind of policy. The functions are pure.
type Kind struct {
	Name    string
	Group   string            // API group; empty for our own
	Attach  []plan.TargetKind // where targetRefs may point
	Enforce func(Object) bool // false in mode Report; nil for kinds without a mode

	// Object makes an Object of one of the standard's own API types, which have not its methods; nil for our own kinds.
	Object func(runtime.Object) Object

	// Refuses says why a backend that Attach admits cannot be a target after all: a reason of the condition Accepted, what
	// is wrong and what mends it; no reason where it can. Conflicted leaves the policy attached without effect. May be nil.
	Refuses func(target runtime.Object) (reason gwapiv1.PolicyConditionReason, message, mend string)

	// Whole says that of several policies in a chain the most specific alone counts, as one thing.
	Whole bool

	// Config is a pointer to the kind's empty config. Each field carries the tag `policy:"setting"` or
	// `policy:"restriction"`.
	Config func() any

	// Translate makes the config of an object that its schema allows. It resolves references through refs and reports
	// what is wrong there.
	Translate func(refs References, object Object) any

	// Effective says why an accepted policy, or a part of it, can have no effect on a target; empty where all has. The target is nil
	// where it is no backend. May be nil.
	Effective func(config any, target *plan.Backend) string

	// Idle says why a policy can have no effect on a destination that its Gateway's routes reach; empty where it has. others are the
	// configs of the policies, of all kinds, on that destination. May be nil.
	Idle func(config any, others []any) string

	// Unresolved is the reason of refusals while a policy of the kind refers to what is not there; empty for
	// configuration_invalid.
	Unresolved exchange.Reason
	// Partial says that the kind's stages refuse by themselves what a reference that leads nowhere concerns, so that the
	// rest of the policy stays in force. Else all that it protects fails closed.
	Partial bool

	// Restrict builds the stage of one policy's restrictions. Every policy of the chain has its own and all must pass:
	// thus denials unite, allow-lists intersect and the stricter number wins. nil where the kind has no restrictions or
	// this config states none.
	Restrict func(env Env, config any) (any, error)

	// Apply builds the stage of the merged settings of the chain; config is the kind's empty config where no policy
	// of the kind is in the chain. nil where there is nothing to do.
	Apply func(env Env, config any) (any, error)
}

// References resolves what an object refers to. Names returned are plan names; what is missing or not permitted is
// reported as a problem of the field and leaves the policy failing closed.
type References interface {
	// Secret resolves a key of a Secret; namespace empty means the object's own, another needs a ReferenceGrant. Each
	// check says what is wrong with the key's value without quoting it, or nothing; a value found wrong is reported, and
	// the name returned all the same, as the kind's stage refuses by itself those whom the value concerns.
	Secret(field, namespace, name, key string, checks ...func(value []byte) string) string
	// Authorities resolves ConfigMaps or Secrets of the object's own namespace that hold CA certificates under ca.crt. Where
	// there are some and none can be used, the policy is not accepted either.
	Authorities(field string, list []gwapiv1.LocalObjectReference) []string
	// KeyPair resolves a Secret with a certificate and its key; namespace as for Secret.
	KeyPair(field, namespace, name string) string
	// Backend resolves a Backend, an XBackend or a port of a Service, as the plan has it; another namespace than the object's
	// own needs a ReferenceGrant. Nil where it is not there or may not be used.
	Backend(field string, ref gwapiv1.BackendObjectReference) *plan.Backend
	// Rules are those that the object has as its targets, by themselves or with their route.
	Rules() []*plan.Rule
	// Invalid reports a value that the schema lets through and the kind cannot use.
	Invalid(field, message, mend string)
	// Warn reports a value that is used as written and hardly does what was meant.
	Warn(field, message, mend string)
	// Ineffective reports a value that has no effect.
	Ineffective(field, message, mend string)
	// Standalone reports that there is no Kubernetes.
	Standalone() bool
}

// Env is what stages are built from besides their config.
type Env struct {
	Kubernetes bool                           // false standalone
	Policy     string                         // Restrict: the policy; Apply: the most specific policy in force, or empty
	Secret     func(name string) *plan.Secret // nil where the plan has none of the name
}
