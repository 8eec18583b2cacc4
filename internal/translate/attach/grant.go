package attach

import (
	"fmt"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
)

// Party is one end of a reference between objects.
type Party struct{ Group, Kind, Namespace, Name string }

// Permitted reports whether an object may refer to another: in its own namespace always, elsewhere by a ReferenceGrant
// in the namespace of the one referred to.
func (in *Inputs) Permitted(r *derive.Reader, from, to Party) bool {
	if from.Namespace == to.Namespace {
		return true
	}
	for _, grant := range derive.Select(r, in.grantsByNamespace, to.Namespace) {
		if grantsFrom(grant, from) && grantsTo(grant, to) {
			return true
		}
	}
	return false
}

func grantsFrom(grant *gwapiv1.ReferenceGrant, from Party) bool {
	for _, f := range grant.Spec.From {
		if string(f.Group) == from.Group && string(f.Kind) == from.Kind && string(f.Namespace) == from.Namespace {
			return true
		}
	}
	return false
}

func grantsTo(grant *gwapiv1.ReferenceGrant, to Party) bool {
	for _, t := range grant.Spec.To {
		if string(t.Group) == to.Group && string(t.Kind) == to.Kind && (t.Name == nil || *t.Name == "" || string(*t.Name) == to.Name) {
			return true
		}
	}
	return false
}

// NotPermitted says what a reference lacks, and what would mend it.
func NotPermitted(from, to Party) (message, mend string) {
	message = fmt.Sprintf("%s %s/%s is in another namespace and no ReferenceGrant there admits %s of namespace %s",
		to.Kind, to.Namespace, to.Name, from.Kind, from.Namespace)
	mend = fmt.Sprintf("add a ReferenceGrant in namespace %s from %s (group %q) of namespace %s to %s (group %q)",
		to.Namespace, from.Kind, from.Group, from.Namespace, to.Kind, to.Group)
	return message, mend
}
