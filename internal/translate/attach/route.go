package attach

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The kinds of routes.
const (
	KindHTTPRoute = "HTTPRoute"
	KindGRPCRoute = "GRPCRoute"
)

// Route is a route of either kind, in the form that both have.
type Route struct {
	metav1.Object
	Kind      string
	Common    gwapiv1.CommonRouteSpec
	Hostnames []gwapiv1.Hostname
	Rules     []Rule
	Parents   []gwapiv1.RouteParentStatus // of its status, as the object carries it
}

// Rule is a rule of a route. One of a GRPCRoute has all that an HTTPRoute's has, but for its matches, which are Calls.
type Rule struct {
	*gwapiv1.HTTPRouteRule
	Calls []gwapiv1.GRPCRouteMatch
}

// HTTPRoute is an HTTPRoute as a Route.
func HTTPRoute(o *gwapiv1.HTTPRoute) *Route {
	route := &Route{
		Object: o, Kind: KindHTTPRoute, Common: o.Spec.CommonRouteSpec, Hostnames: o.Spec.Hostnames, Parents: o.Status.Parents,
		Rules: make([]Rule, len(o.Spec.Rules)),
	}
	for i := range o.Spec.Rules {
		route.Rules[i].HTTPRouteRule = &o.Spec.Rules[i]
	}
	return route
}

// GRPCRoute is a GRPCRoute as a Route.
func GRPCRoute(o *gwapiv1.GRPCRoute) *Route {
	route := &Route{
		Object: o, Kind: KindGRPCRoute, Common: o.Spec.CommonRouteSpec, Hostnames: o.Spec.Hostnames, Parents: o.Status.Parents,
		Rules: make([]Rule, len(o.Spec.Rules)),
	}
	for i, spec := range o.Spec.Rules {
		rule := &gwapiv1.HTTPRouteRule{Name: spec.Name, Filters: filters(spec.Filters), SessionPersistence: spec.SessionPersistence}
		for _, ref := range spec.BackendRefs {
			rule.BackendRefs = append(rule.BackendRefs, gwapiv1.HTTPBackendRef{BackendRef: ref.BackendRef, Filters: filters(ref.Filters)})
		}
		route.Rules[i] = Rule{HTTPRouteRule: rule, Calls: spec.Matches}
	}
	return route
}

func filters(specs []gwapiv1.GRPCRouteFilter) []gwapiv1.HTTPRouteFilter {
	var list []gwapiv1.HTTPRouteFilter
	for _, spec := range specs {
		list = append(list, gwapiv1.HTTPRouteFilter{
			Type: gwapiv1.HTTPRouteFilterType(spec.Type), RequestHeaderModifier: spec.RequestHeaderModifier,
			ResponseHeaderModifier: spec.ResponseHeaderModifier, RequestMirror: spec.RequestMirror, ExtensionRef: spec.ExtensionRef,
		})
	}
	return list
}
