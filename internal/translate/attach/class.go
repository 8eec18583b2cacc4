package attach

import (
	"github.com/ebbgate/ebbgate/api/v1alpha1"
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
	ClassRefused // ours, and nobody knows the parameters that it asks for
)

// Ceiling is what a class of ours says of the parameters of its Gateways.
type Ceiling struct {
	Known      bool                        // false: they cannot be used, and there are none from before
	Parameters *v1alpha1.GatewayParameters // in force; nil: none are asked for
	Wrong      *Wrong                      // why those asked for cannot be used
}

// Ceiling are the parameters of a class that are in force; nil where there are none.
func (in *Inputs) Ceiling(r *derive.Reader, class string) *v1alpha1.GatewayParameters {
	if ceiling, ok := derive.Get(r, in.Ceilings, plan.ObjectName("GatewayClass", "", class)); ok {
		return ceiling.Parameters
	}
	return nil
}

// Class tells whose a GatewayClass is, by its name.
func (in *Inputs) Class(r *derive.Reader, name string) Ownership {
	class, ok := derive.Get(r, in.Classes.Collection, plan.ObjectName("GatewayClass", "", name))
	switch {
	case !ok && !in.Kubernetes && name == ImplicitClass:
		return ClassOurs
	case !ok || class.Spec.ControllerName != Controller:
		return ClassForeign
	}
	if ceiling, ok := derive.Get(r, in.Ceilings, plan.ObjectName("GatewayClass", "", name)); !ok || !ceiling.Known {
		return ClassRefused
	}
	return ClassOurs
}
