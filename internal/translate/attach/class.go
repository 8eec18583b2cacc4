package attach

import (
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// ImplicitClass is the GatewayClass that exists standalone where nobody wrote it.
const ImplicitClass = "ebbgate"

// Ownership tells whose a GatewayClass is.
type Ownership uint8

// Whose a GatewayClass may be.
const (
	ClassForeign Ownership = iota // another controller's, or it does not exist
	ClassOurs
	ClassRefused // ours, and asks for what we do not have
)

// Class tells whose a GatewayClass is, by its name.
func (in *Inputs) Class(r *derive.Reader, name string) Ownership {
	class, ok := derive.Get(r, in.Classes.Collection, plan.ObjectName("GatewayClass", "", name))
	switch {
	case !ok && !in.Kubernetes && name == ImplicitClass:
		return ClassOurs
	case !ok || class.Spec.ControllerName != Controller:
		return ClassForeign
	case class.Spec.ParametersRef != nil:
		return ClassRefused
	}
	return ClassOurs
}
