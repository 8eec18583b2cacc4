package route

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// RetryLimited is the condition of a route some of whose retry codes repeat idempotent requests alone. It is absent where
// none do.
const RetryLimited = attach.Group + "/RetryLimited"

// retry is an HTTPRoute's own (GEP-1731).
func (b *builder) retry(field string, rule *gwapiv1.HTTPRouteRule) *plan.Retry {
	spec := rule.Retry
	if spec == nil {
		return nil
	}
	retry := &plan.Retry{Backoff: b.duration(field+".backoff", spec.Backoff)}
	if spec.Attempts != nil {
		retry.Attempts = *spec.Attempts
		if retry.Attempts < 1 {
			retry.Attempts = -1
		}
	}
	limited := false
	for i, code := range spec.Codes {
		if code < 400 || code > 599 {
			b.refuse(fmt.Sprintf("%s.codes[%d]", field, i), fmt.Sprintf("status %d is no failure", code), "write one of 400 to 599")
			continue
		}
		retry.Codes = append(retry.Codes, int(code))
		limited = limited || code != 429 && code != 529
	}
	if limited && !idempotent(rule.Matches) {
		b.problems.Warn(RetryLimited, "NotIdempotent", field+".codes",
			"only 429 and 529 say that the work was not done; the other codes repeat no POST, PATCH or CONNECT",
			"match by an idempotent method, or leave the other codes out")
	}
	return retry
}

// idempotent reports whether a rule takes nothing but methods that are (RFC 9110, section 9.2.2).
func idempotent(matches []gwapiv1.HTTPRouteMatch) bool {
	for _, m := range matches {
		switch gwapiv1.HTTPMethod(attach.Or(m.Method, "")) {
		case gwapiv1.HTTPMethodGet, gwapiv1.HTTPMethodHead, gwapiv1.HTTPMethodPut, gwapiv1.HTTPMethodDelete, gwapiv1.HTTPMethodOptions, gwapiv1.HTTPMethodTrace:
		default:
			return false
		}
	}
	return len(matches) > 0
}

// limits adds the condition of retries that are limited.
func limits(conditions *attach.Conditions, t *Translated) {
	if about := attach.About(RetryLimited, t.Problems); len(about) > 0 {
		conditions.Add(RetryLimited, metav1.ConditionTrue, about[0].Reason, attach.Message(about))
	}
}
