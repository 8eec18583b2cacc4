package route

import (
	"fmt"
	"slices"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
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
	name, wrong := b.resolve(ref)
	var protocol plan.Protocol
	if wrong == nil {
		protocol, wrong = b.protocol(name)
	}
	if wrong != nil {
		b.problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		return "", "", &plan.Fault{Reason: wrong.Reason, Message: fmt.Sprintf("%s: %s: %s", attach.Words(b.problems.Object), field, wrong.Message)}
	}
	b.use(name)
	if service, _, ok := strings.Cut(name, ":"); ok {
		b.use(service)
	} else {
		b.sameHost(ruleField, name, rule)
	}
	return name, protocol, nil
}

// protocol is what a backend is spoken to in for this route, empty for its own. gRPC knows HTTP/2 alone.
func (b *builder) protocol(name string) (plan.Protocol, *attach.Wrong) {
	if b.route.Kind != attach.KindGRPCRoute {
		return "", nil
	}
	if b.old(name) {
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonUnsupportedProtocol), Message: attach.Words(name) + " is spoken to in HTTP/1.1, and gRPC needs HTTP/2",
			Mend: "leave out the Backend's protocol, or name another Backend"}
	}
	return plan.HTTP2, nil
}

// old reports whether a backend says that it is spoken to in HTTP/1.1.
func (b *builder) old(name string) bool {
	if object, ok := derive.Get(b.r, b.in.Backends.Collection, name); ok {
		return object.Spec.Protocol == v1alpha1.BackendProtocolHTTP11
	}
	object, ok := derive.Get(b.r, b.in.XBackends.Collection, name)
	return ok && backend.StandardHTTP11(object)
}

func (b *builder) use(name string) {
	if !slices.Contains(b.backends, name) {
		b.backends = append(b.backends, name)
	}
}

// resolve is the plan name of what a backendRef names, or what is wrong with it.
func (b *builder) resolve(ref *gwapiv1.BackendObjectReference) (string, *attach.Wrong) {
	to := attach.Party{
		Group: attach.Or(ref.Group, ""), Kind: attach.Or(ref.Kind, "Service"),
		Namespace: attach.Or(ref.Namespace, b.route.GetNamespace()), Name: string(ref.Name),
	}
	service := to.Group == "" && to.Kind == "Service"
	if to.Group == attach.StandardGroup && to.Kind == "XBackend" {
		return b.standard(to, ref.Port)
	}
	if !service && (to.Group != attach.Group || to.Kind != "Backend") {
		mend := "name a Service, or a Backend with group " + attach.Group
		if to.Kind == "XBackend" {
			mend = "write group: " + attach.StandardGroup + ", which is XBackend's"
		}
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonInvalidKind), Message: fmt.Sprintf("%s of group %q is no backend", to.Kind, to.Group), Mend: mend}
	}
	from := attach.Party{Group: gwapiv1.GroupName, Kind: b.route.Kind, Namespace: b.route.GetNamespace(), Name: b.route.GetName()}
	if !b.in.Permitted(b.r, from, to) {
		message, mend := attach.NotPermitted(from, to)
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonRefNotPermitted), Message: message, Mend: mend}
	}
	if service {
		return b.service(plan.ObjectName("Service", to.Namespace, to.Name), ref.Port)
	}
	return b.external(plan.ObjectName("Backend", to.Namespace, to.Name), ref.Port)
}

func (b *builder) service(key string, port *gwapiv1.PortNumber) (string, *attach.Wrong) {
	service, ok := derive.Get(b.r, b.in.Services.Collection, key)
	switch {
	case !ok:
		return "", notFound(key)
	case port == nil:
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound), Message: attach.Words(key) + " is named without a port", Mend: "write the Service's port"}
	}
	used, wrong := backend.Port(key, service, *port)
	if wrong == nil {
		wrong = backend.Secured(b.r, b.in, key, service, used)
	}
	switch {
	case wrong != nil:
		return "", wrong
	case b.route.Kind == attach.KindGRPCRoute && backend.Spoken(used) == plan.HTTP11:
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonUnsupportedProtocol), Message: fmt.Sprintf("port %d of %s speaks WebSocket, and gRPC needs HTTP/2", *port, attach.Words(key)),
			Mend: "name another port, or mend its appProtocol"}
	}
	return backend.PortName(key, *port), nil
}

func (b *builder) external(key string, port *gwapiv1.PortNumber) (string, *attach.Wrong) {
	object, ok := derive.Get(b.r, b.in.Backends.Collection, key)
	switch {
	case !ok:
		return "", notFound(key)
	case port != nil && *port != object.Spec.Port.Number:
		return "", otherPort(key, *port, object.Spec.Port.Number)
	}
	return key, nil
}

// standard is an XBackend. The standard has no use of it across namespaces, whatever a ReferenceGrant says.
func (b *builder) standard(to attach.Party, port *gwapiv1.PortNumber) (string, *attach.Wrong) {
	key := plan.ObjectName("XBackend", to.Namespace, to.Name)
	if to.Namespace != b.route.GetNamespace() {
		return "", &attach.Wrong{Reason: string(gwapiv1.RouteReasonRefNotPermitted), Message: attach.Words(key) + " is in another namespace",
			Mend: "write the XBackend in the route's namespace, or a Backend, which a ReferenceGrant can admit"}
	}
	object, ok := derive.Get(b.r, b.in.XBackends.Collection, key)
	switch {
	case !ok:
		return "", notFound(key)
	case port != nil && *port != backend.StandardPort(object):
		return "", otherPort(key, *port, backend.StandardPort(object))
	}
	return key, nil
}

func otherPort(key string, port gwapiv1.PortNumber, own int32) *attach.Wrong {
	return &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound),
		Message: fmt.Sprintf("port %d is not the port of %s, which is %d", port, attach.Words(key), own), Mend: "leave the port out"}
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

func notFound(key string) *attach.Wrong {
	return &attach.Wrong{Reason: string(gwapiv1.RouteReasonBackendNotFound), Message: attach.Words(key) + " does not exist",
		Mend: "create it, or name one that exists; one of another namespace needs its namespace"}
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
