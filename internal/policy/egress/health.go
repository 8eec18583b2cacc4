package egress

import (
	"time"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
)

// Health says when a destination, or an address of one, is left alone.
type Health struct {
	Passive   Passive        `json:"passive,omitzero"`
	Active    *Active        `json:"active,omitempty"`
	SlowStart *time.Duration `json:"slowStart,omitempty"`
}

// Passive health learns from the requests themselves.
type Passive struct {
	Errors            []string       `json:"errors,omitempty"`
	ConsecutiveErrors *int           `json:"consecutiveErrors,omitempty"`
	ErrorRate         ErrorRate      `json:"errorRate,omitzero"`
	Ejection          *time.Duration `json:"ejection,omitempty"`
	MaxEjection       *time.Duration `json:"maxEjection,omitempty"`
	MaxEjectedPercent *int           `json:"maxEjectedPercent,omitempty"`
}

// ErrorRate ejects by the share of requests that failed.
type ErrorRate struct {
	Percent  *int           `json:"percent,omitempty"`
	Requests *int           `json:"requests,omitempty"`
	Interval *time.Duration `json:"interval,omitempty"`
}

// Active is policy.Active, as the plan writes it.
type Active struct {
	Type           policy.ActiveType `json:"type"`
	Path           string            `json:"path,omitempty"`
	Service        string            `json:"service,omitempty"`
	Statuses       []int             `json:"statuses,omitempty"`
	Interval       time.Duration     `json:"interval"`
	Timeout        time.Duration     `json:"timeout"`
	HealthyAfter   int               `json:"healthyAfter"`
	UnhealthyAfter int               `json:"unhealthyAfter"`
}

func health(refs policy.References, written *v1alpha1.Health) Health {
	if written == nil {
		return Health{}
	}
	return Health{
		Passive:   passive(refs, written.Passive),
		Active:    active(refs, written.Active),
		SlowStart: duration.Translate(refs, "spec.health.slowStart", written.SlowStart),
	}
}

func passive(refs policy.References, written *v1alpha1.PassiveHealth) Passive {
	if written == nil {
		return Passive{}
	}
	const field = "spec.health.passive."
	p := Passive{
		Errors:            words(written.Errors),
		ConsecutiveErrors: number(written.ConsecutiveErrors),
		Ejection:          positive(refs, field+"ejection", written.Ejection),
		MaxEjection:       positive(refs, field+"maxEjection", written.MaxEjection),
		MaxEjectedPercent: number(written.MaxEjectedPercent),
	}
	if rate := written.ErrorRate; rate != nil {
		p.ErrorRate = ErrorRate{
			Percent: number(rate.Percent), Requests: number(rate.Requests),
			Interval: positive(refs, field+"errorRate.interval", rate.Interval),
		}
	}
	return p
}

func active(refs policy.References, written *v1alpha1.ActiveHealth) *Active {
	if written == nil {
		return nil
	}
	const field = "spec.health.active."
	a := &Active{
		Type: policy.ActiveType(written.Type), Statuses: numbers(written.Statuses),
		HealthyAfter: int(written.HealthyAfter), UnhealthyAfter: int(written.UnhealthyAfter),
	}
	if written.Path != nil {
		a.Path = *written.Path
	}
	if written.Service != nil {
		a.Service = *written.Service
	}
	lay(&a.Interval, positive(refs, field+"interval", &written.Interval))
	lay(&a.Timeout, positive(refs, field+"timeout", &written.Timeout))
	return a
}

// lay lays what is written over the defaults.
func (h *Health) lay(t *policy.Health) {
	p := &h.Passive
	if p.Errors != nil {
		t.Passive.On = faults(p.Errors)
	}
	lay(&t.Passive.ConsecutiveErrors, p.ConsecutiveErrors)
	lay(&t.Passive.ErrorPercent, p.ErrorRate.Percent)
	lay(&t.Passive.ErrorRequests, p.ErrorRate.Requests)
	lay(&t.Passive.Interval, p.ErrorRate.Interval)
	lay(&t.Passive.Ejection, p.Ejection)
	lay(&t.Passive.MaxEjection, p.MaxEjection)
	t.Passive.MaxEjection = max(t.Passive.MaxEjection, t.Passive.Ejection)
	lay(&t.Passive.MaxEjectedPercent, p.MaxEjectedPercent)
	if h.Active != nil {
		t.Active = (*policy.Active)(h.Active)
	}
	lay(&t.SlowStart, h.SlowStart)
}

func faults(names []string) policy.Fault {
	var all policy.Fault
	for _, name := range names {
		switch name {
		case "Connect":
			all |= policy.FaultConnect
		case "TLS":
			all |= policy.FaultTLS
		case "Reset":
			all |= policy.FaultReset
		case "Timeout":
			all |= policy.FaultTimeout
		case "GatewayError":
			all |= policy.FaultGatewayError
		}
	}
	return all
}
