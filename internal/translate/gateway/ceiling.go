package gateway

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Ceilings finds the parameters of GatewayClasses, and remembers of each the last that could be used: while those that
// it names cannot be, these stay in force. A class has to be the same object for that, not one of the same name.
type Ceilings struct{ good map[string]remembered }

type remembered struct {
	class      types.UID
	parameters *v1alpha1.GatewayParameters
}

// NewCeilings remembers nothing yet.
func NewCeilings() *Ceilings { return &Ceilings{map[string]remembered{}} }

// Find resolves spec.parametersRef of a class of ours.
func (c *Ceilings) Find(r *derive.Reader, in *attach.Inputs, key string, class *gwapiv1.GatewayClass) map[string]*attach.Ceiling {
	if class.Spec.ControllerName != attach.Controller {
		delete(c.good, key)
		return nil
	}
	if class.Spec.ParametersRef == nil {
		delete(c.good, key)
		return map[string]*attach.Ceiling{key: {Known: true}}
	}
	parameters, wrong := ceiling(r, in, class.Spec.ParametersRef)
	if wrong == nil {
		c.good[key] = remembered{class.UID, parameters}
		return map[string]*attach.Ceiling{key: {Known: true, Parameters: parameters}}
	}
	last, known := c.good[key]
	if known = known && last.class == class.UID; !known {
		delete(c.good, key)
		last = remembered{}
	}
	return map[string]*attach.Ceiling{key: {Known: known, Parameters: last.parameters, Wrong: wrong}}
}

func ceiling(r *derive.Reader, in *attach.Inputs, ref *gwapiv1.ParametersReference) (*v1alpha1.GatewayParameters, *attach.Wrong) {
	wrong := func(message, mend string) *attach.Wrong {
		return &attach.Wrong{Reason: string(gwapiv1.GatewayClassReasonInvalidParameters), Message: message, Mend: mend}
	}
	name := ClassParameters(ref)
	if name == "" {
		return nil, wrong(fmt.Sprintf("%s of group %q, in namespace %q, holds no parameters of Gateways", ref.Kind, ref.Group, attach.Or(ref.Namespace, "")),
			"name a GatewayParameters of group "+attach.Group+" and its namespace")
	}
	parameters, ok := derive.Get(r, in.Parameters.Collection, name)
	if !ok {
		return nil, wrong(attach.Words(name)+" does not exist", "create it, or leave the reference out")
	}
	if _, found := settings(r, in, limit(nil, parameters)); len(found) > 0 {
		return nil, wrong(fmt.Sprintf("%s: %s: %s", attach.Words(name), found[0].Field, found[0].Message), found[0].Mend)
	}
	return parameters, nil
}

// ClassParameters is the plan name of the GatewayParameters that a class names; empty where it names something else.
func ClassParameters(ref *gwapiv1.ParametersReference) string {
	if ref == nil || ref.Group != attach.Group || ref.Kind != "GatewayParameters" || attach.Or(ref.Namespace, "") == "" {
		return ""
	}
	return plan.ObjectName("GatewayParameters", string(*ref.Namespace), ref.Name)
}

// ClassByParameters finds classes of ours by the GatewayParameters that they name.
func ClassByParameters(_ string, class *gwapiv1.GatewayClass) []string {
	if name := ClassParameters(class.Spec.ParametersRef); name != "" && class.Spec.ControllerName == attach.Controller {
		return []string{name}
	}
	return nil
}
