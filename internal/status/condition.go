package status

import (
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// ours are the types of conditions of Gateways and GatewayClasses that translate judges, apart from those of our own domain.
var ours = []string{
	attach.Accepted, attach.Programmed, attach.ResolvedRefs, string(gwapiv1.GatewayClassConditionStatusSupportedVersion),
	string(gwapiv1.GatewayConditionInsecureFrontendValidationMode),
}

// conditionOfOurs reports whether a condition is ours to write and to take away.
func conditionOfOurs(c map[string]any) bool {
	kind, _ := c["type"].(string)
	return slices.Contains(ours, kind) || strings.HasPrefix(kind, attach.Group+"/")
}
