package route

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// partiallyInvalid is the standard's condition of a route some of whose rules are not served.
const partiallyInvalid = string(gwapiv1.RouteConditionPartiallyInvalid)

// fault keeps what is refused from being served: the rules that it belongs to, or all of them where it belongs to none or
// leaves none. They stay in the plan, so that no other rule takes their traffic.
func (t *Translated) fault(key string) {
	whole, valid := false, 0
	for i, rule := range t.Rules {
		own := false
		for _, p := range attach.About(attach.Accepted, t.Problems) {
			prefix := fmt.Sprintf("spec.rules[%d]", i)
			if strings.HasPrefix(p.Field, prefix) && !p.Warning {
				rule.Fault, own = &plan.Fault{Reason: p.Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(key), p.Field, p.Message)}, true
				break
			}
		}
		if !own {
			valid++
		}
	}
	for _, p := range attach.About(attach.Accepted, t.Problems) {
		whole = whole || !strings.HasPrefix(p.Field, "spec.rules[")
	}
	switch {
	case whole:
		p := attach.About(attach.Accepted, t.Problems)[0]
		for _, rule := range t.Rules {
			rule.Fault = &plan.Fault{Reason: p.Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(key), p.Field, p.Message)}
		}
	case valid > 0:
		for i := range t.Problems {
			if p := &t.Problems[i]; p.Condition == attach.Accepted && !p.Warning {
				p.Condition = partiallyInvalid
			}
		}
	}
}

// partial adds the condition of a route some of whose rules are not served, in the words that the standard wants.
func partial(conditions *attach.Conditions, t *Translated) {
	if about := attach.About(partiallyInvalid, t.Problems); len(about) > 0 {
		conditions.Add(partiallyInvalid, metav1.ConditionTrue, string(gwapiv1.RouteReasonUnsupportedValue),
			"Dropped Rule: what it would take is answered 500: "+attach.Message(about))
	}
}
