package route

import (
	"fmt"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/session"
)

// session is a rule's session persistence (GEP-1619). Its default name is the same after every change of the rule; of a
// named one, after a change of its place too.
func (b *builder) session(field, key string, index int, rule *gwapiv1.HTTPRouteRule) *plan.Session {
	owner := fmt.Sprintf("%s#%d", key, index)
	if rule.Name != nil {
		owner = key + "/" + string(*rule.Name)
	}
	return session.Translate(b.refuse, field, owner, rule.SessionPersistence)
}
