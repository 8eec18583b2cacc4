package route

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// longestSession is what SessionPersistence.sessionName has room for.
const longestSession = 128

// session is a rule's session persistence (GEP-1619).
func (b *builder) session(field, key string, index int, rule *gwapiv1.HTTPRouteRule) *plan.Session {
	spec := rule.SessionPersistence
	if spec == nil {
		return nil
	}
	s := &plan.Session{
		Type: plan.SessionType(attach.Or(spec.Type, string(plan.SessionCookie))), Name: attach.Or(spec.SessionName, sessionName(key, index, rule)),
		Absolute: max(b.duration(field+".absoluteTimeout", spec.AbsoluteTimeout), 0),
	}
	switch {
	case strings.ContainsFunc(s.Name, func(c rune) bool { return !tokenCharacter(c) }) || len(s.Name) > longestSession:
		// Of a cookie (RFC 6265, section 4.1.1) and of a field alike.
		b.refuse(field+".sessionName", "not a token (RFC 9110, section 5.6.2)", "write a name of letters, digits and dashes")
	case s.Type == plan.SessionHeader && exchange.Reserved(s.Name):
		b.refuse(field+".sessionName", "field "+s.Name+" frames messages or belongs to one hop, and carries no session", "write another name")
	}
	if s.Type != plan.SessionCookie && s.Type != plan.SessionHeader {
		b.refuse(field+".type", fmt.Sprintf("type %s is not supported", s.Type), "write Cookie or Header")
	}
	if spec.CookieConfig == nil {
		return s
	}
	switch lifetime := gwapiv1.CookieLifetimeType(attach.Or(spec.CookieConfig.LifetimeType, string(gwapiv1.SessionCookieLifetimeType))); {
	case s.Type != plan.SessionCookie:
		b.refuse(field+".cookieConfig", "a session in a field has no cookie", "leave it out, or write type: Cookie")
	case lifetime == gwapiv1.PermanentCookieLifetimeType:
		if s.Permanent = true; s.Absolute == 0 {
			b.refuse(field+".absoluteTimeout", "a permanent cookie needs a lifetime above zero", "write one such as 24h")
		}
	case lifetime != gwapiv1.SessionCookieLifetimeType:
		b.refuse(field+".cookieConfig.lifetimeType", fmt.Sprintf("lifetime %s is not supported", lifetime), "write Session or Permanent")
	}
	return s
}

// sessionName is the default name of a rule's session. It tells clients nothing of the configuration, and is the same on
// every replica and after every change of the rule; of a named one, after a change of its place too.
func sessionName(key string, index int, rule *gwapiv1.HTTPRouteRule) string {
	identity := fmt.Sprintf("%s#%d", key, index)
	if rule.Name != nil {
		identity = key + "/" + string(*rule.Name)
	}
	sum := sha256.Sum256([]byte(identity))
	return "session-" + hex.EncodeToString(sum[:6])
}
