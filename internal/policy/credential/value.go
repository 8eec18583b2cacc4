package credential

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// sealed is a header's value, secret and ready to be written. A print of it, or of what holds it, shows no more than
// where it lies: prints follow no pointer in a struct's own fields, and do not ask unexported ones for their own form.
type sealed struct{ text *string }

func seal(text string) sealed { return sealed{&text} }

func (s sealed) reveal() string { return *s.text }

// Format is "[redacted]" for every verb.
func (s sealed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText is "[redacted]".
func (s sealed) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// LogValue is "[redacted]".
func (s sealed) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// unavailable is why there is no credential, for the client too: it names a Secret and a key, and no value.
type unavailable string

// builder reads Secrets and remembers what it read, for the audit log to blank.
type builder struct {
	env     policy.Env
	secrets []plan.Sensitive
}

func (b *builder) remember(text string) {
	b.secrets = append(b.secrets, plan.NewSensitive([]byte(text)))
}

// read is a Secret's value in which a check finds nothing wrong.
func (b *builder) read(r Reference, check func(value []byte) string) (string, unavailable) {
	if r.Secret == "" {
		return "", unavailable("the key " + r.Key + " of Secret " + r.Lost + " is not there or may not be read from here")
	}
	secret := b.env.Secret(r.Secret)
	if secret == nil {
		return "", unavailable(words(r.Secret) + " does not exist")
	}
	held, ok := secret.Data[r.Key]
	if !ok {
		return "", unavailable(words(r.Secret) + " has no key " + r.Key)
	}
	value := held.Reveal()
	if what := check(value); what != "" {
		return "", unavailable("the key " + r.Key + " of " + words(r.Secret) + " " + what)
	}
	text := meant(value)
	b.remember(text)
	return text, ""
}

// field is a value that a header can have.
func (b *builder) field(r Reference) (string, unavailable) { return b.read(r, fieldFault) }

// basic is the value of an Authorization header (RFC 7617).
func (b *builder) basic(c *Basic) (string, unavailable) {
	username, why := b.read(c.Username, usernameFault)
	if why != "" {
		return "", why
	}
	password, why := b.read(c.Password, textFault)
	if why != "" {
		return "", why
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	b.remember(encoded)
	return "Basic " + encoded, ""
}

// words is "Kind namespace/name" of a plan name.
func words(name string) string { return strings.Replace(name, "/", " ", 1) }
