// Package session reads the standard's session persistence (GEP-1619) into the plan's. It keeps no session: the data path
// does. The kinds of policy with sessionPersistence and translate/route call it.
package session

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// longestName is what SessionPersistence.sessionName has room for.
const longestName = 128

// Translate reads a session persistence; nil is not written. Owner tells its default name apart from others'. What cannot be used is given to refuse under its field.
func Translate(refuse func(field, message, mend string), field, owner string, written *gwapiv1.SessionPersistence) *plan.Session {
	if written == nil {
		return nil
	}
	s := &plan.Session{Type: plan.SessionCookie, Name: defaultName(owner)}
	if written.Type != nil {
		s.Type = plan.SessionType(*written.Type)
	}
	if written.SessionName != nil && *written.SessionName != "" {
		s.Name = *written.SessionName
	}
	switch {
	case s.Type != plan.SessionCookie && s.Type != plan.SessionHeader:
		refuse(field+".type", fmt.Sprintf("type %s is not supported", s.Type), "write Cookie or Header")
	case len(s.Name) > longestName || strings.ContainsFunc(s.Name, func(c rune) bool { return !token(c) }):
		// Of a cookie (RFC 6265, section 4.1.1) and of a field alike.
		refuse(field+".sessionName", "not a token (RFC 9110, section 5.6.2)", "write a name of letters, digits and dashes")
	case s.Type == plan.SessionHeader && exchange.Reserved(s.Name):
		refuse(field+".sessionName", "field "+s.Name+" frames messages or belongs to one hop, and carries no session", "write another name")
	}
	if d := written.AbsoluteTimeout; d != nil {
		var err error
		if s.Absolute, err = time.ParseDuration(string(*d)); err != nil || s.Absolute < 0 {
			s.Absolute = 0
			refuse(field+".absoluteTimeout", "not a duration", "write one such as 30m or 24h")
		}
	}
	cookie(refuse, field, s, written.CookieConfig)
	return s
}

func cookie(refuse func(field, message, mend string), field string, s *plan.Session, written *gwapiv1.CookieConfig) {
	switch {
	case written == nil:
	case s.Type != plan.SessionCookie:
		refuse(field+".cookieConfig", "a session in a field has no cookie", "leave it out, or write type: Cookie")
	case written.LifetimeType == nil || *written.LifetimeType == gwapiv1.SessionCookieLifetimeType:
	case *written.LifetimeType != gwapiv1.PermanentCookieLifetimeType:
		refuse(field+".cookieConfig.lifetimeType", fmt.Sprintf("lifetime %s is not supported", *written.LifetimeType), "write Session or Permanent")
	default:
		if s.Permanent = true; s.Absolute == 0 {
			refuse(field+".absoluteTimeout", "a permanent cookie needs a lifetime above zero", "write one such as 24h")
		}
	}
}

// defaultName tells clients nothing of the configuration, and is the same on every replica.
func defaultName(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "session-" + hex.EncodeToString(sum[:6])
}

// token reports a character of a token (RFC 9110, section 5.6.2).
func token(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
