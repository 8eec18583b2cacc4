package route

import (
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// mirror is a RequestMirror of a rule. One that leads nowhere mirrors nothing, and the rule serves all the same
// (HTTPRequestMirrorFilter.backendRef).
func (b *builder) mirror(field, ruleField string, rule *gwapiv1.HTTPRouteRule, spec *gwapiv1.HTTPRequestMirrorFilter) *plan.Mirror {
	mirror := &plan.Mirror{Numerator: 1, Denominator: 1}
	switch {
	case spec.Percent != nil && spec.Fraction != nil:
		b.refuse(field, "percent and fraction exclude each other", "leave one of them out")
	case spec.Percent != nil:
		mirror.Numerator, mirror.Denominator = int(*spec.Percent), 100
	case spec.Fraction != nil:
		mirror.Numerator, mirror.Denominator = int(spec.Fraction.Numerator), 100
		if spec.Fraction.Denominator != nil {
			mirror.Denominator = int(*spec.Fraction.Denominator)
		}
	}
	if mirror.Denominator < 1 || mirror.Numerator < 0 || mirror.Numerator > mirror.Denominator {
		b.refuse(field, "the share is no part of a whole", "write a percent of 0 to 100, or a numerator of 0 up to the denominator")
		mirror.Numerator, mirror.Denominator = 0, 1
	}
	mirror.Backend, mirror.Protocol, mirror.Fault = b.destination(field+".backendRef", ruleField, rule, &spec.BackendRef)
	return mirror
}
