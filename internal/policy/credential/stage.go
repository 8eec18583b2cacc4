package credential

import (
	"context"
	"net/http"
	"strings"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

// stage is one CredentialInjector at work. It holds secrets sealed.
type stage struct {
	policy     string
	kubernetes bool
	strip      bool
	common     set
	perClient  []entry
	redact     func([]byte) []byte
}

type entry struct {
	clients clients.List
	set     set
}

// set is what is written for a client: all of it, or nothing.
type set struct {
	fields      []field
	unavailable unavailable
}

type field struct {
	name  string
	value sealed
}

// apply builds the stage. What a Secret lacks does not stop it: only the clients whose credential it is are refused.
func apply(env policy.Env, config any) (any, error) {
	c := config.(*Config)
	if c.Type == "" && c.APIKey == nil && c.Basic == nil {
		return nil, nil
	}
	s := &stage{policy: env.Policy, kubernetes: env.Kubernetes, strip: c.ClientCredentials != string(v1alpha1.ClientCredentialsKeep)}
	b := &builder{env: env}
	key, password := c.APIKey, c.Basic
	if c.Type == string(v1alpha1.CredentialTypeBasic) {
		key = nil
	} else {
		password = nil
	}
	s.common = b.set(key, password, c.Headers)
	for i := range c.PerClient {
		own := &c.PerClient[i]
		ownKey, ownPassword := own.APIKey, own.Basic
		if ownKey == nil && ownPassword == nil {
			ownKey, ownPassword = key, password
		}
		s.perClient = append(s.perClient, entry{own.Clients, b.set(ownKey, ownPassword, c.Headers, own.Headers)})
	}
	s.redact = plan.Blank(b.secrets...)
	return s, nil
}

// set makes the fields of one credential. Of several headers with one name the last given holds, and the credential
// holds before all of them.
func (b *builder) set(key *APIKey, password *Basic, lists ...[]Header) set {
	var s set
	for _, list := range lists {
		for _, h := range list {
			text, why := h.Value, unavailable("")
			if h.Secret != nil {
				text, why = b.field(*h.Secret)
			}
			s.put(h.Name, text, why)
		}
	}
	switch {
	case key != nil:
		text, why := b.field(key.Reference)
		s.put(key.Header, key.Prefix+text, why)
	case password != nil:
		text, why := b.basic(password)
		s.put(authorization, text, why)
	default:
		s.put(authorization, "", "the policy holds none of its type")
	}
	if s.unavailable != "" {
		s.fields = nil
	}
	return s
}

func (s *set) put(name, text string, why unavailable) {
	if why != "" && s.unavailable == "" {
		s.unavailable = why
	}
	for i := range s.fields {
		if exchange.EqualFold(s.fields[i].name, name) {
			s.fields[i] = field{name, seal(text)}
			return
		}
	}
	s.fields = append(s.fields, field{name, seal(text)})
}

// Tune tells that a credential is spent here.
func (s *stage) Tune(t *policy.Settings) { t.Credential = s.policy }

// Candidate says who may spend the credential where no policy names the clients: those of the route's own namespace,
// and standalone the loopback client.
func (s *stage) Candidate(_ context.Context, x *exchange.Exchange, c *policy.Candidate) *exchange.Refusal {
	switch {
	case strings.HasPrefix(c.Backend.Hostname, "*."):
		return exchange.Refuse(exchange.CredentialUnavailable, "the destination is a wildcard: its credential would go to whatever host is asked for")
	case exchange.EqualFold(x.Request.Method, http.MethodTrace): // whose answer is the request (RFC 9110, section 9.3.8)
		return exchange.Refuse(exchange.RequestNotAllowed, "TRACE would show the client the destination's credential")
	case c.Settings == nil || !c.Settings.ClientsNamed && !s.own(&x.Client, c.Namespace):
		return exchange.Refuse(exchange.ClientNotAllowed, "the client "+x.Client.String()+" is not of the route's own namespace and may not spend "+
			"the destination's credential; name the clients that may in the clients of an EgressPolicy for the destination")
	}
	return nil
}

// own reports whether a client is of the namespace: of this cluster's, since another one's of that name is another's.
func (s *stage) own(client *exchange.Client, namespace string) bool {
	if client.Source == exchange.SourceLoopback {
		return !s.kubernetes
	}
	return client.Known() && !client.Foreign && client.Namespace == namespace && namespace != "" && namespace != exchange.Unknown
}

// Attempt writes the credential over whatever the client sent.
func (s *stage) Attempt(_ context.Context, x *exchange.Exchange, _ *policy.Candidate, a *exchange.Attempt) *exchange.Refusal {
	own := s.of(&x.Client)
	if own.unavailable != "" {
		return exchange.Refuse(exchange.CredentialUnavailable, "the destination's credential cannot be had: "+string(own.unavailable))
	}
	if s.strip {
		strip(a)
	}
	for i := range own.fields {
		a.Header.Set(own.fields[i].name, own.fields[i].value.reveal())
	}
	a.Credential = s.policy
	return nil
}

// of is the set of the first entry that names the client, else the common one.
func (s *stage) of(client *exchange.Client) *set {
	for i := range s.perClient {
		if s.perClient[i].clients.Names(client) {
			return &s.perClient[i].set
		}
	}
	return &s.common
}

// Response keeps a 401 to our credential from the client, who sent none and could mend nothing; what the destination
// says of it may echo the key.
func (s *stage) Response(_ context.Context, x *exchange.Exchange, _ *policy.Candidate, a *exchange.Attempt) *exchange.Refusal {
	if x.Response.Status != http.StatusUnauthorized || a.Credential == "" {
		return nil
	}
	refusal := exchange.Refuse(exchange.CredentialRejected, "the destination rejected the gateway's credential")
	refusal.Redact = s.redact
	return refusal
}
