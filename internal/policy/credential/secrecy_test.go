package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestNothingPrintsASecret prints a stage, its parts and its config in every way that a log or a dump might.
func TestNothingPrintsASecret(t *testing.T) {
	values := map[string]string{"token": secret, "username": "the-user-name", "password": "the-pass-word"}
	c := &Config{
		Type: "APIKey", APIKey: bearerKey("token"), Headers: []Header{{Name: "X-Key", Secret: new(reference("password"))}},
		PerClient: []ClientCredential{{Basic: &Basic{reference("username"), reference("password")}}},
	}
	s := build(t, false, values, c)
	hidden := []string{
		secret, "the-user-name", "the-pass-word", base64.StdEncoding.EncodeToString([]byte("the-user-name:the-pass-word")),
		fmt.Sprint([]byte(secret)), fmt.Sprintf("%x", secret), base64.StdEncoding.EncodeToString([]byte(secret)),
	}
	for _, value := range []any{s, *s, s.common, s.common.fields, s.common.fields[0], s.common.fields[0].value, s.perClient, c, *c} {
		var prints []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			prints = append(prints, fmt.Sprintf(verb, value))
		}
		asJSON, err := json.Marshal(value)
		if err == nil { // a stage as a value has a function, which has no JSON form
			prints = append(prints, string(asJSON))
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		for _, print := range append(prints, log.String()) {
			for _, h := range hidden {
				if strings.Contains(strings.ToLower(print), strings.ToLower(h)) {
					t.Errorf("%T prints a secret: %s", value, print)
				}
			}
		}
	}
	if got := fmt.Sprintf("%s %v %#v", s.common.fields[0].value, s.common.fields[0].value, s.common.fields[0].value); got != "[redacted] [redacted] [redacted]" {
		t.Error(got)
	}
}
