package gateway

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// conflicted is the condition of listeners that no traffic could tell apart.
const conflicted = string(gwapiv1.ListenerConditionConflicted)

// Listener is a listener, checked by itself and against its Gateway's others.
type Listener struct {
	Plan     *plan.Listener
	Field    string
	Kinds    []gwapiv1.RouteGroupKind // supportedKinds
	From     gwapiv1.FromNamespaces
	Selector *metav1.LabelSelector
	Overlaps []string // HTTPS listeners of the same port that share host names
	Problems attach.Problems
}

// Valid reports whether the listener can be programmed, ports of other Gateways aside. One whose references are broken
// in part serves with what is left of them.
func (l *Listener) Valid() bool {
	return len(attach.About(attach.Accepted, l.Problems.List)) == 0 && len(attach.About(conflicted, l.Problems.List)) == 0 &&
		len(l.Kinds) > 0 && (l.Plan.Protocol != plan.HTTPS || len(l.Plan.Certificates) > 0)
}

func check(r *derive.Reader, in *attach.Inputs, key string, g *gwapiv1.Gateway, index int) *Listener {
	spec := g.Spec.Listeners[index]
	l := &Listener{
		Field:    fmt.Sprintf("spec.listeners[%d]", index),
		Problems: attach.Problems{Object: key},
		Kinds:    []gwapiv1.RouteGroupKind{},
		Plan: &plan.Listener{
			Name: string(spec.Name), Port: int(spec.Port), Protocol: plan.Protocol(spec.Protocol), Hostname: strings.ToLower(attach.Or(spec.Hostname, "")),
		},
	}
	if in.Kubernetes && slices.Contains(plan.ProxyPorts(), l.Plan.Port) {
		l.Problems.Add(attach.Accepted, string(gwapiv1.ListenerReasonPortUnavailable), l.Field+".port",
			fmt.Sprintf("port %d is the proxy's own", l.Plan.Port), "choose another port")
	}
	switch spec.Protocol {
	case gwapiv1.HTTPProtocolType:
		if spec.TLS != nil {
			l.refuse(".tls", "a listener of protocol HTTP has no TLS", "leave it out, or write protocol: HTTPS")
		}
	case gwapiv1.HTTPSProtocolType:
		l.secure(r, in, g, spec.TLS)
		l.clients(r, in, g)
	default:
		l.Problems.Add(attach.Accepted, string(gwapiv1.ListenerReasonUnsupportedProtocol), l.Field+".protocol",
			fmt.Sprintf("protocol %s is not supported", spec.Protocol), "write HTTP or HTTPS")
		return l
	}
	l.kinds(spec.AllowedRoutes)
	l.namespaces(spec.AllowedRoutes)
	return l
}

func (l *Listener) refuse(field, message, mend string) {
	l.Problems.Add(attach.Accepted, string(gwapiv1.ListenerReasonUnsupportedValue), l.Field+field, message, mend)
}

// secure checks the TLS part and resolves the certificates.
func (l *Listener) secure(r *derive.Reader, in *attach.Inputs, g *gwapiv1.Gateway, config *gwapiv1.ListenerTLSConfig) {
	if config == nil {
		config = &gwapiv1.ListenerTLSConfig{}
	}
	if mode := attach.Or(config.Mode, string(gwapiv1.TLSModeTerminate)); mode != string(gwapiv1.TLSModeTerminate) {
		l.refuse(".tls.mode", fmt.Sprintf("mode %s is not supported on a listener of protocol HTTPS", mode), "write mode: Terminate")
	}
	if len(config.Options) > 0 {
		l.refuse(".tls.options", "no TLS options are known", "leave them out")
	}
	invalid := string(gwapiv1.ListenerReasonInvalidCertificateRef)
	if len(config.CertificateRefs) == 0 {
		l.Problems.Add(attach.ResolvedRefs, invalid, l.Field+".tls.certificateRefs", "an HTTPS listener needs a certificate", "name a Secret of type kubernetes.io/tls")
	}
	for i, ref := range config.CertificateRefs {
		field := fmt.Sprintf("%s.tls.certificateRefs[%d]", l.Field, i)
		if attach.Or(ref.Group, "") != "" || attach.Or(ref.Kind, "Secret") != "Secret" {
			l.Problems.Add(attach.ResolvedRefs, invalid, field, "only a Secret holds a listener's certificate", "name a Secret of type kubernetes.io/tls")
			continue
		}
		name, wrong := in.KeyPair(r, party(g), attach.Or(ref.Namespace, g.Namespace), string(ref.Name), invalid)
		if wrong != nil {
			l.Problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
			continue
		}
		l.Plan.Certificates = append(l.Plan.Certificates, name)
	}
}

// routeKinds are what may attach to a listener of HTTP.
var routeKinds = []string{attach.KindHTTPRoute, attach.KindGRPCRoute}

// kinds are the kinds of routes that may attach.
func (l *Listener) kinds(allowed *gwapiv1.AllowedRoutes) {
	wanted := routeKinds
	if allowed != nil && len(allowed.Kinds) > 0 {
		wanted = nil
		for i, kind := range allowed.Kinds {
			name := string(kind.Kind)
			switch {
			case attach.Or(kind.Group, gwapiv1.GroupName) != gwapiv1.GroupName || !slices.Contains(routeKinds, name):
				l.Problems.Add(attach.ResolvedRefs, string(gwapiv1.ListenerReasonInvalidRouteKinds), fmt.Sprintf("%s.allowedRoutes.kinds[%d]", l.Field, i),
					fmt.Sprintf("%s cannot attach to a listener of protocol %s", kind.Kind, l.Plan.Protocol), "write kind: HTTPRoute or kind: GRPCRoute")
			case !slices.Contains(wanted, name):
				wanted = append(wanted, name)
			}
		}
	}
	group := gwapiv1.Group(gwapiv1.GroupName)
	for _, name := range wanted {
		l.Kinds = append(l.Kinds, gwapiv1.RouteGroupKind{Group: &group, Kind: gwapiv1.Kind(name)})
	}
}

func kindNames(kinds []gwapiv1.RouteGroupKind) []string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind.Kind)
	}
	return names
}

// namespaces says whose routes may attach.
func (l *Listener) namespaces(allowed *gwapiv1.AllowedRoutes) {
	l.From = gwapiv1.NamespacesFromSame
	if allowed == nil || allowed.Namespaces == nil {
		return
	}
	l.From = gwapiv1.FromNamespaces(attach.Or(allowed.Namespaces.From, string(gwapiv1.NamespacesFromSame)))
	if l.From != gwapiv1.NamespacesFromSelector {
		return
	}
	l.Selector = allowed.Namespaces.Selector
	if _, err := metav1.LabelSelectorAsSelector(l.Selector); l.Selector == nil || err != nil {
		l.refuse(".allowedRoutes.namespaces.selector", "from: Selector needs a valid selector of labels", "write matchLabels or matchExpressions")
	}
}

// conflicts notes the listeners of one Gateway that no traffic could tell apart. There is no winner among them (Gateway
// API, handling indistinct listeners). HTTPS listeners whose hostnames overlap serve, but a client that reuses a
// connection for another name may find itself misdirected; that is noted too. Listeners of protocols that we do not speak take no part.
func conflicts(listeners []*Listener) {
	for i, a := range listeners {
		for j, b := range listeners {
			if i == j || a.Plan.Port != b.Plan.Port || !speaks(a) || !speaks(b) {
				continue
			}
			switch {
			case a.Plan.Protocol != b.Plan.Protocol:
				a.Problems.Add(conflicted, string(gwapiv1.ListenerReasonProtocolConflict), a.Field+".protocol",
					fmt.Sprintf("listener %s has the same port and protocol %s", b.Plan.Name, b.Plan.Protocol), "give one of them another port")
			case a.Plan.Hostname == b.Plan.Hostname:
				a.Problems.Add(conflicted, string(gwapiv1.ListenerReasonHostnameConflict), a.Field+".hostname",
					fmt.Sprintf("listener %s has the same port and hostname", b.Plan.Name), "give one of them another port or hostname")
			case a.Plan.Protocol == plan.HTTPS && attach.Intersect(a.Plan.Hostname, b.Plan.Hostname):
				a.Overlaps = append(a.Overlaps, b.Plan.Name)
			}
		}
	}
}

func speaks(l *Listener) bool { return l.Plan.Protocol == plan.HTTP || l.Plan.Protocol == plan.HTTPS }
