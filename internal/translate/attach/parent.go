package attach

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// Gateway is what routes and policies see of one of our Gateways.
type Gateway struct {
	Name      string // namespace/name
	Namespace string
	Class     string
	Listeners []Listener
}

// Listener is what routes see of a listener.
type Listener struct {
	Name       string
	Port       int
	Hostname   string
	Kinds      []string               // of the routes that may attach
	From       gwapiv1.FromNamespaces // whose
	Selector   *metav1.LabelSelector
	Programmed bool // it is in the plan
}

// ByClass finds Gateways by their class.
func ByClass(_ string, g *Gateway) []string { return []string{g.Class} }

// Attachment is what became of one parentRef.
type Attachment struct {
	Gateway   string        // namespace/name
	Listeners []plan.Parent // attached to, whether or not they are programmed
	Planned   []plan.Parent // of these, the ones in the plan
}

// Parent attaches a route to the listeners of a Gateway that its parentRef, its namespace and its hostnames allow. What
// stands in the way is noted as a problem of the field.
func (in *Inputs) Parent(r *derive.Reader, problems *Problems, field string, route *Route, ref gwapiv1.ParentReference, g *Gateway) Attachment {
	a := Attachment{Gateway: g.Name}
	named := named(ref, g)
	if len(named) == 0 {
		problems.Add(Accepted, string(gwapiv1.RouteReasonNoMatchingParent), field,
			fmt.Sprintf("Gateway %s has no listener%s", g.Name, asked(ref)), "name a listener that it has: "+listenerNames(g))
		return a
	}
	var allowed []Listener
	for _, l := range named {
		if slices.Contains(l.Kinds, route.Kind) && in.admits(r, l, g.Namespace, route.GetNamespace()) {
			allowed = append(allowed, l)
		}
	}
	if len(allowed) == 0 {
		problems.Add(Accepted, string(gwapiv1.RouteReasonNotAllowedByListeners), field,
			fmt.Sprintf("Gateway %s: no listener%s takes %ss of namespace %s", g.Name, asked(ref), route.Kind, route.GetNamespace()),
			"let the listener's allowedRoutes take them")
		return a
	}
	for _, l := range allowed {
		if !meets(l.Hostname, route.Hostnames) {
			continue
		}
		parent := plan.Parent{Gateway: g.Name, Listener: l.Name}
		a.Listeners = append(a.Listeners, parent)
		if l.Programmed {
			a.Planned = append(a.Planned, parent)
		}
	}
	if len(a.Listeners) == 0 {
		problems.Add(Accepted, string(gwapiv1.RouteReasonNoMatchingListenerHostname), field,
			fmt.Sprintf("none of spec.hostnames lies within the hostname of a listener of Gateway %s that takes the route", g.Name),
			"write a hostname that the listener serves")
	}
	return a
}

func named(ref gwapiv1.ParentReference, g *Gateway) []Listener {
	var list []Listener
	for _, l := range g.Listeners {
		if ref.SectionName != nil && *ref.SectionName != "" && string(*ref.SectionName) != l.Name || ref.Port != nil && int(*ref.Port) != l.Port {
			continue
		}
		list = append(list, l)
	}
	return list
}

func asked(ref gwapiv1.ParentReference) string {
	words := ""
	if ref.SectionName != nil && *ref.SectionName != "" {
		words = " named " + string(*ref.SectionName)
	}
	if ref.Port != nil {
		words += fmt.Sprintf(" on port %d", *ref.Port)
	}
	return words
}

func listenerNames(g *Gateway) string {
	names := make([]string, len(g.Listeners))
	for i, l := range g.Listeners {
		names[i] = l.Name
	}
	return shorten(names, ", ")
}

func meets(listener string, hostnames []gwapiv1.Hostname) bool {
	for _, h := range hostnames {
		if Intersect(listener, string(h)) {
			return true
		}
	}
	return len(hostnames) == 0
}

// admits reports whether a listener takes routes of a namespace.
func (in *Inputs) admits(r *derive.Reader, l Listener, gateway, route string) bool {
	switch l.From {
	case gwapiv1.NamespacesFromAll:
		return true
	case gwapiv1.NamespacesFromSelector:
		selector, err := metav1.LabelSelectorAsSelector(l.Selector)
		return err == nil && selector.Matches(in.namespaceLabels(r, route))
	case gwapiv1.NamespacesFromSame:
		return gateway == route
	}
	return false
}

// namespaceLabels are a namespace's labels; the one that every namespace has is there even where no Namespace object
// is written.
func (in *Inputs) namespaceLabels(r *derive.Reader, name string) labels.Set {
	set := labels.Set{}
	if namespace, ok := derive.Get(r, in.Namespaces.Collection, plan.ObjectName("Namespace", "", name)); ok {
		for key, value := range namespace.Labels {
			set[key] = value
		}
	}
	set["kubernetes.io/metadata.name"] = name
	return set
}

// GatewayOf is the Gateway that a listener's plan name, or its own, names.
func GatewayOf(name string) string {
	gateway, _, _ := strings.Cut(name, "#")
	return gateway
}
