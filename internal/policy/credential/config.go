// Package credential is the policy kind CredentialInjector: what proves us to a destination, so that workloads hold no
// secret. It takes away what the client sent as credentials, writes ours on every attempt and towards its target alone,
// and keeps the answer to a rejected one from the client. It fetches nothing: keys come from the plan's Secrets, and a
// changed Secret makes a new stage. policy/order lists it last; translate and proxy's engine call it through policy.Kind.
package credential

import (
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

// Config is the plan's form of a CredentialInjector. It names Secrets and holds none.
type Config struct {
	Type              string             `json:"type,omitempty" policy:"setting"`
	APIKey            *APIKey            `json:"apiKey,omitempty" policy:"setting"`
	Basic             *Basic             `json:"basic,omitempty" policy:"setting"`
	Headers           []Header           `json:"headers,omitempty" policy:"setting"`
	PerClient         []ClientCredential `json:"perClient,omitempty" policy:"setting"`
	ClientCredentials string             `json:"clientCredentials,omitempty" policy:"setting"`
	OnUnavailable     string             `json:"onUnavailable,omitempty" policy:"setting"`
}

// Reference is one key of a Secret of the plan. Secret is empty where there is none that may be read.
type Reference struct {
	Secret string `json:"secret" plan:"secret"` // plan name; empty where the Secret may not be used or is not there
	Key    string `json:"key"`
	Lost   string `json:"lost,omitempty"` // then: the Secret as namespace/name
}

// APIKey is a key written to a header, behind the prefix.
type APIKey struct {
	Reference
	Header string `json:"header"`
	Prefix string `json:"prefix,omitempty"`
}

// Basic is a user name and password (RFC 7617).
type Basic struct {
	Username Reference `json:"username"`
	Password Reference `json:"password"`
}

// Header is a header written beside a credential: a value that is no secret, or a Secret's.
type Header struct {
	Name   string     `json:"name"`
	Value  string     `json:"value,omitempty"`
	Secret *Reference `json:"secret,omitempty"`
}

// ClientCredential is what some clients' requests get in place of the common credential, and besides.
type ClientCredential struct {
	Clients clients.List `json:"clients"`
	APIKey  *APIKey      `json:"apiKey,omitempty"`
	Basic   *Basic       `json:"basic,omitempty"`
	Headers []Header     `json:"headers,omitempty"`
}

// Kind describes CredentialInjector.
func Kind() *policy.Kind {
	return &policy.Kind{
		Name:       "CredentialInjector",
		Attach:     []plan.TargetKind{plan.TargetBackend},
		Config:     func() any { return new(Config) },
		Unresolved: exchange.CredentialUnavailable,
		Partial:    true,
		Translate:  translate,
		Apply:      apply,
	}
}
