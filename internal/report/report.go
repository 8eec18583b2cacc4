// Package report is what a proxy tells its controller of what it sees: denials, counted by route, policy and reason; how the
// backends of its Gateway stand; and until when its certificates are valid. A Tally counts denials on the data path, and a Report is what both come to, in a form
// that holds no more than it may whoever wrote it. It sends nothing: distribute carries Reports, dataplane makes them, and
// the controller makes Events and statuses of them. No address, no client and nothing of a request is in one.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// What a Report holds at most.
const (
	MaxDenials  = 256
	MaxBackends = 1024
	MaxExpiries = 256
	MaxBytes    = 5 << 18 // of its JSON, in which all of that fits

	maxName  = 600     // bytes of a plan name: a kind, two names of Kubernetes, and a port
	maxCount = 1 << 40 // of one denial in one Report
	maxTime  = 1 << 40 // seconds
)

// Report is what one proxy saw since its last one, and how its backends stand now.
type Report struct {
	Denials   []Denial  `json:"denials,omitempty"`
	Uncounted int64     `json:"uncounted,omitempty"` // denials for which there was no room
	Backends  []Backend `json:"backends,omitempty"`
	Expiries  []Expiry  `json:"expiries,omitempty"`
}

// Denial is how often requests were denied in one way.
type Denial struct {
	Cause
	Count int64 `json:"count"`
}

// Cause is a way to be denied.
type Cause struct {
	Route  string          `json:"route,omitempty"`  // plan name; empty where no route took the request
	Policy string          `json:"policy,omitempty"` // plan name; empty where the engine denied by itself
	Reason exchange.Reason `json:"reason"`
}

// Backend is how a backend stands.
type Backend struct {
	Name  string  `json:"name"`  // plan name
	Share float64 `json:"share"` // of its draws: 1 is healthy, 0 is out, between them it comes back
}

// Expiry is until when a certificate that is in force is valid.
type Expiry struct {
	Secret string `json:"secret"` // plan name
	Until  int64  `json:"until"`  // seconds since 1970
}

// reasons is the closed list.
var reasons = exchange.Reasons()

// Decode reads a Report that may be anybody's. What is not of the form is left out; fields that are not known, of a newer
// proxy, are passed over. Names are those of somebody else: whether they name anything is for the caller to see.
func Decode(text []byte) (*Report, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("decode report: %d bytes, and at most %d are taken", len(text), MaxBytes)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("decode report: %w", err)
	}
	r.Uncounted = min(max(r.Uncounted, 0), maxCount)
	r.Denials = slices.DeleteFunc(r.Denials, func(d Denial) bool {
		return d.Count <= 0 || d.Count > maxCount || !named(d.Route) || !named(d.Policy) || !slices.Contains(reasons, d.Reason)
	})
	r.Backends = slices.DeleteFunc(r.Backends, func(b Backend) bool {
		return b.Name == "" || !named(b.Name) || math.IsNaN(b.Share) || b.Share < 0 || b.Share > 1
	})
	r.Expiries = slices.DeleteFunc(r.Expiries, func(e Expiry) bool {
		return e.Secret == "" || !named(e.Secret) || e.Until <= 0 || e.Until > maxTime
	})
	r.Expiries = r.Expiries[:min(len(r.Expiries), MaxExpiries)]
	r.Denials = r.Denials[:min(len(r.Denials), MaxDenials)]
	r.Backends = r.Backends[:min(len(r.Backends), MaxBackends)]
	return &r, nil
}

func named(name string) bool { return len(name) <= maxName && utf8.ValidString(name) }

// Encode writes a Report, of which it leaves out what Decode would.
func (r *Report) Encode() ([]byte, error) {
	bounded := Report{
		Denials: r.Denials[:min(len(r.Denials), MaxDenials)], Uncounted: r.Uncounted, Backends: r.Backends[:min(len(r.Backends), MaxBackends)],
		Expiries: r.Expiries[:min(len(r.Expiries), MaxExpiries)],
	}
	for _, d := range r.Denials[len(bounded.Denials):] {
		bounded.Uncounted += d.Count
	}
	text, err := json.Marshal(bounded)
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return text, nil
}
