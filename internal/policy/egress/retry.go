package egress

import (
	"slices"
	"time"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
)

// Retry says when a request is sent again.
type Retry struct {
	Attempts        *int           `json:"attempts,omitempty"`
	Classes         []string       `json:"classes,omitempty"`
	Statuses        []int          `json:"statuses,omitzero"` // empty: none
	Duplicates      string         `json:"duplicates,omitempty"`
	IdempotencyKeys string         `json:"idempotencyKeys,omitempty"`
	Backoff         *time.Duration `json:"backoff,omitempty"`
	Budget          Budget         `json:"budget,omitzero"`
}

// Budget bounds the retries to a share of the requests.
type Budget struct {
	Percent  *int           `json:"percent,omitempty"`
	Interval *time.Duration `json:"interval,omitempty"`
}

func retry(refs policy.References, written *v1alpha1.Retry) Retry {
	if written == nil {
		return Retry{}
	}
	const field = "spec.retry."
	r := Retry{
		Attempts: number(written.Attempts),
		Classes:  words(written.Classes),
		Backoff:  duration.Translate(refs, field+"backoff", written.Backoff),
		Statuses: numbers(written.Statuses),
	}
	if d := written.Duplicates; d != nil {
		r.Duplicates = string(*d)
	}
	if k := written.IdempotencyKeys; k != nil {
		r.IdempotencyKeys = string(*k)
	}
	if b := written.Budget; b != nil {
		r.Budget = Budget{Percent: number(b.Percent), Interval: positive(refs, field+"budget.interval", b.Interval)}
	}
	return r
}

// lay lays what is written over the defaults.
func (r *Retry) lay(t *policy.Retry) {
	lay(&t.Attempts, r.Attempts)
	if r.Classes != nil {
		t.On = 0
		for class := policy.Unsent; class <= policy.GatewayError; class <<= 1 {
			if slices.Contains(r.Classes, class.String()) {
				t.On |= class
			}
		}
	}
	if r.Statuses != nil {
		t.Statuses = r.Statuses
	}
	if r.Duplicates != "" {
		t.Duplicates = r.Duplicates == string(v1alpha1.DuplicatesAllow)
	}
	if t.Duplicates && r.Classes == nil { // who accepts double work means that it is to be repeated
		t.On = policy.Unsent | policy.Rejected | policy.Reset | policy.TimedOut | policy.GatewayError
	}
	if r.IdempotencyKeys != "" {
		t.KeysHonoured = r.IdempotencyKeys == string(v1alpha1.IdempotencyKeysHonoured)
	}
	lay(&t.Backoff, r.Backoff)
	if r.Budget != (Budget{}) {
		lay(&t.Budget.Percent, r.Budget.Percent)
		lay(&t.Budget.Interval, r.Budget.Interval)
	}
}
