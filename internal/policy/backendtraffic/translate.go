package backendtraffic

import (
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/duration"
	"github.com/ebbgate/ebbgate/internal/policy/session"
)

const name = "XBackendTrafficPolicy"

func translate(refs policy.References, object policy.Object) any {
	spec := &object.(Object).Spec
	return &Config{
		Budget:  budget(refs, spec.RetryConstraint),
		Session: session.Translate(refs.Invalid, "spec.sessionPersistence", plan.ObjectName(name, object.GetNamespace(), object.GetName()), spec.SessionPersistence),
	}
}

// budget reads the constraint; what is left out is the standard's default, as it is ours.
func budget(refs policy.References, written *gwapixv1alpha1.RetryConstraint) *Budget {
	if written == nil {
		return nil
	}
	standard := policy.NewSettings().Retry.Budget
	b := &Budget{Percent: standard.Percent, Interval: standard.Interval, Floor: standard.Floor, FloorInterval: standard.FloorInterval}
	const field = "spec.retryConstraint."
	if share := written.Budget; share != nil {
		if share.Percent != nil {
			b.Percent = *share.Percent
		}
		duration.Lay(&b.Interval, duration.Translate(refs, field+"budget.interval", share.Interval))
	}
	if floor := written.MinRetryRate; floor != nil {
		if floor.Count != nil {
			b.Floor = *floor.Count
		}
		duration.Lay(&b.FloorInterval, duration.Translate(refs, field+"minRetryRate.interval", floor.Interval))
	}
	if b.Percent < 0 || b.Percent > 100 || b.Interval <= 0 {
		refs.Invalid(field+"budget", "a share is 0 to 100 percent of an interval above zero", "write percent: 20 and interval: 10s")
	}
	if b.Floor < 0 || b.FloorInterval <= 0 {
		refs.Invalid(field+"minRetryRate", "a rate is a count in an interval above zero", "write count: 10 and interval: 1s")
	}
	return b
}

// effective says that a policy which states nothing does nothing.
func effective(config any, _ *plan.Backend) string {
	if c := config.(*Config); c.Budget == nil && c.Session == nil {
		return "the policy states neither retryConstraint nor sessionPersistence"
	}
	return ""
}
