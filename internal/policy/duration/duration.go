// Package duration reads the durations of policies (GEP-2257), and keeps apart what was written as 0s and what was not
// written. The kinds of policy with durations call it.
package duration

import (
	"time"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/policy"
)

// Translate reads a duration; nil is not written. What is no duration, or below zero, is reported under the field.
func Translate(refs policy.References, field string, written *gwapiv1.Duration) *time.Duration {
	if written == nil {
		return nil
	}
	d, err := time.ParseDuration(string(*written))
	if err != nil || d < 0 {
		refs.Invalid(field, "not a duration", "write it as 500ms, 5s or 1m30s")
		return nil
	}
	return &d
}

// Lay sets the place to the duration where it is written.
func Lay(place, written *time.Duration) {
	if written != nil {
		*place = *written
	}
}
