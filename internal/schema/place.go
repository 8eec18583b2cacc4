package schema

import (
	"cmp"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
)

// groups are those of the kinds that references name.
var groups = map[string]string{
	"Backend": v1alpha1.GroupName, "GatewayParameters": v1alpha1.GroupName,
	"GatewayClass": gwapiv1.GroupName, "Gateway": gwapiv1.GroupName, "HTTPRoute": gwapiv1.GroupName, "GRPCRoute": gwapiv1.GroupName,
	"XBackend": gwapixv1alpha1.GroupName,
	"Service":  corev1.GroupName, "ConfigMap": corev1.GroupName, "Secret": corev1.GroupName,
}

// placed is the mend for an error whose field says more than its schema does; empty where it does not. The schemas have one
// type of reference for every place.
func placed(err *field.Error, obj map[string]any) string {
	list, name := parent(err.Field)
	at := steps(list)
	for len(at) > 0 && at[len(at)-1].element {
		at = at[:len(at)-1]
	}
	within := ""
	if len(at) > 0 {
		within = at[len(at)-1].name
	}
	switch {
	case name == "maxAge" && within == "cors" && err.Type == field.ErrorTypeTypeInvalid:
		return "write a number of seconds, such as 600"
	case err.Type != field.ErrorTypeRequired:
	case within == "trustedPeers" && name == "namespaces":
		return `write those for whose clients the peer may speak, such as [team-a], or ["*"]`
	case within == "caCertificateRefs" && name == "group":
		return `write group: ""`
	case within == "caCertificateRefs" && name == "kind":
		return "write kind: ConfigMap, or Secret"
	case (within == "targetRefs" || within == "parametersRef") && name == "group":
		reference, _ := value(obj, list).(map[string]any)
		kind, _ := reference["kind"].(string)
		if group, known := groups[kind]; known {
			return "write group: " + cmp.Or(group, `""`)
		}
	}
	return ""
}

// value is what an object has at a path; nil where that leads nowhere.
func value(in any, path string) any {
	for _, s := range steps(path) {
		switch holder := in.(type) {
		case map[string]any:
			in = holder[s.name]
		case []any:
			index, err := strconv.Atoi(s.name)
			if err != nil || index < 0 || index >= len(holder) {
				return nil
			}
			in = holder[index]
		default:
			return nil
		}
	}
	return in
}

// elsewhere is the mend for a field of an HTTPRoute's rule that a GRPCRoute's has not; empty for others.
func elsewhere(kind, path string) string {
	above, name := parent(path)
	at := steps(above)
	if kind != "GRPCRoute" || len(at) != 3 || at[1].name != "rules" {
		return ""
	}
	switch name {
	case "timeouts":
		return "leave it out: an EgressPolicy on the route has timeouts"
	case "retry":
		return "leave it out: what was never sent is sent again by itself"
	}
	return ""
}
