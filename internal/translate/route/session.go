package route

import (
	"fmt"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/session"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
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

// sessionNames warns of rules that give their sessions one cookie: their cookies have the same path, so that a client
// keeps the latest alone.
func (b *builder) sessionNames() {
	first := map[string]int{}
	for i := range b.route.Rules {
		s := b.route.Rules[i].SessionPersistence
		if s == nil || attach.Or(s.SessionName, "") == "" || attach.Or(s.Type, string(gwapiv1.CookieBasedSessionPersistence)) != string(gwapiv1.CookieBasedSessionPersistence) {
			continue
		}
		other, shared := first[*s.SessionName]
		if !shared {
			first[*s.SessionName] = i
			continue
		}
		b.problems.Warn("", "SessionNameShared", fmt.Sprintf("spec.rules[%d].sessionPersistence.sessionName", i),
			fmt.Sprintf("rules[%d] and rules[%d] share the session name %s: each replaces the other's cookie", other, i, *s.SessionName), "give them different names")
	}
}
