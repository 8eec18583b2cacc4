package route

import (
	"fmt"
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
	"github.com/ebbgate/ebbgate/internal/translate/backend"
)

// backend is a backendRef of a rule. One that leads nowhere keeps its weight and gets a fault: its share of the traffic is
// answered 500 and does not go to the others.
func (b *builder) backend(ruleField string, rule *gwapiv1.HTTPRouteRule, index int) plan.RuleBackend {
	ref, field := &rule.BackendRefs[index], fmt.Sprintf("%s.backendRefs[%d]", ruleField, index)
	rb := plan.RuleBackend{Weight: 1, Filters: b.backendFilters(field, ref.Filters)}
	if ref.Weight != nil {
		rb.Weight = int(*ref.Weight)
	}
	rb.Backend, rb.Protocol, rb.Fault = b.destination(field, ruleField, rule, &ref.BackendObjectReference)
	return rb
}

// destination is the plan name of what a reference of a rule names, and the protocol spoken there in place of its own;
// or the fault of one that leads nowhere, which is noted.
func (b *builder) destination(field, ruleField string, rule *gwapiv1.HTTPRouteRule, ref *gwapiv1.BackendObjectReference) (string, plan.Protocol, *plan.Fault) {
	from := attach.Party{Group: gwapiv1.GroupName, Kind: b.route.Kind, Namespace: b.route.GetNamespace(), Name: b.route.GetName()}
	named, wrong := backend.Resolve(b.r, b.in, from, ref)
	var protocol plan.Protocol
	if wrong == nil {
		protocol, wrong = b.protocol(named)
	}
	if wrong != nil {
		b.problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		return "", "", &plan.Fault{Reason: wrong.Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(b.problems.Object), field, wrong.Message)}
	}
	b.use(named.Name)
	if service, _, ok := strings.Cut(named.Name, ":"); ok {
		b.use(service)
	} else {
		b.sameHost(ruleField, named.Name, rule)
	}
	return named.Name, protocol, nil
}

// protocol is what a backend is spoken to in for this route, empty for its own. gRPC knows HTTP/2 alone.
func (b *builder) protocol(named backend.Named) (plan.Protocol, *attach.Wrong) {
	switch service, port, ok := strings.Cut(named.Name, ":"); {
	case b.route.Kind != attach.KindGRPCRoute:
		return "", nil
	case named.Spoken != plan.HTTP11:
		return plan.HTTP2, nil
	case ok:
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonUnsupportedProtocol), Message: fmt.Sprintf("port %s of %s speaks WebSocket, and gRPC needs HTTP/2", port, attach.Words(service)),
			Mend: "name another port, or mend its appProtocol"}
	}
	return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonUnsupportedProtocol), Message: attach.Words(named.Name) + " is spoken to in HTTP/1.1, and gRPC needs HTTP/2",
		Mend: "leave out the Backend's protocol, or name another Backend"}
}

func (b *builder) use(name string) {
	if !slices.Contains(b.backends, name) {
		b.backends = append(b.backends, name)
	}
}

// hostname is what a Backend or an XBackend is called.
func (b *builder) hostname(key string) (string, bool) {
	if object, ok := derive.Get(b.r, b.in.Backends.Collection, key); ok {
		return backend.Hostname(object), true
	}
	object, ok := derive.Get(b.r, b.in.XBackends.Collection, key)
	if !ok {
		return "", false
	}
	return backend.StandardHostname(object), true
}

// sameHost refuses a rewrite of the host towards a Backend that has another name: no domain fronting with the
// platform's key.
func (b *builder) sameHost(ruleField, key string, rule *gwapiv1.HTTPRouteRule) {
	own, ok := b.hostname(key)
	for i, f := range rule.Filters {
		if ok && f.URLRewrite != nil && f.URLRewrite.Hostname != nil && !strings.EqualFold(string(*f.URLRewrite.Hostname), own) {
			b.refuse(fmt.Sprintf("%s.filters[%d].urlRewrite.hostname", ruleField, i),
				fmt.Sprintf("the host sent to %s is its own, %s", attach.Words(key), own), "leave the hostname out")
		}
	}
}
