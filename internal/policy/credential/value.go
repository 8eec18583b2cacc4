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

const maxValue = 16 << 10 // bytes of a Secret's value: more is no credential

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

// read is a Secret's value without the line end that editors and echo leave behind it.
func (b *builder) read(r Reference) (string, unavailable) {
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
	text, ended := strings.CutSuffix(string(held.Reveal()), "\n")
	if ended {
		text = strings.TrimSuffix(text, "\r")
	}
	switch {
	case text == "":
		return "", wrong(r, "is empty")
	case len(text) > maxValue:
		return "", wrong(r, "is longer than 16 KiB")
	case strings.IndexFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) >= 0:
		return "", wrong(r, "holds a line end or another control character")
	}
	b.remember(text)
	return text, ""
}

// field is a value that a header can have (RFC 9110, section 5.5): visible ASCII, with spaces and tabs between.
func (b *builder) field(r Reference) (string, unavailable) {
	text, why := b.read(r)
	switch {
	case why != "":
		return "", why
	case strings.Trim(text, " \t") != text:
		return "", wrong(r, "begins or ends with white space")
	case strings.IndexFunc(text, func(c rune) bool { return c > 0x7e }) >= 0:
		return "", wrong(r, "holds a character that no header may have")
	}
	return text, ""
}

// basic is the value of an Authorization header (RFC 7617).
func (b *builder) basic(c *Basic) (string, unavailable) {
	username, why := b.read(c.Username)
	if why != "" {
		return "", why
	}
	password, why := b.read(c.Password)
	if why != "" {
		return "", why
	}
	if strings.Contains(username, ":") {
		return "", wrong(c.Username, "holds a colon, which no user name may have")
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	b.remember(encoded)
	return "Basic " + encoded, ""
}

func wrong(r Reference, what string) unavailable {
	return unavailable("the key " + r.Key + " of " + words(r.Secret) + " " + what)
}

// words is "Kind namespace/name" of a plan name.
func words(name string) string { return strings.Replace(name, "/", " ", 1) }
