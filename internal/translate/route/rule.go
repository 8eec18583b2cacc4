package route

import (
	"fmt"
	"slices"
	"time"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// builder makes the rules of one route and collects what is wrong with them.
type builder struct {
	r        *derive.Reader
	in       *attach.Inputs
	route    *attach.Route
	problems attach.Problems
	backends []string // used
}

// refuse notes a value that is not served: the whole route is not accepted.
func (b *builder) refuse(field, message, mend string) {
	b.problems.Add(attach.Accepted, string(gwapiv1.RouteReasonUnsupportedValue), field, message, mend)
}

// unbuilt refuses what this version does not build.
func (b *builder) unbuilt(field string) {
	b.refuse(field, "not supported in this version", "leave it out")
}

func (b *builder) rule(key string, index int) *plan.Rule {
	spec := b.route.Rules[index].HTTPRouteRule
	field := fmt.Sprintf("spec.rules[%d]", index)
	rule := &plan.Rule{
		Name: fmt.Sprintf("%s#%d", key, index), Route: key, RuleName: attach.Or(spec.Name, ""), Index: index,
		Created: b.route.GetCreationTimestamp().Time, Hostnames: hostnames(b.route.Hostnames),
		Matches:  b.conditions(field, &b.route.Rules[index]),
		Filters:  b.filters(field, spec),
		Timeouts: b.timeouts(field+".timeouts", spec.Timeouts),
		Retry:    b.retry(field+".retry", spec),
		Session:  b.session(field+".sessionPersistence", key, index, spec),
	}
	redirects := false
	for _, f := range rule.Filters {
		redirects = redirects || f.Redirect != nil
	}
	for i := range spec.BackendRefs {
		rule.Backends = append(rule.Backends, b.backend(field, spec, i))
	}
	switch {
	case redirects && len(rule.Backends) > 0:
		b.refuse(field+".backendRefs", "a rule that redirects reaches no backend", "leave out the backendRefs or the RequestRedirect")
	case !redirects && len(rule.Backends) == 0:
		const message = "the rule has no backend and no redirect, and answers 500"
		b.problems.Warn("", "NoBackend", field, message, "write backendRefs")
		rule.Fault = &plan.Fault{Reason: "NoBackend", Message: fmt.Sprintf("%s: %s: %s", attach.Words(key), field, message)}
	case !redirects && !slices.ContainsFunc(rule.Backends, func(rb plan.RuleBackend) bool { return rb.Weight > 0 }):
		b.problems.Warn("", "NoBackend", field+".backendRefs", "every weight is 0, and the rule answers 500", "give a backend a weight above 0")
	}
	return rule
}

func (b *builder) timeouts(field string, spec *gwapiv1.HTTPRouteTimeouts) plan.Timeouts {
	if spec == nil {
		return plan.Timeouts{}
	}
	return plan.Timeouts{
		Request:        b.duration(field+".request", spec.Request),
		BackendRequest: b.duration(field+".backendRequest", spec.BackendRequest),
	}
}

// duration is a timeout; zero written means none, which the plan says by a negative one (GEP-1742).
func (b *builder) duration(field string, text *gwapiv1.Duration) time.Duration {
	if text == nil {
		return 0
	}
	d, err := time.ParseDuration(string(*text))
	switch {
	case err != nil || d < 0:
		b.refuse(field, "not a duration", "write one such as 500ms or 1m30s")
		return 0
	case d == 0:
		return -1
	}
	return d
}
