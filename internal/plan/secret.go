package plan

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Sensitive holds secret bytes. Every form that a log, a dump or an error could print is "[redacted]";
// the bytes leave it by Reveal alone.
type Sensitive struct{ value *[]byte }

// NewSensitive takes the bytes over; the caller keeps no reference.
func NewSensitive(value []byte) Sensitive { return Sensitive{&value} }

// Reveal is the secret itself, for whoever writes it where it belongs: a credential, a key, a root.
func (s Sensitive) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return *s.value
}

// Equal compares in constant time.
func (s Sensitive) Equal(o Sensitive) bool {
	return subtle.ConstantTimeCompare(s.Reveal(), o.Reveal()) == 1
}

// String is "[redacted]".
func (s Sensitive) String() string { return redacted }

// GoString is "[redacted]".
func (s Sensitive) GoString() string { return redacted }

// Format is "[redacted]" for every verb: %x, %q and %d included.
func (s Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON is "[redacted]".
func (s Sensitive) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// UnmarshalJSON refuses: a plan's print cannot be read back.
func (s *Sensitive) UnmarshalJSON([]byte) error {
	return fmt.Errorf("decode secret: its JSON form is redacted and cannot be read back")
}

// MarshalText is "[redacted]".
func (s Sensitive) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is "[redacted]".
func (s Sensitive) LogValue() slog.Value { return slog.StringValue(redacted) }
